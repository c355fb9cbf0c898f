// Package title is what ps(1) shows of a cell that was started before it was known what it
// is to run.
package title

import (
	"os"
	"unsafe"
)

// Set has ps(1) show the title behind the program's name, as much of it as there is room
// for in the place of the argument that this process was started with: that memory is where
// the kernel looks (PR_SET_MM_ARG_START, prctl(2)), and nothing else of Go's has it.
func Set(title string) {
	if title == "" || len(os.Args) < 2 || os.Args[1] == title {
		return
	}
	argument := unsafe.Slice(unsafe.StringData(os.Args[1]), len(os.Args[1]))
	clear(argument[copy(argument, title):])
	os.Args = []string{os.Args[0], title}
}
