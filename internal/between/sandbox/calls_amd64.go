package sandbox

import "golang.org/x/sys/unix"

const arch = unix.AUDIT_ARCH_X86_64

// opens are the calls that open files, with the place of their flags.
var opens = map[int]int{unix.SYS_OPEN: 1, unix.SYS_OPENAT: 2}

var ofMachine = []int{unix.SYS_CHMOD, unix.SYS_CHOWN, unix.SYS_LCHOWN, unix.SYS_MODIFY_LDT, unix.SYS_IOPL, unix.SYS_IOPERM}
