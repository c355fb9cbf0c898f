package run

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Peer is a server to be measured.
type Peer struct {
	Name  string
	About string
	Start func(*Lab, Work) (*Server, error)
	// Needs are the programs of this module (cmd/) that it runs.
	Needs   []string
	Plugins bool     // it loads the handlers' plugins
	Command string   // of the machine, where it needs one
	Plain   bool     // it speaks neither TLS nor HTTP/2
	Only    []string // the works that it is measured with; none is all
}

// Compiled is the peer that all others are compared with.
const Compiled = "compiled"

// Peers are all that can be measured, Compiled first. A Lab without a Base
// has no peer for it.
func (l *Lab) Peers() []Peer {
	peers := []Peer{
		{Name: Compiled, About: "net/http with the handlers compiled in", Needs: []string{"compiled"},
			Start: func(l *Lab, w Work) (*Server, error) { return l.program("compiled", l.how(w)...) }},
		{Name: "plugserver", About: "plugserver, each handler in a cell of its own", Plugins: true,
			Start: func(l *Lab, w Work) (*Server, error) { return l.plugserver(filepath.Join(l.Root, "bin"), w) }},
		{Name: "access-log", About: "plugserver with an access log in a file", Plugins: true, Only: []string{"keepalive"},
			Start: func(l *Lab, w Work) (*Server, error) {
				return l.plugserver(filepath.Join(l.Root, "bin"), w, "--access-log", filepath.Join(l.Dir, "access.log"))
			}},
		{Name: "trust-each", About: "plugserver whose handlers do not trust each other (`--trust=each`): no connection leaves the gate", Plugins: true,
			Only: []string{"keepalive", "alternating", "pipelined", "upload"},
			Start: func(l *Lab, w Work) (*Server, error) {
				return l.plugserver(filepath.Join(l.Root, "bin"), w, "--trust=each")
			}},
		{Name: canary, About: "plugserver whose handlers each have a canary of the same code, with 5 % of the requests, that is judged all the time", Plugins: true,
			Only: []string{"keepalive", "close", "alternating"}, Start: func(l *Lab, w Work) (*Server, error) { return l.canaries(w) }},
		{Name: "unconfined", About: "plugserver whose handlers are in no sandbox (`--sandbox=off`)", Plugins: true, Only: []string{"keepalive"},
			Start: func(l *Lab, w Work) (*Server, error) {
				return l.plugserver(filepath.Join(l.Root, "bin"), w, "--sandbox=off")
			}},
		{Name: uncounted, About: "plugserver built without its metrics of requests (`-tags uncounted`)", Plugins: true, Needs: []string{uncounted}, Only: []string{"keepalive"},
			Start: func(l *Lab, w Work) (*Server, error) { return l.plugserver(filepath.Join(l.Bin, uncounted), w) }},
		{Name: "base", About: "another build of plugserver", Plugins: true, Plain: !l.baseSpeaks(),
			Start: func(l *Lab, w Work) (*Server, error) { return l.plugserver(l.Base, w) }},
		{Name: "inprocess", About: "`plugin.Open` in the server's own process (a plugin cannot be unloaded)", Plugins: true, Needs: []string{"inprocess"},
			Start: func(l *Lab, w Work) (*Server, error) { return l.program("inprocess", l.plugins(w)...) }},
		{Name: "nginx", About: "nginx that answers by itself (`return 200`)", Command: "nginx",
			Start: func(l *Lab, w Work) (*Server, error) { return l.nginx(answering(w), 2) }},
		{Name: "nginx-proxy", About: "nginx as a proxy to compiled in; both count", Command: "nginx", Needs: []string{"compiled"},
			Start: func(l *Lab, w Work) (*Server, error) { return l.behind(w, l.nginxProxy) }},
		{Name: "caddy", About: "Caddy as a proxy to compiled in; both count", Command: "caddy", Needs: []string{"compiled"},
			Start: func(l *Lab, w Work) (*Server, error) { return l.behind(w, l.caddy) }},
		{Name: "reverseproxy", About: "`httputil.ReverseProxy` to compiled in; both count", Needs: []string{"compiled", "reverseproxy"},
			Start: func(l *Lab, w Work) (*Server, error) {
				return l.behind(w, func(w Work, to string) (*Server, error) {
					return l.program("reverseproxy", append([]string{to}, l.how(w)...)...)
				})
			}},
		{Name: "goplugin-netrpc", About: "hashicorp/go-plugin over net/rpc, each handler in a process of its own", Needs: []string{"goplugin"},
			Start: func(l *Lab, w Work) (*Server, error) {
				return l.program("goplugin", append([]string{"netrpc"}, w.Handlers...)...)
			}},
		{Name: "goplugin-grpc", About: "hashicorp/go-plugin over gRPC, each handler in a process of its own", Needs: []string{"goplugin"},
			Start: func(l *Lab, w Work) (*Server, error) {
				return l.program("goplugin", append([]string{"grpc"}, w.Handlers...)...)
			}},
		{Name: "yaegi", About: "Yaegi, which interprets the handlers", Needs: []string{"yaegi"},
			Start: func(l *Lab, w Work) (*Server, error) { return l.program("yaegi") }},
		{Name: "wazero", About: "wazero, with the handlers compiled to WebAssembly", Needs: []string{"wazero", guest},
			Start: func(l *Lab, w Work) (*Server, error) { return l.program("wazero", filepath.Join(l.Bin, guest)) }},
	}
	if l.Base == "" {
		peers = slices.DeleteFunc(peers, func(p Peer) bool { return p.Name == "base" })
	}
	return peers
}

// baseSpeaks reports whether the other build knows TLS: the first release does not.
func (l *Lab) baseSpeaks() bool {
	out, _ := exec.Command(filepath.Join(l.Base, "plugserverd"), "--help").CombinedOutput()
	return strings.Contains(string(out), "-http2")
}

// program starts one of this module's.
func (l *Lab) program(name string, args ...string) (*Server, error) {
	addr, err := l.address()
	if err != nil {
		return nil, err
	}
	return l.start(addr, filepath.Join(l.Bin, name), append([]string{addr}, args...)...)
}

// plugserver starts the daemon out of the folder bin, with the work's handlers.
func (l *Lab) plugserver(bin string, w Work, more ...string) (*Server, error) {
	dir, err := l.folder("plugserver")
	if err != nil {
		return nil, err
	}
	return l.daemon(dir, bin, w, l.plugins(w), "", more...)
}

// canaries starts the daemon with the work's handlers, and a canary of each, about which nothing is decided.
func (l *Lab) canaries(w Work) (*Server, error) {
	dir, err := l.folder("plugserver")
	if err != nil {
		return nil, err
	}
	bin, files, conf := filepath.Join(l.Root, "bin"), l.plugins(w), ""
	for _, h := range w.Handlers {
		files = append(files, l.plugin(h+canaryOf))
		conf += fmt.Sprintf("[Handler %s]\nCanaryWeight=5%%\nCanaryFor=infinity\nCanaryMaxSlowdown=1000\n", h)
	}
	s, err := l.daemon(dir, bin, w, files, conf)
	if err != nil {
		return nil, err
	}
	if err = s.ready(w); err == nil {
		// It waits until all that is in the directory serves, or was refused, which is an error.
		var out []byte
		if out, err = exec.Command(filepath.Join(bin, "plugserverctl"), "--control", filepath.Join(dir, "c.sock"), "reload").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
	}
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// daemon starts one that has its files in dir, and serves these.
func (l *Lab) daemon(dir, bin string, w Work, files []string, settings string, more ...string) (*Server, error) {
	handlers := filepath.Join(dir, "handlers")
	if err := os.Mkdir(handlers, 0o755); err != nil {
		return nil, err
	}
	for _, file := range files {
		if err := copyTo(filepath.Join(handlers, filepath.Base(file)), file); err != nil {
			return nil, err
		}
	}
	addr, err := l.address()
	if err != nil {
		return nil, err
	}
	listen, conf := addr, filepath.Join(dir, "plugserverd.conf")
	if w.Spec.TLS {
		listen = "tls:" + addr
		settings += fmt.Sprintf("[TLS]\nCertificate=%s\nKey=%s\n", l.cert(), l.key())
	}
	if settings != "" {
		if err := os.WriteFile(conf, []byte(settings), 0o600); err != nil {
			return nil, err
		}
	}
	if w.clear2() {
		more = append(more, "--http2", "all")
	}
	return l.start(addr, filepath.Join(bin, "plugserverd"), append([]string{"--listen", listen, "--handlers", handlers,
		"--state", filepath.Join(dir, "state"), "--control", filepath.Join(dir, "c.sock"),
		"--config", conf, "--cell", filepath.Join(bin, "plugserver-cell"),
		"--build", "off", "--build-cells", "off"}, more...)...)
}

// how has a program of this module speak what the work does (handlers.Serve).
func (l *Lab) how(w Work) []string {
	switch {
	case w.Spec.TLS:
		return []string{l.cert(), l.key()}
	case w.clear2():
		return []string{"h2c"}
	}
	return nil
}

// plugins are the files of the work's handlers.
func (l *Lab) plugins(w Work) (files []string) {
	for _, h := range w.Handlers {
		files = append(files, l.plugin(h))
	}
	return files
}

func (l *Lab) plugin(handler string) string { return filepath.Join(l.Bin, "plugins", handler+".so") }

// Check says what is missing of a build of plugserver.
func Check(bin string) error {
	var errs []error
	for _, name := range []string{"plugserverd", "plugserver-cell"} {
		_, err := os.Stat(filepath.Join(bin, name))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
