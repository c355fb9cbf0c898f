package config

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/between/sandbox"
	"github.com/andrestc/go-plugserver/internal/daemon/settings"
)

// Private is the folder of those that cells have of their own.
func (c *Config) Private() string { return filepath.Join(c.State, "tmp") }

// Shelf is the folder of those where cells that were started ahead find their plugins: in that of the
// store, where files may be executed, and which a link does not leave.
func (c *Config) Shelf() string { return filepath.Join(c.Store(), "lent") }

// Apart is where handlers run in units of their own. What they are lent is in that of the store, as on the shelf.
func (c *Config) Apart() proc.Apart {
	return proc.Apart{Socket: absolute(c.CellSocket), Lent: absolute(filepath.Join(c.Store(), "units"))}
}

// StateDirectories is the folder of those of StateDirectory=.
func (c *Config) StateDirectories() string { return filepath.Join(c.State, "state") }

// Keep is the folder in which handlers' credentials are while they run. No other daemon has it: none that runs
// has the same control socket.
func (c *Config) Keep() string {
	control := absolute(c.Control)
	in := filepath.Dir(control)
	if c.Credentials != "" {
		in = absolute(c.Credentials)
	}
	return filepath.Join(in, fmt.Sprintf("credentials-%08x", crc32.ChecksumIEEE([]byte(control))))
}

// sandbox is what no handler's process may read, and what all may: rules to which the settings of one are added.
func (c *Config) sandbox(file *settings.Settings) sandbox.Rules {
	hide := append(secrets(file), c.State, c.Cache, c.Keep())
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		hide = append(hide, dir)
	}
	if filepath.IsAbs(c.AccessLog) { // else it is no file
		hide = append(hide, c.AccessLog)
	}
	for i, path := range hide {
		hide[i] = absolute(path)
	}
	// Its files are everybody's; beside them may be what handlers read.
	return sandbox.Rules{
		Hide: hide, Read: []string{"-" + absolute(c.Handlers)}, Private: c.Private(), Shelf: c.Shelf(),
	}.WithSystem()
}

// Unconfined is what is left open by the sandboxes of a kernel that can so much; nil where there are none.
func (c *Config) Unconfined(can sandbox.Can) []string {
	if !c.Sandbox.On() {
		return nil
	}
	return can.Lacks()
}

// Unconfines reports whether there may be handlers whom no sandbox keeps from what is the daemon's own.
func (c *Config) Unconfines(file *settings.Settings, can sandbox.Can) bool {
	if !c.Sandbox.On() || can.Landlock == 0 {
		return true
	}
	for name := range file.Named() {
		if file.Handler(name).Allowed.NoSandbox {
			return true
		}
	}
	return false
}

// System changes when the sandboxes in force are to be made anew, though file does not.
func (c *Config) System(file *settings.Settings) string {
	if !c.Sandbox.On() {
		return ""
	}
	return c.sandbox(file).System
}

// absolute is path from /. The daemon stays in the folder that it was started in.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// secrets are the files that no handler's process is to read, for they hold others' environments
// or keys of certificates, and the folders that are some handlers' alone to write.
func secrets(file *settings.Settings) (paths []string) {
	for name := range file.Named() {
		for _, a := range file.Assigned(name) {
			switch a.Key {
			case "EnvironmentFile":
				paths = append(paths, strings.TrimPrefix(a.Value, "-"))
			case "Environment", "SetCredential":
				paths = append(paths, a.Where[:strings.LastIndexByte(a.Where, ':')])
			case "LoadCredential":
				if _, file, _ := strings.Cut(a.Value, ":"); filepath.IsAbs(file) { // else it is one of the service
					paths = append(paths, file)
				}
			}
		}
		for _, path := range file.Handler(name).Allowed.Writes() {
			paths = append(paths, strings.TrimPrefix(path, "-"))
		}
	}
	for _, key := range file.TLS().Keys {
		if filepath.IsAbs(key) { // else it is a credential
			paths = append(paths, key)
		}
	}
	slices.Sort(paths) // so that equal settings are equal rules
	return slices.Compact(paths)
}
