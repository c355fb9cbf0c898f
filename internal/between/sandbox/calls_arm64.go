package sandbox

import "golang.org/x/sys/unix"

const arch = unix.AUDIT_ARCH_AARCH64

// opens are the calls that open files, with the place of their flags.
var opens = map[int]int{unix.SYS_OPENAT: 2}

var ofMachine []int
