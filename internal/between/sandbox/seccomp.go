package sandbox

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// usual are the families of sockets that a child may make where nothing is said.
var usual = []int{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}

// Offsets in struct seccomp_data (seccomp(2)), of the lower half of each argument.
const (
	atNumber = 0
	atArch   = 4
	atArgs   = 16
)

// unseen are the protocols of streams that Landlock does not take for TCP.
var unseen = []int{unix.IPPROTO_MPTCP, unix.IPPROTO_SMC, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP}

// What a filter says.
var (
	allow       = statement(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ALLOW)
	notAllowed  = fails(unix.EPERM) // and no kill: who tries is told, as by any other file's mode
	notThere    = fails(unix.ENOSYS)
	noFamily    = fails(unix.EAFNOSUPPORT)
	noProtocol  = fails(unix.EPROTONOSUPPORT) // whoever has TCP beside it takes that
	loadNumber  = load(atNumber)
	namespaces  = uint32(unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP)
	alsoTime    = namespaces | unix.CLONE_NEWTIME // where the lowest byte is not a signal
	foreignBits = uint32(1 << 30)                 // of the calls of amd64's x32
)

func statement(code int, k uint32) unix.SockFilter { return unix.SockFilter{Code: uint16(code), K: k} }

func jump(code int, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: uint16(unix.BPF_JMP | code | unix.BPF_K), Jt: yes, Jf: no, K: k}
}

func fails(errno unix.Errno) unix.SockFilter {
	return statement(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ERRNO|uint32(errno))
}

func load(at int) unix.SockFilter { return statement(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, uint32(at)) }

func arg(n int) unix.SockFilter { return load(atArgs + 8*n) }

// call is what is done at one system call; it falls through to the next, or ends.
func call(number int, then ...unix.SockFilter) []unix.SockFilter {
	return append([]unix.SockFilter{jump(unix.BPF_JEQ, uint32(number), 0, uint8(len(then)))}, then...)
}

// filter is the program that is asked at each system call; nil where it knows none.
func (r Rules) filter(can Can) (all []unix.SockFilter) {
	if arch == 0 || !can.Seccomp {
		return nil
	}
	all = append(all, load(atArch), jump(unix.BPF_JEQ, arch, 1, 0), notAllowed,
		loadNumber, jump(unix.BPF_JGE, foreignBits, 0, 1), notAllowed)
	for _, number := range forbidden {
		all = append(all, call(number, notAllowed)...)
	}
	if can.Landlock < hasTrunc {
		all = append(all, call(unix.SYS_TRUNCATE, notAllowed)...)
		all = append(all, emptying()...)
	}
	if can.Landlock < hasScopes { // else a signal finds none but its own
		all = append(all, call(unix.SYS_PIDFD_OPEN, notAllowed)...)
		all = append(all, call(unix.SYS_TKILL, notAllowed)...)
		for _, number := range []int{unix.SYS_KILL, unix.SYS_TGKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO} {
			// The supervisor at least.
			all = append(all, call(number, arg(0), jump(unix.BPF_JEQ, uint32(unix.Getpid()), 0, 1), notAllowed, allow)...)
		}
	}
	all = append(all, limits()...)
	for _, number := range ofOthers { // of itself: 0
		all = append(all, call(number, arg(0), jump(unix.BPF_JEQ, 0, 1, 0), notAllowed, allow)...)
	}
	for _, number := range []int{unix.SYS_SETPRIORITY, unix.SYS_IOPRIO_SET} {
		all = append(all, call(number, arg(1), jump(unix.BPF_JEQ, 0, 1, 0), notAllowed, allow)...)
	}
	all = append(all, call(unix.SYS_CLONE3, notThere)...) // its flags cannot be seen: the C library takes clone
	all = append(all, call(unix.SYS_CLONE, arg(0), jump(unix.BPF_JSET, namespaces, 0, 1), notAllowed, allow)...)
	all = append(all, call(unix.SYS_UNSHARE, arg(0), jump(unix.BPF_JSET, alsoTime, 0, 1), notAllowed, allow)...)
	return append(append(all, r.sockets()...), allow)
}

// limits are the calls that set limits: of itself (0), and not the one that says whose child it is (package orphans). The kernel takes
// a limit for none to set where the address of the new one is 0, in both halves.
func limits() []unix.SockFilter {
	mark := jump(unix.BPF_JEQ, unix.RLIMIT_RTTIME, 0, 1)
	set := call(unix.SYS_SETRLIMIT, arg(0), mark, notAllowed, allow)
	return append(set, call(unix.SYS_PRLIMIT64,
		arg(1), jump(unix.BPF_JEQ, unix.RLIMIT_RTTIME, 0, 5),
		arg(2), jump(unix.BPF_JEQ, 0, 0, 2), load(atArgs+8*2+4), jump(unix.BPF_JEQ, 0, 1, 0), notAllowed,
		arg(0), jump(unix.BPF_JEQ, 0, 1, 0), notAllowed, allow)...)
}

// emptying are the calls that open a file without the right to write it, and leave nothing in it all the
// same: that is asked for with O_TRUNC, and Landlock looks at the rest.
func emptying() (all []unix.SockFilter) {
	for number, flags := range opens {
		all = append(all, call(number, arg(flags), jump(unix.BPF_JSET, unix.O_TRUNC, 0, 4),
			statement(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, unix.O_ACCMODE), jump(unix.BPF_JEQ, unix.O_WRONLY, 2, 0), jump(unix.BPF_JEQ, unix.O_RDWR, 1, 0),
			notAllowed, allow)...)
	}
	return append(all, call(unix.SYS_OPENAT2, notThere)...) // its flags cannot be seen: who has it has openat
}

func (r Rules) families() []int {
	if r.Families == nil {
		return usual
	}
	return r.Families
}

// sockets are the calls that make sockets: of these families alone.
func (r Rules) sockets() (all []unix.SockFilter) {
	families := r.families()
	then := []unix.SockFilter{arg(2)}
	for _, protocol := range unseen {
		then = append(then, jump(unix.BPF_JEQ, uint32(protocol), 0, 1), noProtocol)
	}
	then = append(then, arg(0))
	for i, f := range families {
		then = append(then, jump(unix.BPF_JEQ, uint32(f), uint8(len(families)-i), 0))
	}
	then = append(then, noFamily, allow)
	for _, number := range []int{unix.SYS_SOCKET, unix.SYS_SOCKETPAIR} {
		all = append(all, call(number, then...)...)
	}
	return all
}

// canFilter reports whether the kernel has filters.
func canFilter() bool {
	_, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return arch != 0 && err == nil
}

// install puts the filter before all system calls of the calling thread.
func install(filter []unix.SockFilter) error {
	if len(filter) == 0 {
		return nil
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return fmt.Errorf("filter system calls: %w", err)
	}
	return nil
}
