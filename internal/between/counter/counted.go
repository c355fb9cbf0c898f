//go:build !uncounted

package counter

// uncounted is for who measures what counting costs (make bench).
const uncounted = false
