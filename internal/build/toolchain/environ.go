package toolchain

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Flags are the flags that whoever builds has set for every build: GOFLAGS in
// the environment, or, for a command, in go env.
func (s *Set) Flags() string {
	if v, ok := os.LookupEnv("GOFLAGS"); ok || !s.cfg.Inherit {
		return v
	}
	for _, kv := range s.inherited() {
		if v, ok := strings.CutPrefix(kv, "GOFLAGS="); ok {
			return v
		}
	}
	return ""
}

// Dropped names the variables in the environment of whoever runs a command that
// would decide what is built, and do not: the cell does.
func Dropped() (names []string) {
	for _, name := range decided {
		kept := name == "GOFLAGS" || name == "GOWORK" || name == "GOTOOLCHAIN" || name == "GOBIN" || name == "GODEBUG" || name == "GOROOT"
		if v := os.Getenv(name); v != "" && !kept {
			names = append(names, name)
		}
	}
	return names
}

// Env is the environment of every go command: clean, so that a build depends
// on nothing but what the set is told, how C is compiled included.
func (s *Set) Env(t Toolchain, tmp string) []string {
	env := []string{
		"GOENV=off", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=" + t.Choice, "CGO_ENABLED=1",
		"GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
	}
	if tmp != "" {
		env = append(env, "TMPDIR="+tmp, "GOTMPDIR="+tmp)
	}
	if !s.cfg.Network {
		env = append(env, "GOPROXY=off")
	}
	path := os.Getenv("PATH")
	if path == "" {
		path = "/usr/local/bin:/usr/bin:/bin"
	}
	env = append(env, "PATH="+filepath.Dir(t.Go)+":"+path)
	if s.cfg.Inherit {
		return append(s.inherited(), env...)
	}
	gopath := filepath.Join(s.cfg.Cache, "gopath")
	env = append(env, "HOME="+s.cfg.Cache, "GOPATH="+gopath, "GOMODCACHE="+filepath.Join(gopath, "pkg", "mod"),
		"GOCACHE="+filepath.Join(s.cfg.Cache, "go-build"))
	names := compilers
	if s.cfg.Network {
		names = append(slices.Clone(names), network...)
	}
	for _, name := range names {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// compilers are the variables that say how C is compiled: the daemon's builds
// heed them as the command's do.
var compilers = []string{"CC", "CXX", "CGO_CFLAGS", "CGO_CPPFLAGS", "CGO_CXXFLAGS", "CGO_LDFLAGS", "PKG_CONFIG", "PKG_CONFIG_PATH"}

// network are the variables that say how the network is reached.
var network = []string{
	"GOPROXY", "GOPRIVATE", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOINSECURE", "GOAUTH",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
}

// decided are the variables of whoever runs the command that a build must not
// depend on.
var decided = []string{
	"GOFLAGS", "GOEXPERIMENT", "GOFIPS140", "GOTOOLCHAIN", "GOWORK", "GODEBUG", "GOOS", "GOARCH", "GOROOT",
	"GOAMD64", "GOARM64", "GOARM", "GO386", "GOPPC64", "GORISCV64", "GOBIN", "GO111MODULE",
}

// inherited is the caller's environment, and what their go env says of caches,
// proxies and compilers.
func (s *Set) inherited() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.caller != nil {
		return slices.Clone(s.caller)
	}
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(decided, name)
	})
	names := []string{"GOFLAGS", "GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOPRIVATE", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOINSECURE", "CC", "CXX"}
	cmd := exec.Command("go", append([]string{"env"}, names...)...)
	cmd.Env = append(slices.Clone(env), "GOTOOLCHAIN=local")
	out, err := cmd.Output()
	if lines := strings.Split(string(out), "\n"); err == nil && len(lines) > len(names) {
		for i, name := range names {
			if lines[i] != "" {
				env = append(env, name+"="+lines[i])
			}
		}
	}
	s.caller = env
	return slices.Clone(env)
}
