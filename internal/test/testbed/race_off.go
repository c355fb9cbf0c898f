//go:build !race

package testbed

// Race tells that everything is built with the race detector.
const Race = false
