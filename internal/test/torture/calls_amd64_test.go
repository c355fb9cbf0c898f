package torture

import "golang.org/x/sys/unix"

// The offsets of registers in struct user (sys/user.h).
const (
	offRax     = 10 * 8
	offOrigRax = 15 * 8
)

// skipCall makes the call that a thread enters do nothing.
func skipCall(tid int) error { return pokeUser(tid, offOrigRax, ^uint64(0)) }

// setResult makes the call that a thread leaves return the error.
func setResult(tid int, e unix.Errno) { pokeUser(tid, offRax, -uint64(e)) }

func pokeUser(tid int, at uintptr, v uint64) error {
	if _, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_POKEUSR, uintptr(tid), at, uintptr(v), 0, 0); e != 0 {
		return e
	}
	return nil
}

var (
	full   = []unix.Errno{unix.ENOSPC, unix.EIO, unix.EDQUOT}
	disk   = []unix.Errno{unix.EIO}
	fds    = []unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM}
	opens  = []unix.Errno{unix.EMFILE, unix.ENFILE, unix.EIO, unix.ENOMEM}
	memory = []unix.Errno{unix.ENOMEM}
	sends  = []unix.Errno{unix.ENOBUFS, unix.ENOMEM}
	forks  = []unix.Errno{unix.EAGAIN, unix.ENOMEM}
)

// fallible are the calls that count, by number: those for files, descriptors
// and processes. What the Go runtime calls for itself is not among them: it
// ends the process where one of those fails.
var fallible = map[uint64]fallibleCall{
	unix.SYS_OPENAT:            {"openat", opens, path(1)},
	unix.SYS_READ:              {"read", disk, onFile},
	unix.SYS_PREAD64:           {"pread64", disk, onFile},
	unix.SYS_WRITE:             {"write", full, onFile},
	unix.SYS_PWRITE64:          {"pwrite64", full, onFile},
	unix.SYS_FSYNC:             {"fsync", full, onFile},
	unix.SYS_FTRUNCATE:         {"ftruncate", full, any1},
	unix.SYS_FSTAT:             {"fstat", disk, onFile},
	unix.SYS_GETDENTS64:        {"getdents64", disk, onFile},
	unix.SYS_NEWFSTATAT:        {"newfstatat", []unix.Errno{unix.EIO, unix.ENOMEM}, path(1)},
	unix.SYS_RENAMEAT:          {"renameat", full, path(1)},
	unix.SYS_RENAMEAT2:         {"renameat2", full, path(1)},
	unix.SYS_UNLINKAT:          {"unlinkat", disk, path(1)},
	unix.SYS_MKDIRAT:           {"mkdirat", full, path(1)},
	unix.SYS_READLINKAT:        {"readlinkat", disk, path(1)},
	unix.SYS_MEMFD_CREATE:      {"memfd_create", fds, any1},
	unix.SYS_PIPE2:             {"pipe2", fds, any1},
	unix.SYS_SOCKETPAIR:        {"socketpair", fds, any1},
	unix.SYS_SENDMSG:           {"sendmsg", sends, onAny},
	unix.SYS_ACCEPT4:           {"accept4", fds, onAny},
	unix.SYS_EPOLL_CTL:         {"epoll_ctl", memory, any1},
	unix.SYS_FCNTL:             {"fcntl", fds, onAny},
	unix.SYS_DUP:               {"dup", fds, onAny},
	unix.SYS_DUP3:              {"dup3", fds, onAny},
	unix.SYS_CLONE:             {"clone", forks, process},
	unix.SYS_CLONE3:            {"clone3", forks, process3},
	unix.SYS_INOTIFY_ADD_WATCH: {"inotify_add_watch", []unix.Errno{unix.ENOSPC, unix.ENOMEM}, any1},
}
