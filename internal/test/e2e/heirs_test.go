package e2e

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// heirSource serves the patterns of its slot, in the way that its mode says.
const heirSource = `package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

var (
	patterns = "PATTERNS:........................................"
	version  = "VERSION:................................"
	mode     = "MODE:................"
)

func value(s string) string {
	_, v, _ := strings.Cut(s, ":")
	return strings.TrimRight(v, ".")
}

func Start(context.Context) error {
	switch value(mode) {
	case "slow":
		time.Sleep(600 * time.Millisecond)
	case "errs second", "dies second":
		// The first time it is refused for its pattern alone.
		f, err := os.OpenFile(os.Getenv("HEIRS")+"/"+value(version), os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			f.Close()
			return nil
		}
		if value(mode) == "dies second" {
			panic("no second time")
		}
		return errors.New("no second time")
	}
	return nil
}

func Handlers() map[string]http.Handler {
	m := make(map[string]http.Handler)
	for _, p := range strings.Split(value(patterns), " ") {
		m[p] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, value(version)) })
	}
	return m
}
`

func heir(tb testing.TB, patterns, version, mode string) testbed.Plugin {
	tb.Helper()
	return testbed.Source{Files: map[string]string{"main.go": heirSource}, Flags: []string{"-ldflags=-s"}}.Build(tb).Patched(tb,
		"PATTERNS:........................................", "PATTERNS:"+patterns,
		"VERSION:................................", "VERSION:"+version,
		"MODE:................", "MODE:"+mode)
}

// A pattern that another file serves as well passes on to it in one table: no
// client is told that there is no such page.
func TestPatternsPassOn(t *testing.T) {
	type files map[string]testbed.Plugin
	p := func(patterns, version string) testbed.Plugin { return heir(t, patterns, version, "") }
	mode := func(patterns, version, mode string) testbed.Plugin { return heir(t, patterns, version, mode) }
	remove := func(names ...string) func(*testbed.Daemon) {
		return func(d *testbed.Daemon) {
			for _, name := range names {
				d.Remove(name)
			}
		}
	}
	rename := func(from, to string) func(*testbed.Daemon) {
		return func(d *testbed.Daemon) {
			if err := os.Rename(d.Path(from), d.Path(to)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		live   files
		wait   []string // names and plugins of wait files, refused for a pattern, in this order
		files  files
		change func(*testbed.Daemon)
		want   map[string]string // by path, the version that serves it in the end; "" is 404
		gaps   []string          // paths that may be 404 for a while
		silent bool              // nothing is refused meanwhile
	}{
		{name: "a live file is renamed", live: files{"v1": p("/v", "one")}, change: rename("v1", "v2"), want: map[string]string{"/v": "one"}, silent: true},
		{name: "a slow one is renamed", live: files{"v1": mode("/v", "one", "slow")}, change: rename("v1", "v2"), want: map[string]string{"/v": "one"}, silent: true},
		{name: "over another that is live", live: files{"a": p("/a", "one"), "b": p("/b", "two")}, change: rename("a", "b"),
			want: map[string]string{"/a": "one", "/b": ""}, gaps: []string{"/b"}, silent: true},
		{name: "a copy takes over", live: files{"v1": mode("/v", "one", "slow")}, change: func(d *testbed.Daemon) {
			d.Drop("v2", mode("/v", "two", "slow"))
			d.Remove("v1")
		}, want: map[string]string{"/v": "two"}},
		{name: "removed while another waits", live: files{"v1": p("/v", "one")}, wait: []string{"v2"}, files: files{"v2": p("/v", "two")},
			change: remove("v1"), want: map[string]string{"/v": "two"}},
		{name: "of two heirs the one who waits longer", live: files{"v1": p("/v", "one")}, wait: []string{"z", "a"},
			files: files{"z": p("/v", "two"), "a": p("/v", "three")}, change: remove("v1"), want: map[string]string{"/v": "two"}},
		{name: "the renamed one before who waits", live: files{"v1": p("/v", "one")}, wait: []string{"z"},
			files: files{"z": p("/v", "two")}, change: rename("v1", "v2"), want: map[string]string{"/v": "one"}},
		{name: "an heir of a part", live: files{"v1": p("/v /w", "one")}, wait: []string{"v2"}, files: files{"v2": p("/v", "two")},
			change: remove("v1"), want: map[string]string{"/v": "two", "/w": ""}, gaps: []string{"/w"}},
		{name: "two heirs of a part each", live: files{"v1": p("/v /w", "one")}, wait: []string{"v2", "v3"},
			files: files{"v2": p("/v", "two"), "v3": mode("/w", "three", "slow")}, change: remove("v1"), want: map[string]string{"/v": "two", "/w": "three"}},
		{name: "two are removed at once", live: files{"v": p("/v", "one"), "w": p("/w", "one")}, wait: []string{"x"},
			files: files{"x": p("/v /w", "two")}, change: remove("v", "w"), want: map[string]string{"/v": "two", "/w": "two"}},
		{name: "a replacement gives one up", live: files{"v1": p("/v /w", "one")}, wait: []string{"v2"}, files: files{"v2": p("/w", "two")},
			change: func(d *testbed.Daemon) { d.Drop("v1", p("/v", "three")) }, want: map[string]string{"/v": "three", "/w": "two"}},
		// Who gets the pattern is there first: two files are never put at once.
		{name: "a pattern moves between two", live: files{"v": p("/v /w", "one"), "x": p("/x", "one")}, change: func(d *testbed.Daemon) {
			d.Drop("x", mode("/x /w", "two", "slow"))
			d.Drop("v", p("/v", "two"))
		}, want: map[string]string{"/v": "two", "/w": "two", "/x": "two"}},
		{name: "one heir fails, the other does not", live: files{"v1": p("/v", "one")}, wait: []string{"v2", "v3"},
			files: files{"v2": mode("/v", "two", "errs second"), "v3": mode("/v", "three", "slow")}, change: remove("v1"),
			want: map[string]string{"/v": "three"}},
		{name: "the only heir is refused", live: files{"v1": p("/v", "one")}, wait: []string{"v2"},
			files: files{"v2": mode("/v", "two", "errs second")}, change: remove("v1"), want: map[string]string{"/v": ""}, gaps: []string{"/v"}},
		{name: "the only heir dies", live: files{"v1": p("/v", "one")}, wait: []string{"v2"},
			files: files{"v2": mode("/v", "two", "dies second")}, change: remove("v1"), want: map[string]string{"/v": ""}, gaps: []string{"/v"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := testbed.NewDir(t)
			t.Setenv("HEIRS", dir+"/heirs") // where those that fail the second time leave word
			conf := "[Handler v2]\nReadWritePaths=" + os.Getenv("HEIRS") + "\n[Handler v3]\nReadWritePaths=" + os.Getenv("HEIRS") + "\n"
			if err := errors.Join(os.Mkdir(os.Getenv("HEIRS"), 0o700), os.WriteFile(dir+"/plugserverd.conf", []byte(conf), 0o600)); err != nil {
				t.Fatal(err)
			}
			d := testbed.Start(t, testbed.In(dir))
			for name, plugin := range tt.live {
				d.Put(name, plugin)
			}
			for _, name := range tt.wait {
				mark := d.Log.Len()
				d.Drop(name, tt.files[name])
				d.WaitRefused(mark, name)
			}
			var paths []string
			for path := range tt.want {
				if !strings.Contains(strings.Join(tt.gaps, " "), path) {
					paths = append(paths, path)
				}
			}
			var loads []*testbed.Load
			if len(paths) > 0 {
				for _, fresh := range []bool{false, true} {
					loads = append(loads, testbed.Plan{Addr: d.Addr, Clients: 2, Paths: paths, Fresh: fresh}.Run(t))
				}
				testbed.Each(t, loads...)
			}
			mark := d.Log.Len()
			tt.change(d)
			d.Reload() // waits
			for end := time.Now().Add(testbed.Patience); ; time.Sleep(5 * time.Millisecond) {
				if wrong := unwanted(d, tt.want); wrong == "" {
					break
				} else if time.Now().After(end) {
					t.Fatal(wrong)
				}
			}
			for _, l := range loads {
				l.Unharmed(t)
			}
			for _, e := range d.Log.From(mark) {
				if tt.silent && e.Get("event") == "refused" {
					t.Errorf("refused meanwhile: %s", e.Raw)
				}
			}
		})
	}
}

// unwanted names the paths that are not served as wanted.
func unwanted(d *testbed.Daemon, want map[string]string) (wrong string) {
	for path, version := range want {
		status, body := d.Get(path)
		if version == "" && status != 404 || version != "" && (status != 200 || body != version) {
			wrong += fmt.Sprintf("GET %s: %d %q, want %q; ", path, status, body, version)
		}
	}
	return wrong
}
