package refusal

import (
	"errors"
	"strings"
	"testing"
)

// The words are glibc's and the runtime's own, as real files gave them.
func TestOpenNamesTheFixOfTheCause(t *testing.T) {
	const stored = `plugin.Open("/var/lib/plugserver/store/0123"): `
	const inStore = "/var/lib/plugserver/store/0123.so"
	for _, tt := range []struct {
		says, searchPath string
		mend             string // its begin
		or               string // is in one of the others
	}{
		{"libgreet.so.1: cannot open shared object file: No such file or directory", "", "install libgreet.so.1 where the dynamic linker looks: install -m 0644 libgreet.so.1 " + libraryFolder() + "/ && ldconfig", "#cgo LDFLAGS: -l:libgreet.a"},
		{"libgreet.so: cannot open shared object file: No such file or directory", "/a:$ORIGIN/lib", "install libgreet.so where", "apt-file search libgreet.so"},
		{"libc.musl-x86_64.so.1: cannot open shared object file: No such file or directory", "", "build it on a system with glibc", "on this machine: plugserverctl build"},
		{"/opt/l/libx.so: cannot open shared object file: Permission denied", "", "make libx.so a regular file that the daemon's user may read", ""},
		{"/opt/l/libx.so: cannot read file data: Is a directory", "", "make libx.so a regular file", ""},
		{inStore + ": cannot open shared object file: Too many open files", "", "raise LimitNOFILE=", ""},
		{"/opt/l/libtls.so: cannot allocate memory in static TLS block", "", "keep room for the thread-local variables of libtls.so: GLIBC_TUNABLES=glibc.rtld.optional_static_tls=", "-ftls-model=initial-exec"},
		{"libes.so: cannot enable executable stack as shared object requires: Invalid argument", "", "build libes.so with -Wl,-z,noexecstack", "patchelf"},
		{"/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by " + inStore + ")", "", "build it on this machine: plugserverctl build", "it needs GLIBC_2.38"},
		{"/opt/l/libver.so: version `V_2' not found (required by " + inStore + ")", "", "install the release of libver.so that", ""},
		{inStore + ": undefined symbol: greet", "", `link the library that defines greet: #cgo LDFLAGS:`, ""},
		{inStore + ": undefined symbol: greet, version V_2", "", `link the library that defines greet: `, ""},
		{inStore + ": failed to map segment from shared object", "", "let code be loaded from the file system that", "MemoryMax="},
		{inStore + ": cannot make segment writable for relocation: Operation not permitted", "", "build the C code of", ""},
		{"/opt/l/liber.so: file too short", "", "install liber.so again", ""},
		{"/opt/l/liber.so: invalid ELF header", "", "install liber.so again", ""},
		{"/opt/l/liber.so: wrong ELF class: ELFCLASS32", "", "install liber.so again", ""},
		{"plugin was built with a different version of package fmt", "", "build it with the Go release and the flags of plugserver-cell", ""},
		{"plugin already loaded", "", "give its module another name", "Cell="},
		{"something nobody has heard of", "", "build it on this machine: plugserverctl build", ""},
	} {
		e := Open(errors.New(stored+tt.says), tt.searchPath)
		if !strings.HasPrefix(e.Mend, tt.mend) || !strings.Contains(strings.Join(e.Or, "|"), tt.or) {
			t.Errorf("%s: got\n%s\n%q\nwant %s, %s", tt.says, e.Mend, e.Or, tt.mend, tt.or)
		}
		if !strings.Contains(e.Reason, tt.says) || strings.Contains(e.Reason, "private copy") != (tt.searchPath != "") {
			t.Errorf("%s: %s", tt.says, e.Reason)
		}
		if flags := "the flags of plugserver-cell"; strings.Contains(e.Mends(), flags) != strings.Contains(tt.mend, flags) {
			t.Errorf("%s: the flags are right, %s", tt.says, e.Mends())
		}
	}
	for _, tt := range [][2]string{
		{"plugserver-cell: symbol lookup error: /opt/l/libx.so: undefined symbol: greet", "link the library that defines greet"},
		{"plugserver-cell: error while loading shared libraries: libx.so: cannot open shared object file: No such file or directory", "install libx.so where"},
		{"plugserver-cell: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by plugserver-cell)", "build it on this machine"},
		{"2026/01/01 no database: undefined symbol: x", "init, Start and Handler must return"},
	} {
		if e := Died("exit status 127", tt[0]); !strings.HasPrefix(e.Mend, tt[1]) {
			t.Errorf("%s: got %s, want %s", tt[0], e.Mend, tt[1])
		}
	}
}
