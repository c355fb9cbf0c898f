package live

import "golang.org/x/sys/unix"

// flush has what was written be on the disk: it is not to be written while something
// else is measured.
func flush() { unix.Sync() }
