// Package syncentry reads the entries of sync.d: which references the handlers directory
// follows, and how. See plugserverctl(1).
package syncentry

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/andrestc/go-plugserver/internal/file/ini"
	"github.com/andrestc/go-plugserver/internal/file/synced"
)

// DefaultDir is where the entries are.
const DefaultDir = "/etc/plugserver/sync.d"

// suffix is what their names have.
const suffix = ".conf"

// usual is how often a registry is asked where nothing is said, and longest the longest that can be.
const (
	usual   = 5 * time.Minute
	longest = 7 * 24 * time.Hour
)

// usualCredential is the credential of the service (systemd.exec(5)) that is taken where it is there.
const usualCredential = "registry"

// Entry is what one says.
type Entry struct {
	Ref         string        // that is followed
	Credentials string        // the path of a file as docker has it; "" for those of the user
	Interval    time.Duration // between two tries
	Partial     bool          // what is refused is left out
	Canary      bool          // what is newer begins as a canary
	PlainHTTP   bool          // the registry speaks no TLS
	Instance    bool          // it is plugserverd@NAME, of the entry's name, whose handlers follow
}

// Read reads an entry of a folder. The error names every line that is wrong.
func Read(dir, name string) (e Entry, err error) {
	if !handlerdir.ValidName(name) {
		return e, fmt.Errorf("%q can name no entry; use letters, digits, '.', '_' and '-', and at first a letter or a digit", name)
	}
	path := filepath.Join(dir, name+suffix)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return e, fmt.Errorf("there is no entry %q: write %s, with two lines, [Sync] and Ref=registry.example.com/shop:prod", name, path)
	}
	if err != nil {
		return e, err
	}
	e.Interval = usual
	var errs []error
	for at, err := range ini.Parse(string(text)) {
		if err == nil {
			err = e.apply(at)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", path, at.Line, err))
		}
	}
	if errs == nil && e.Ref == "" {
		errs = append(errs, fmt.Errorf("%s: it has no Ref=; write one such as Ref=registry.example.com/shop:prod below [Sync]", path))
	}
	if err := errors.Join(errs...); err != nil {
		return Entry{}, err
	}
	if e.Credentials, err = credentials(e.Credentials); err != nil {
		return Entry{}, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

// apply takes over what a line says.
func (e *Entry) apply(at ini.Entry) (err error) {
	if at.Section != "Sync" {
		return fmt.Errorf("unknown section %.60q; write [Sync]", at.Section)
	}
	switch at.Name {
	case "":
	case "Ref":
		if e.Ref = at.Value; strings.ContainsAny(e.Ref, " \t") {
			err = errors.New("not a reference; write one such as registry.example.com/shop:prod")
		}
	case "Credentials":
		e.Credentials = at.Value
	case "Interval":
		if e.Interval, err = ini.Span(cmp.Or(at.Value, usual.String()), longest); errors.Is(err, ini.ErrLong) {
			err = errors.New("longer than a week")
		}
	case "Partial":
		e.Partial, err = ini.Bool(cmp.Or(at.Value, "no"))
	case "Canary":
		e.Canary, err = ini.Bool(cmp.Or(at.Value, "no"))
	case "PlainHTTP":
		e.PlainHTTP, err = ini.Bool(cmp.Or(at.Value, "no"))
	case "Instance":
		e.Instance, err = ini.Bool(cmp.Or(at.Value, "no"))
	default:
		return fmt.Errorf("unknown key %.60q; possible are Ref=, Credentials=, Interval=, Partial=, Canary=, PlainHTTP= and Instance=", at.Name)
	}
	if err != nil {
		return fmt.Errorf("%s=%.60q: %w", at.Name, at.Value, err)
	}
	return nil
}

// Control is the socket of the daemon that is the instance of that name, and State its folder.
func Control(instance string) string { return "/run/plugserver@" + instance + "/control.sock" }

func State(instance string) string { return "/var/lib/plugserver@" + instance }

// credentials finds the file of a path, or of the name of a credential of the service.
func credentials(name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		if name != "" {
			return "", fmt.Errorf("Credentials=%.60q is the name of a credential of a service, and this is none: run systemctl start plugserver-sync@NAME, or write a path there", name)
		}
		return "", nil
	}
	path := filepath.Join(dir, cmp.Or(name, usualCredential))
	if _, err := os.Stat(path); err != nil {
		if name == "" {
			return "", nil
		}
		return "", fmt.Errorf("Credentials=%.60q: the service has no credential of that name; give it one with LoadCredential=, see systemd.exec(5)", name)
	}
	return path, nil
}

// Triggered reports whether a timer has started the service (systemd.exec(5)) that syncs the entry of that name, of the
// daemon whose folder state is. systemd goes on saying so where an operator does it next, but not that the timer has elapsed
// again: the same time once more is an operator's.
func Triggered(state, name string) bool {
	if os.Getenv("TRIGGER_UNIT") == "" {
		return false
	}
	elapsed, err := strconv.ParseInt(os.Getenv("TRIGGER_TIMER_REALTIME_USEC"), 10, 64)
	if err != nil {
		return true
	}
	known, err := synced.Elapsed(synced.Folder(state), name, time.UnixMicro(elapsed))
	return err != nil || !known
}

// Offset is by how much the tries of this machine are shifted in each interval: machines that were
// started together do not ask together.
func (e Entry) Offset(name string) time.Duration {
	machine, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		host, _ := os.Hostname()
		machine = []byte(host)
	}
	return Offset(machine, name, e.Interval)
}

// Offset is that of a machine, whose id is given.
func Offset(machine []byte, name string, interval time.Duration) time.Duration {
	if interval <= 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write(machine)
	h.Write([]byte(name))
	return time.Duration(h.Sum64() % uint64(interval))
}

// Repository is a reference without scheme, tag and digest.
func Repository(ref string) string {
	if _, after, ok := strings.Cut(ref, "://"); ok {
		ref = after
	}
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref = ref[:i]
	}
	return ref
}

// NameFor is the name of an entry that follows a reference, where it is given none.
func NameFor(ref string) string {
	return strings.Trim(strings.Map(func(c rune) rune {
		if strings.ContainsRune(":/[]", c) {
			return '-'
		}
		return c
	}, Repository(ref)), "-")
}

// Following are the names of the entries that follow the repository of ref, sorted.
func Following(records map[string]*synced.Record, ref string) (names []string) {
	for name, known := range records {
		if known.Ref != "" && Repository(known.Ref) == Repository(ref) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Choose chooses the name of the entry that is synced, of those of which there are records: the one that follows the
// repository of ref, where name is "", or one made of its name. Where it is settled, it may have followed another.
func Choose(records map[string]*synced.Record, name, ref string, settled bool) (string, error) {
	follow := Following(records, ref)
	switch {
	case name != "":
	case len(follow) > 1:
		return "", fmt.Errorf("several entries follow that repository; name one with --name: %s", strings.Join(follow, ", "))
	case len(follow) == 1:
		name = follow[0]
	default:
		name = NameFor(ref)
	}
	if !handlerdir.ValidName(name) {
		return "", fmt.Errorf("%q can name no entry; name it with --name: letters, digits, '.', '_' and '-', and at first a letter or a digit", name)
	}
	if known := records[name]; known != nil && known.Ref != "" && !slices.Contains(follow, name) && !settled {
		return "", fmt.Errorf("the entry %s follows %s; choose another name with --name", name, known.Ref)
	}
	return name, nil
}
