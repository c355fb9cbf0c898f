package run

import (
	"errors"
	"os"
	"path/filepath"
)

// Peer is a server to be measured.
type Peer struct {
	Name  string
	About string
	Start func(*Lab, Work) (*Server, error)
	// Needs are the programs of this module (cmd/) that it runs.
	Needs   []string
	Plugins bool // it loads the handlers' plugins
	Not     []string
}

// Compiled is the peer that all others are compared with.
const Compiled = "compiled"

// Peers are all that can be measured, Compiled first. A Lab without a Base
// has no peer for it.
func (l *Lab) Peers() []Peer {
	peers := []Peer{
		{Name: Compiled, About: "net/http with the handlers compiled in", Needs: []string{"compiled"},
			Start: func(l *Lab, w Work) (*Server, error) { return l.program("compiled") }},
		{Name: "plugserver", About: "plugserver, each handler in a cell", Plugins: true,
			Start: func(l *Lab, w Work) (*Server, error) { return l.plugserver(filepath.Join(l.Root, "bin"), w) }},
	}
	if l.Base != "" {
		peers = append(peers, Peer{Name: "base", About: "another build of plugserver", Plugins: true,
			Start: func(l *Lab, w Work) (*Server, error) { return l.plugserver(l.Base, w) }})
	}
	return peers
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
func (l *Lab) plugserver(bin string, w Work) (*Server, error) {
	dir, err := l.folder("plugserver")
	if err != nil {
		return nil, err
	}
	handlers := filepath.Join(dir, "handlers")
	if err := os.Mkdir(handlers, 0o755); err != nil {
		return nil, err
	}
	for _, h := range w.Handlers {
		if err := copyTo(filepath.Join(handlers, h+".so"), l.plugin(h)); err != nil {
			return nil, err
		}
	}
	addr, err := l.address()
	if err != nil {
		return nil, err
	}
	return l.start(addr, filepath.Join(bin, "plugserverd"), "--listen", addr, "--handlers", handlers,
		"--state", filepath.Join(dir, "state"), "--control", filepath.Join(dir, "c.sock"),
		"--config", filepath.Join(dir, "plugserverd.conf"), "--cell", filepath.Join(bin, "plugserver-cell"),
		"--build", "off", "--build-cells", "off")
}

// plugin is the file of a handler's plugin.
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
