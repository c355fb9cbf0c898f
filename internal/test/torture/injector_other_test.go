//go:build !amd64

package torture

import "fmt"

// trace is not written for this architecture; TORTURE_PTRACE=off leaves out
// what needs it.
func trace(int) int {
	fmt.Println("no system call can be made to fail on this architecture; set TORTURE_PTRACE=off")
	return 1
}
