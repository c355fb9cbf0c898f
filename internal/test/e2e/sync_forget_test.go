package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// What was followed is followed no more: its handlers stay, or go; what is somebody else's stays in any case.
func TestSyncForgets(t *testing.T) {
	a, b, found, mine := plain(t, "/a", "a"), plain(t, "/b", "b"), plain(t, "/found", "found"), plain(t, "/mine", "mine")
	s := syncer{testbed.Start(t), newShelf(t)}
	s.Put("found", found)
	stocks := []stocked{{name: "a", plugin: a}, {name: "b", plugin: b}, {name: "found", plugin: found}}
	s.stock(stocks...)
	s.sync(0, "in agreement", "--name", "shop")
	all := func() map[string]testbed.Plugin { return map[string]testbed.Plugin{"a": a, "b": b, "found": found} }
	forget := func(code int, want string, args ...string) {
		t.Helper()
		ctl(t, s.Daemon, code, want, append([]string{"sync", "--forget"}, args...)...)
	}
	folder := filepath.Join(s.State, "sync")
	records := func(want int) {
		t.Helper()
		files, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if f.Name() != ".lock" {
				want--
			}
		}
		if want != 0 || len(s.Status().Daemon.Syncs)*2 > len(files) {
			t.Errorf("there is %v", files)
		}
	}

	// What cannot be.
	forget(1, `nothing that is followed is "blog"; name one of shop`, "blog")
	forget(1, "--forget is in place of a reference", "shop", s.ref)
	ctl(t, s.Daemon, 1, "--remove goes with --forget", "sync", "--remove", s.ref)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "shop.conf"), []byte("[Sync]\nRef="+s.ref+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	forget(1, "shop.conf is there: its timer would place all of it again; systemctl disable --now plugserver-sync@shop.timer", "shop", "--entries", dir)
	if err := os.WriteFile(filepath.Join(dir, "shop.conf"), []byte("[Sync]\nInstance=yes\nRef="+s.ref+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	forget(0, "to be forgotten: shop", "shop", "--entries", dir, "--dry-run") // that one is of another daemon
	forget(0, "to be removed: a, b\nto be left: found\nto be forgotten: shop", "shop", "--dry-run", "--remove")
	records(2)
	untouched(t, s.Daemon, all())

	// All stays, and serves; status and metrics tell nothing of it any more. The same files are taken as they are.
	forget(0, "left: a, b, found\nforgotten: shop, which followed "+s.ref+"\n", strings.TrimSuffix(s.ref, ":prod"))
	records(0)
	untouched(t, s.Daemon, all())
	s.Want("/a", 200, "a")
	if h, _ := s.Handler("a"); h.Origin != nil {
		t.Errorf("it came from %+v", h.Origin)
	}
	if out, _, _ := s.Ctl("metrics"); strings.Contains(out, "plugserver_sync_info{") {
		t.Error("the metrics tell of it")
	}
	forget(1, `nothing is followed, and so no "shop"`, "shop")
	s.sync(0, "a was there already", "--name", "shop")

	// Of what came from there all goes, but for what somebody has put in its place.
	forget(0, "left: a, b, found\n", "shop")
	s.Take("a")
	s.Take("b")
	s.sync(0, "in agreement", "--name", "shop")
	s.Put("b", mine)
	forget(0, "\"removed\": [\n    \"a\"\n  ]", "shop", "--json", "--remove")
	records(0)
	untouched(t, s.Daemon, map[string]testbed.Plugin{"b": mine, "found": found})
	s.Want("/a", 404, "404 page not found\n")
	s.Want("/mine", 200, "mine")
	s.Want("/found", 200, "found")
}
