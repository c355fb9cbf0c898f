//go:build !race

package e2e

// Race tells that everything is built with the race detector.
const Race = false
