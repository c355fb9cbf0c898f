//go:build uncounted

package counter

const uncounted = true
