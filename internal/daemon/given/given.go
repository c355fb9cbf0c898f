// Package given is what an operator gives a handler's process of its own: credentials, folders for its state, and
// where it works: the keys of plugserverd.conf(5), by systemd's names. It is pure: files are read by who asks.
package given

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/belongings"
	"github.com/andrestc/go-plugserver/internal/daemon/envfile"
)

// Given is comparable: two that are equal give the same.
type Given struct {
	loaded, set envfile.List // each NAME:CONTENT, the content quoted; the last of a name holds
	state       envfile.List // names
	dir         string
}

// Repeated are the keys of which every assignment holds, until an empty one.
var Repeated = []string{"LoadCredential", "SetCredential", "StateDirectory"}

// maxCredentials bounds what the credentials of one handler have together, as with systemd.
const maxCredentials = 1 << 20 // bytes

// Keys are the keys that set g.
func (g *Given) Keys(read envfile.Reader) map[string]func(string) error {
	return map[string]func(string) error{
		"LoadCredential": g.loaded.Adding(func(value string) ([]string, error) { return g.load(value, read) }),
		"SetCredential":  g.set.Adding(g.inline),
		"StateDirectory": g.state.Adding(parseState),
		"WorkingDirectory": func(value string) error {
			dir, err := parseDir(value)
			if err == nil {
				g.dir = dir
			}
			return err
		},
	}
}

var credential = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$`)

const credentialRule = "cannot name a credential; write at most 100 of letters, digits, '.', '_' and '-', with no '.' first"

// load reads NAME:FILE, or NAME, which is that of the service's own credential.
func (g *Given) load(value string, read envfile.Reader) ([]string, error) {
	name, file, ok := strings.Cut(value, ":")
	if !ok {
		file = name
	}
	if !credential.MatchString(name) {
		return nil, fmt.Errorf("%.40q %s; the form is NAME:/PATH, or NAME for a credential of the service", name, credentialRule)
	}
	if !filepath.IsAbs(file) && !credential.MatchString(file) {
		return nil, errors.New("names no file; write NAME:/PATH, without quotes, or NAME for a credential of the service")
	}
	content, there, err := read(file)
	if err == nil && !there {
		return []string{name + lacks + file}, nil
	}
	if err != nil {
		return nil, err
	}
	return g.added(name, content)
}

// lacks is what stands between the name of a credential and the file that is not there.
const lacks = ":-"

// Lacks says which credential has no file, and nothing that is set in its place; "" if there is none.
func (g Given) Lacks() (name string, err error) {
	for _, c := range g.loaded.All() {
		name, file, ok := strings.Cut(c, lacks)
		switch {
		case !ok, slices.ContainsFunc(g.set.All(), func(c string) bool { return strings.HasPrefix(c, name+":") }):
		case filepath.IsAbs(file):
			return name, fmt.Errorf("there is no such file; make it, or write SetCredential=%s:VALUE for what holds without it", name)
		default:
			return name, fmt.Errorf("the service has no credential %q; write LoadCredential=%s:/PATH into its unit (systemctl edit plugserverd) and restart it, or name a file by its absolute path here", file, file)
		}
	}
	return "", nil
}

// inline reads NAME:VALUE, with backslashes as in C.
func (g *Given) inline(value string) ([]string, error) {
	name, text, ok := strings.Cut(value, ":")
	if !ok || !credential.MatchString(name) {
		return nil, envfile.Secretly(errors.New("not a credential; write NAME:VALUE, NAME of letters, digits, '.', '_' and '-', with no '.' first"))
	}
	var content strings.Builder
	for text != "" {
		r, multibyte, rest, err := strconv.UnquoteChar(text, 0)
		if err != nil {
			return nil, envfile.Secretly(errors.New(`has a backslash that begins nothing that is known; write \\ for one, \n for the end of a line, \x00 for a byte`))
		}
		if multibyte {
			content.WriteRune(r)
		} else {
			content.WriteByte(byte(r))
		}
		text = rest
	}
	return g.added(name, content.String())
}

// added is a credential as the lists have it.
func (g *Given) added(name, content string) ([]string, error) {
	size := len(content)
	for _, c := range g.credentials() {
		size += len(c.Content)
	}
	if size > maxCredentials {
		return nil, envfile.Secretly(fmt.Errorf("the credentials of a handler may have %d MiB together; let it read larger files by ReadOnlyPaths=", maxCredentials>>20))
	}
	return []string{name + ":" + strconv.Quote(content)}, nil
}

// credentials are all, by name: what was loaded comes before what was set.
func (g *Given) credentials() (all []belongings.Credential) {
	by := make(map[string]string)
	for _, c := range slices.Concat(g.set.All(), g.loaded.All()) {
		name, quoted, _ := strings.Cut(c, ":")
		if content, err := strconv.Unquote(quoted); err == nil { // else it lacks
			by[name] = content
		}
	}
	for _, name := range slices.Sorted(maps.Keys(by)) {
		all = append(all, belongings.Credential{Name: name, Content: by[name]})
	}
	return all
}

var stateName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$`)

func parseState(value string) ([]string, error) {
	names := strings.Fields(value)
	for _, name := range names {
		if !stateName.MatchString(name) {
			return nil, fmt.Errorf("%.60q cannot name a folder below the state of all; write a name such as users, without '/': the handler makes folders in it itself", name)
		}
	}
	return names, nil
}

// parseDir reads an absolute path, with a '-' before where it need not be there.
func parseDir(value string) (string, error) {
	dir, optional := strings.CutPrefix(value, "-")
	switch {
	case value == "":
		return "", nil
	case !filepath.IsAbs(dir):
		return "", errors.New("not an absolute path; write one such as /srv/users, without quotes, or -/srv/users where it need not be there")
	case optional:
		return "-" + filepath.Clean(dir), nil
	}
	return filepath.Clean(dir), nil
}

// Belongings are what a process gets, where the folders for state are below state.
func (g Given) Belongings(state string) (b belongings.Belongings) {
	b.Credentials, b.Dir = g.credentials(), g.dir
	for _, name := range g.state.All() {
		if dir := filepath.Join(state, name); !slices.Contains(b.State, dir) {
			b.State = append(b.State, dir)
		}
	}
	return b
}

// Shown is what is shown of the value of an assignment: of a credential that is set no more than its name.
func Shown(key, value string) string {
	if key != "SetCredential" {
		return value
	}
	name, _, _ := strings.Cut(value, ":")
	return name + ":(hidden)"
}
