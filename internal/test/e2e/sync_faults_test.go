package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/desired"
	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// A timed box follows a shelf as the timer of the package has it do.
type timed struct {
	syncer
	entries string
}

func newTimed(t *testing.T, interval string) timed {
	t.Helper()
	b := timed{syncer{testbed.Start(t), newShelf(t)}, t.TempDir()}
	if err := os.WriteFile(filepath.Join(b.entries, "shop.conf"), []byte("[Sync]\nInterval="+interval+"\nRef="+b.ref+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TRIGGER_UNIT", "plugserver-sync@shop.timer")
	return b
}

// tick is one of the timer's runs.
func (b timed) tick(code int, want string) {
	b.t.Helper()
	out, errs, got := b.Ctl("sync", "--entries", b.entries, "--entry", "shop", "--scheduled")
	if got != code || !strings.Contains(out+errs, want) || want == "" && out+errs != "" {
		b.t.Errorf("exit %d, want %d with %q\n%s%s", got, code, want, out, errs)
	}
}

// record is what the box remembers; pass has it be of so long ago.
func (b timed) record() *synced.Record {
	b.t.Helper()
	r, err := synced.Load(filepath.Join(b.State, "sync"), "shop")
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b timed) pass(time time.Duration) {
	b.t.Helper()
	r := b.record()
	r.Tried, r.Agreed = r.Tried.Add(-time), r.Agreed.Add(-time)
	if err := r.Save(filepath.Join(b.State, "sync"), "shop"); err != nil {
		b.t.Fatal(err)
	}
}

// A registry that is down for an hour is asked once in each interval, and no more; all that serves goes on, and status
// and metrics tell since when it is behind. The first run thereafter brings what was pushed meanwhile.
func TestSyncDownForAnHour(t *testing.T) {
	a1, a2 := plain(t, "/a", "a1"), plain(t, "/a", "a2")
	b := newTimed(t, "30min")
	digest := b.stock(stocked{name: "a", plugin: a1})
	b.tick(0, "live: a, version "+a1.Version)
	b.stock(stocked{name: "a", plugin: a2})
	b.stop()
	for range 2 {
		b.tick(0, "") // within the interval: nobody is asked
		b.pass(30 * time.Minute)
		b.tick(1, "does not answer")
	}
	b.Want("/a", 200, "a1")
	untouched(t, b.Daemon, map[string]testbed.Plugin{"a": a1})
	ctl(t, b.Daemon, 0, "sync shop: 1 handler of "+b.ref+", not in agreement since 1h ago: registry", "status")
	out, _, _ := b.Ctl("metrics")
	var success, attempt float64
	for metric, v := range map[string]*float64{"success": &success, "attempt": &attempt} {
		if _, text, ok := strings.Cut(out, "plugserver_sync_last_"+metric+`_timestamp_seconds{sync="shop"} `); ok {
			fmt.Sscan(text, v)
		}
	}
	if behind := attempt - success; behind < 3600 || behind > 3700 || !strings.Contains(out, `plugserver_sync_failures_total{sync="shop"} 2`) || !strings.Contains(out, digest) {
		t.Errorf("it is %v s behind:\n%s", behind, out)
	}

	b.shelf.Start()
	b.tick(0, "") // it has its turn
	b.pass(30 * time.Minute)
	b.tick(0, "live: a, version "+a2.Version)
	b.Want("/a", 200, "a2")
	if s := b.Status().Daemon.Syncs; len(s) != 1 || !s[0].OK || s[0].Problem != "" || s[0].Failures != 2 {
		t.Errorf("it is %+v", s)
	}
}

// A box that was off for a week serves what it had, and comes to what is wanted now, though the registry has deleted
// what was wanted then, and half of a release that was never placed is there.
func TestSyncOffForAWeek(t *testing.T) {
	a1, a2, a3, c := plain(t, "/a", "a1"), plain(t, "/a", "a2"), plain(t, "/a", "a3"), plain(t, "/c", "c")
	b := newTimed(t, "5min")
	first := b.stock(stocked{name: "a", plugin: a1}, stocked{name: "c", plugin: c})
	b.tick(0, "live: a, version "+a1.Version)
	b.pass(7 * 24 * time.Hour)
	second := b.stock(stocked{name: "a", plugin: a2}, stocked{name: "c", plugin: c})
	half := filepath.Join(b.Handlers, ".sync", "shop", a2.Version, "a.so")
	if err := errors.Join(os.MkdirAll(filepath.Dir(half), 0o700), os.WriteFile(half, a2.Bytes[:1000], 0o600)); err != nil {
		t.Fatal(err)
	}
	last := b.stock(stocked{name: "a", plugin: a3})
	b.collect([]string{first, second}, a1, a2, c)

	b.Stop()
	again := testbed.Start(t, testbed.In(filepath.Dir(b.State)))
	b.Daemon = again
	b.Want("/a", 200, "a1")
	b.Want("/c", 200, "c")
	b.tick(0, "a placed: "+a3.Version+" in the place of "+a1.Version)
	b.Want("/a", 200, "a3")
	b.Want("/c", 404, "404 page not found\n")
	untouched(t, b.Daemon, map[string]testbed.Plugin{"a": a3})
	if _, err := os.Lstat(filepath.Dir(half)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was half there stays: %v", err)
	}
	if r := b.record(); r.AgreedDigest != last || len(r.Placed) != 1 || time.Since(r.Agreed) > time.Hour {
		text, _ := json.Marshal(r)
		t.Errorf("the record is %s", text)
	}
}

// collect has an administrator delete states, and the registry what only they named, and fails unless these plugins are gone.
func (s *shelf) collect(states []string, gone ...testbed.Plugin) {
	s.t.Helper()
	for _, digest := range states {
		state, _, err := desired.ReadState(s.t.Context(), s.open(), digest)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range append(state, artifact.Entry{Manifest: artifact.Descriptor{Digest: digest}}) {
			req, err := http.NewRequestWithContext(s.t.Context(), http.MethodDelete, "http://"+s.Addr+"/v2/shop/manifests/"+e.Manifest.Digest, nil)
			if err != nil {
				s.t.Fatal(err)
			}
			answer, err := http.DefaultClient.Do(req)
			if err != nil {
				s.t.Fatal(err)
			}
			answer.Body.Close()
		}
	}
	s.sweep()
	for _, p := range gone {
		if _, err := os.Lstat(s.Blob(artifact.Blob("", p.Bytes).Digest)); !errors.Is(err, os.ErrNotExist) {
			s.t.Errorf("%s is still there: %v", p.Version, err)
		}
	}
}

// sweep has the registry, while it is stopped, delete what no manifest names.
func (s *shelf) sweep(flags ...string) {
	s.t.Helper()
	s.stop()
	args := append(append([]string{"garbage-collect"}, flags...), filepath.Join(s.Data, "config.yml"))
	if said, err := exec.Command("docker-registry", args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s", err, said)
	}
	s.Registry.Start()
}

// Debian's registry deletes, of a tag that is an index, the manifests that this names, where it is told to delete all that
// has no tag. Boxes go on with what they have, and the same push again is all that it takes.
func TestSyncSwept(t *testing.T) {
	a1, a2 := plain(t, "/a", "a1"), plain(t, "/a", "a2")
	s := syncer{testbed.Start(t), newShelf(t)}
	s.stock(stocked{name: "a", plugin: a1})
	s.sync(0, "in agreement")
	s.stock(stocked{name: "a", plugin: a2})
	s.sweep("--delete-untagged")
	s.sync(1, "it was half pushed, or deleted since; push it again")
	s.Want("/a", 200, "a1")
	untouched(t, s.Daemon, map[string]testbed.Plugin{"a": a1})
	ctl(t, s.Daemon, 0, "pushed: a, version "+a2.Version, "push", s.ref, fileOf(t, a2, "a.so"))
	s.sync(0, "live: a, version "+a2.Version)
}

// small puts a file system of so many bytes over a folder.
func small(t *testing.T, dir string, bytes int) {
	t.Helper()
	if os.Getuid() != 0 {
		testbed.Missing(t, "a file system of a few MB is mounted by root alone")
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("mode=0755,size=%d", bytes)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// A registry whose disk is full takes nothing, and its tag stays as it is; once there is room, the same push goes through.
func TestPushToFullDisk(t *testing.T) {
	a1, a2 := plain(t, "/a", "a1"), plain(t, "/a", "a2")
	s := newShelf(t)
	s.stop()
	small(t, s.Data, len(a1.Bytes)*3/2)
	s.Registry.Start()
	d := testbed.Start(t)
	push := func(code int, want string, p testbed.Plugin) {
		t.Helper()
		ctl(t, d, code, want, "push", s.ref, fileOf(t, p, "a.so"))
	}
	push(0, "new: "+s.ref, a1)
	push(1, "its log says why: a full disk, say", a2)
	syncer{d, s}.sync(0, "live: a, version "+a1.Version)
	if err := syscall.Mount("tmpfs", s.Data, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", len(a1.Bytes)*4)); err != nil {
		t.Fatal(err)
	}
	push(0, "changed: "+s.ref, a2)
	syncer{d, s}.sync(0, "live: a, version "+a2.Version)
}

// Where what was placed cannot be remembered, nothing is.
func TestSyncFullState(t *testing.T) {
	a1, a2 := plain(t, "/a", "a1"), plain(t, "/a", "a2")
	dir := testbed.NewDir(t)
	folder := filepath.Join(dir, "state", "sync")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	small(t, folder, 64<<10)
	s := syncer{testbed.Start(t, testbed.In(dir)), newShelf(t)}
	s.stock(stocked{name: "a", plugin: a1})
	s.sync(0, "live: a")
	ballast := filepath.Join(folder, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	s.stock(stocked{name: "a", plugin: a2})
	s.sync(1, "no space left on device")
	untouched(t, s.Daemon, map[string]testbed.Plugin{"a": a1})
	s.Want("/a", 200, "a1")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s.sync(0, "live: a, version "+a2.Version)
	untouched(t, s.Daemon, map[string]testbed.Plugin{"a": a2})
}

// BenchmarkSyncOfMany is what a box has to do with 500 handlers under one tag: all of them at first, one that has changed, and
// nothing. It takes 13 GB of disk, and is run by hand: go test -run '^$' -bench SyncOfMany -benchtime 1x ./internal/test/e2e
func BenchmarkSyncOfMany(b *testing.B) {
	defer func(was time.Duration) { testbed.Patience = was }(testbed.Patience)
	testbed.Patience = 15 * time.Minute
	const handlers = 500
	d, s := testbed.Start(b), newShelf(b)
	asked, sent := new(atomic.Int64), new(atomic.Int64)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.Addr})
	proxy.ModifyResponse = func(r *http.Response) error {
		if asked.Add(1); r.Request.Method != http.MethodHead {
			sent.Add(max(0, r.ContentLength))
		}
		return nil
	}
	front := httptest.NewServer(proxy)
	defer front.Close()
	var state artifact.State
	for i := range handlers {
		name := fmt.Sprintf("h%03d", i)
		state = append(state, s.put(stocked{name: name, plugin: plain(b, "/"+name, "one")}))
		runtime.GC() // of 8 MB each
	}
	sync := func(what string, state artifact.State) {
		s.tag(state)
		asked.Store(0)
		sent.Store(0)
		began := time.Now()
		out, errs, code := d.Ctl("sync", strings.TrimPrefix(front.URL, "http://")+"/shop:prod", "--json")
		took := time.Since(began)
		var told struct {
			OK      bool  `json:"ok"`
			Changes []any `json:"changes"`
		}
		if err := json.Unmarshal([]byte(out), &told); err != nil || code != 0 || !told.OK {
			b.Fatalf("exit %d, %v\n%s%s", code, err, out, errs)
		}
		b.Logf("%s: %v, %d changed; %d requests, %.1f MB", what, took.Round(time.Millisecond), len(told.Changes), asked.Load(), float64(sent.Load())/1e6)
	}
	for b.Loop() {
		sync("all", state)
		sync("nothing", state)
		one := s.put(stocked{name: "h250", plugin: plain(b, "/h250", "two")})
		sync("one of them", state.With(one))
		sync("back", state)
	}
}
