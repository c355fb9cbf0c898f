package refusal

import (
	"path"
	"runtime"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/words"
)

// Open: plugin.Open returned an error. searchPath is where the file itself says
// that its libraries are (DT_RUNPATH), empty if nowhere.
func Open(err error, searchPath string) *Error {
	e := &Error{
		Reason: "plugin cannot be loaded: " + words.OneLine(err.Error()),
		Mend:   rebuild,
	}
	if c := loadCause(err.Error()); c != nil {
		e.Mend, e.Or = c.fix, c.or
		if c.missing && strings.Contains(searchPath, "$ORIGIN") {
			e.Reason += " (its $ORIGIN is the folder of the private copy that is loaded, not the one that it was copied to)"
		}
	}
	return e
}

// A cause is why the dynamic linker does not load a file, in terms of what helps.
type cause struct {
	fix     string
	or      []string
	missing bool // a library was not found
}

// loadCause finds the cause in the dynamic linker's words (glibc's dlerror(3),
// "FILE: WHAT[: ERRNO]") or the runtime's, and nil where they are of neither.
func loadCause(said string) *cause {
	if _, after, ok := strings.Cut(said, `plugin.Open("`); ok {
		_, said, _ = strings.Cut(after, `"): `)
	}
	for _, c := range causes {
		at := -1
		for _, says := range c.says {
			if at = strings.Index(said, says); at >= 0 {
				break
			}
		}
		if at < 0 {
			continue
		}
		// The file is what the last colon before ends, as in "PROGRAM: symbol
		// lookup error: FILE: undefined symbol: NAME"; its path may be the store's.
		file := "LIBRARY"
		if colon := strings.LastIndex(said[:at], ": "); colon >= 0 {
			file = path.Base(said[strings.LastIndexAny(said[:colon], " \t\n")+1 : colon])
		}
		told := c.tell(words.Shell(file), said[at:])
		return &told
	}
	return nil
}

const rebuild = "build it on this machine: plugserverctl build PACKAGE"

// causes are tried in their order: the special before the general.
var causes = []struct {
	says []string
	tell func(file, said string) cause
}{
	{[]string{"built with a different version of package"}, func(string, string) cause {
		return cause{fix: "build it with the Go release and the flags of plugserver-cell: plugserverctl build PACKAGE"}
	}},
	{[]string{"plugin already loaded"}, func(string, string) cause {
		return cause{fix: "give its module another name in go.mod", or: []string{"give it a cell of its own: take Cell= out of its section in plugserverd.conf"}}
	}},
	{[]string{"not found in plugin"}, func(string, string) cause {
		return cause{fix: "export from its package main: " + Shortest}
	}},
	{[]string{"libc.musl-", "ld-musl-"}, func(string, string) cause {
		return cause{fix: "build it on a system with glibc: it was built on one with musl, such as Alpine", or: []string{rebuild}}
	}},
	{[]string{"Too many open files"}, func(string, string) cause {
		return cause{fix: "raise LimitNOFILE= of [Handler NAME] in plugserverd.conf, or of plugserverd.service"}
	}},
	{[]string{"cannot open shared object file: Permission denied", "cannot read file data"}, func(file, _ string) cause {
		return cause{fix: "make " + file + " a regular file that the daemon's user may read: chmod a+r " + file}
	}},
	{[]string{"cannot open shared object file"}, missingLibrary},
	{[]string{"static TLS"}, func(file, _ string) cause {
		return cause{
			fix: "keep room for the thread-local variables of " + file + ": GLIBC_TUNABLES=glibc.rtld.optional_static_tls=262144 in the environment of plugserverd (/etc/default/plugserverd), and restart it",
			or:  []string{"build " + file + " without -ftls-model=initial-exec"},
		}
	}},
	{[]string{"executable stack"}, func(file, _ string) cause {
		return cause{fix: "build " + file + " with -Wl,-z,noexecstack", or: []string{"patchelf --clear-execstack " + file}}
	}},
	{[]string{"version `GLIBC_"}, func(_, said string) cause {
		return cause{
			fix: rebuild,
			or:  []string{"build it where glibc is no newer than here: it needs " + between(said, "`", "'")},
		}
	}},
	{[]string{"version `", "with link time reference"}, func(file, _ string) cause {
		return cause{fix: "install the release of " + file + " that it was built with", or: []string{rebuild}}
	}},
	{[]string{"undefined symbol"}, func(_, said string) cause {
		name := strings.TrimRight(between(said+" ", "undefined symbol: ", " "), ",")
		return cause{fix: "link the library that defines " + words.Quote(name) + ": #cgo LDFLAGS: -lLIBRARY", or: []string{"install the release of that library that it was built with"}}
	}},
	{[]string{"failed to map segment", "cannot map zero-fill pages", "cannot change memory protections",
		"cannot apply additional memory protection", "cannot allocate memory", "cannot create shared object descriptor"}, func(file, _ string) cause {
		return cause{
			fix: "let code be loaded from the file system that " + file + " is on: mount -o remount,exec MOUNTPOINT; of the service: ExecPaths=FOLDER (systemctl edit plugserverd)",
			or:  []string{"raise MemoryMax= of [Handler NAME] in plugserverd.conf, if it has one"},
		}
	}},
	{[]string{"cannot make segment writable for relocation", "cannot restore segment prot"}, func(file, _ string) cause {
		return cause{fix: "build the C code of " + file + " with -fPIC"}
	}},
	{[]string{"file too short", "invalid ELF header", "wrong ELF class", "ELF file", "object file has no",
		"only ET_DYN and ET_EXEC", "cannot dynamically load", "unexpected reloc type", "unexpected PLT reloc"}, func(file, _ string) cause {
		return cause{fix: "install " + file + " again, whole and for " + runtime.GOARCH + ": it is no library that this machine can load"}
	}},
}

func missingLibrary(file, _ string) cause {
	return cause{
		missing: true,
		fix:     "install " + file + " where the dynamic linker looks: install -m 0644 " + file + " " + libraryFolder() + "/ && ldconfig",
		or: []string{
			"install the package that has it: apt-file search " + file,
			"link it into the plugin: #cgo LDFLAGS: -l:" + strings.TrimSuffix(before(file, ".so"), ".") + ".a",
		},
	}
}

// libraryFolder is where Debian keeps libraries, which the packaged service may
// load from.
func libraryFolder() string {
	switch runtime.GOARCH {
	case "amd64":
		return "/usr/lib/x86_64-linux-gnu"
	case "arm64":
		return "/usr/lib/aarch64-linux-gnu"
	}
	return "/usr/local/lib"
}

func before(s, sep string) string { s, _, _ = strings.Cut(s, sep); return s }

// between is what stands in s between two words, empty if they do not.
func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, ok := strings.Cut(s, to)
	if !ok {
		return ""
	}
	return s
}
