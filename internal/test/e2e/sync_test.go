package e2e

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
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
	"github.com/andrestc/go-plugserver/internal/operator/registry"
	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// A shelf is a repository of a registry.
type shelf struct {
	*testbed.Registry
	t   testing.TB
	ref string
}

func newShelf(t testing.TB) *shelf {
	t.Helper()
	testbed.NeedRegistry(t)
	r := testbed.StartRegistry(t, false)
	return &shelf{Registry: r, t: t, ref: r.Addr + "/shop:prod"}
}

// a stocked handler is for this platform, unless another is named.
type stocked struct {
	name      string
	plugin    testbed.Plugin
	signature string
	platform  string
}

// stock pushes handlers, and has the tag name them and no other.
func (s *shelf) stock(handlers ...stocked) (digest string) {
	s.t.Helper()
	var state artifact.State
	for _, h := range handlers {
		state = append(state, s.put(h))
	}
	return s.tag(state)
}

// put pushes one handler, which no tag names yet.
func (s *shelf) put(h stocked) artifact.Entry {
	s.t.Helper()
	repo := s.open()
	blob := func(mediaType string, content []byte) artifact.Descriptor {
		d := artifact.Blob(mediaType, content)
		if err := repo.PushBlob(s.t.Context(), d, bytes.NewReader(content), nil); err != nil {
			s.t.Fatal(err)
		}
		return d
	}
	blob(artifact.EmptyType, []byte("{}"))
	a := artifact.Handler{Name: h.name, Platform: cmp.Or(h.platform, "linux/"+runtime.GOARCH), Plugin: blob(artifact.PluginType, h.plugin.Bytes)}
	if h.signature != "" {
		d := blob(artifact.SignatureType, []byte(h.signature))
		a.Signature = &d
	}
	manifest := a.Encode()
	if _, err := repo.PushManifest(s.t.Context(), "", artifact.ManifestType, manifest); err != nil {
		s.t.Fatal(err)
	}
	return artifact.EntryOf(a, manifest)
}

// tag has the tag name a state.
func (s *shelf) tag(state artifact.State) (digest string) {
	s.t.Helper()
	d, err := s.open().PushManifest(s.t.Context(), "prod", artifact.IndexType, state.Encode())
	if err != nil {
		s.t.Fatal(err)
	}
	return d.Digest
}

func (s *shelf) open() *registry.Repository {
	s.t.Helper()
	repo, err := registry.Open(s.Addr+"/shop:prod", registry.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	return repo
}

// stop kills the registry.
func (s *shelf) stop() { s.Registry.Stop() }

// untouched fails where the handlers directory holds anything but these.
func untouched(t *testing.T, d *testbed.Daemon, want map[string]testbed.Plugin) {
	t.Helper()
	files, err := os.ReadDir(d.Handlers)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(f.Name(), ".so")
		p, is := want[name]
		if content, _ := os.ReadFile(filepath.Join(d.Handlers, f.Name())); !is && f.Name() != ".sync" || is && !bytes.Equal(content, p.Bytes) {
			t.Errorf("%s is there, or is another", f.Name())
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s is not there", name)
	}
}

// syncer is a daemon that syncs with a shelf.
type syncer struct {
	*testbed.Daemon
	*shelf
}

// sync expects an exit code, and words of either kind.
func (s syncer) sync(code int, want string, args ...string) {
	s.t.Helper()
	ctl(s.t, s.Daemon, code, want, append([]string{"sync", s.ref}, args...)...)
}

// What a tag names is what serves, from one sync to the next, and what others have put there stays.
func TestSync(t *testing.T) {
	a1, a2, b, c, mine := plain(t, "/a", "a1"), plain(t, "/a", "a2"), plain(t, "/b", "b"), plain(t, "/c", "c"), plain(t, "/mine", "mine")
	s := syncer{testbed.Start(t), newShelf(t)}
	s.Put("mine", mine)
	digest := s.stock(stocked{name: "a", plugin: a1}, stocked{name: "b", plugin: b})
	s.sync(0, "a to be placed: "+a1.Version, "--dry-run")
	untouched(t, s.Daemon, map[string]testbed.Plugin{"mine": mine})
	s.sync(0, "live: a, version "+a1.Version)
	s.Want("/a", 200, "a1")
	s.Want("/b", 200, "b")
	s.sync(0, `"bytes_pulled": 0`, "--json")
	ctl(t, s.Daemon, 0, "came from "+s.ref, "status", "a")
	ctl(t, s.Daemon, 0, "# came from "+s.ref, "show", "a")
	ctl(t, s.Daemon, 0, fmt.Sprintf("plugserver_sync_info{digest=%q,ref=%q", digest, s.ref), "metrics")
	if h, _ := s.Handler("mine"); h.Origin != nil {
		t.Errorf("mine came from %+v", h.Origin)
	}

	// One is new, one newer, one wanted no more; a file that was deleted comes again.
	s.stock(stocked{name: "a", plugin: a2}, stocked{name: "c", plugin: c})
	s.sync(0, "b to be removed: "+b.Version, "--dry-run")
	s.sync(0, "a placed: "+a2.Version+" in the place of "+a1.Version)
	untouched(t, s.Daemon, map[string]testbed.Plugin{"mine": mine, "a": a2, "c": c})
	s.Want("/a", 200, "a2")
	s.Want("/b", 404, "404 page not found\n")
	s.Take("c")
	s.sync(0, "live: c")

	// What others have put there is theirs, and the rest waits for it; unless the operator says otherwise.
	s.stock(stocked{name: "a", plugin: a1}, stocked{name: "mine", plugin: b})
	s.sync(1, "refused mine: somebody else has put "+s.Path("mine")+" there")
	untouched(t, s.Daemon, map[string]testbed.Plugin{"mine": mine, "a": a2, "c": c})
	ctl(t, s.Daemon, 0, "not in agreement since", "status")
	ctl(t, s.Daemon, 0, `plugserver_sync_refused_handlers{sync="`, "metrics")
	s.sync(1, "live: a, version "+a1.Version, "--partial")
	untouched(t, s.Daemon, map[string]testbed.Plugin{"mine": mine, "a": a1})
	s.sync(0, "mine placed: "+b.Version+" in the place of "+mine.Version, "--replace")
	s.Want("/b", 200, "b")
	s.sync(0, "in agreement")
	untouched(t, s.Daemon, map[string]testbed.Plugin{"mine": b, "a": a1})

	// Another entry takes nothing from this one, and one is not synced twice at a time.
	ctl(t, s.Daemon, 1, "has placed a handler of that name", "sync", s.ref, "--name", "other")
	lock, err := synced.LockEntry(filepath.Join(s.State, "sync"), "other")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	ctl(t, s.Daemon, 1, "another one of it is under way", "sync", s.ref, "--name", "other")
}

// A handler that was in a bad way before a sync is told of, and keeps none back; a canary comes with a release as any
// handler does.
func TestSyncBeside(t *testing.T) {
	a1, a2, b, c := plain(t, "/a", "a1"), plain(t, "/a", "a2"), plain(t, "/b", "b"), plain(t, "/b", "c")
	s := syncer{testbed.Start(t), newShelf(t)}
	s.stock(stocked{name: "a", plugin: a1})
	s.sync(0, "in agreement")
	s.stock(stocked{name: "a", plugin: a2})
	s.sync(0, "in agreement")
	ctl(t, s.Daemon, 0, a1.Version, "rollback", "a")
	s.stock(stocked{name: "a", plugin: a2}, stocked{name: "b", plugin: b})
	s.sync(1, "b placed: "+b.Version)
	untouched(t, s.Daemon, map[string]testbed.Plugin{"a": a2, "b": b})
	s.sync(1, "nothing was changed")
	s.stock(stocked{name: "b", plugin: b}, stocked{name: "b.canary", plugin: c})
	s.sync(0, "b.canary placed: "+c.Version)
	s.sync(0, "in agreement")

	// An entry that somebody made by hand follows no other repository by mistake.
	name := strings.NewReplacer(":", "-", "/", "-").Replace(s.shelf.Addr + "/shop")
	ctl(t, s.Daemon, 1, "the entry "+name+" follows "+s.ref, "sync", s.shelf.Addr+"/other:prod", "--name", name)
}

// Where one is refused all is as it was before; or all others are new.
func TestSyncPutsBack(t *testing.T) {
	a1, a2, b, taken := plain(t, "/a", "a1"), plain(t, "/a", "a2"), plain(t, "/b", "b"), plain(t, "/mine", "x")
	s := syncer{testbed.Start(t), newShelf(t)}
	mine := plain(t, "/mine", "mine")
	s.Put("mine", mine)
	s.stock(stocked{name: "a", plugin: a1}, stocked{name: "b", plugin: b})
	s.sync(0, "in agreement")
	s.Allow("refused: bad")
	before := map[string]testbed.Plugin{"mine": mine, "a": a1, "b": b}
	s.stock(stocked{name: "a", plugin: a2}, stocked{name: "bad", plugin: taken})
	s.sync(1, `refused bad: pattern "/mine" is taken by handler "mine"`)
	untouched(t, s.Daemon, maps.Clone(before))
	s.Want("/a", 200, "a1")
	s.Want("/b", 200, "b")
	s.Want("/mine", 200, "mine")

	// A timer does not try it again and again, and says so.
	mark := s.Log.Len()
	dir, name := t.TempDir(), strings.NewReplacer(":", "-", "/", "-").Replace(s.shelf.Addr+"/shop")
	if err := os.WriteFile(filepath.Join(dir, name+".conf"), []byte("[Sync]\nInterval=1min\nRef="+s.ref+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TRIGGER_UNIT", "plugserver-sync@shop.timer")
	scheduled := func(code int, want string) {
		t.Helper()
		ctl(t, s.Daemon, code, want, "sync", "--entries", dir, "--entry", name, "--scheduled")
	}
	scheduled(1, `refused bad: pattern "/mine" is taken by handler "mine"`)
	for _, e := range s.Log.From(mark) {
		if strings.Contains(e.Raw, `"bad"`) {
			t.Errorf("it was tried: %s", e.Raw)
		}
	}
	s.sync(1, "refused bad: ", "--partial")
	untouched(t, s.Daemon, map[string]testbed.Plugin{"mine": mine, "a": a2})
	s.Want("/a", 200, "a2")
	s.stock(stocked{name: "a", plugin: a2})
	scheduled(0, "")
	if out, errs, code := s.Ctl("sync", "--entries", dir, "--entry", name, "--scheduled"); out+errs != "" || code != 0 {
		t.Errorf("nothing has changed: exit %d, %s%s", code, out, errs)
	}

	// Nor does it ask before its time; who starts the service by hand does.
	if err := os.WriteFile(filepath.Join(dir, name+".conf"), []byte("[Sync]\nInterval=168h\nRef="+s.ref+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.stock(stocked{name: "a", plugin: a1})
	scheduled(0, "")
	s.Want("/a", 200, "a2")
	t.Setenv("TRIGGER_UNIT", "")
	scheduled(0, "live: a, version "+a1.Version)
	for _, origin := range s.Status().Daemon.Syncs {
		if !origin.OK || origin.Refusals != 3 || origin.Failures != 3 {
			t.Errorf("it is %+v", origin)
		}
	}
}

// A registry that is away, lies, or has half of it changes nothing.
func TestSyncFaults(t *testing.T) {
	a1, a2, b := plain(t, "/a", "a1"), plain(t, "/a", "a2"), plain(t, "/b", "b")
	s := syncer{testbed.Start(t), newShelf(t)}
	s.stock(stocked{name: "a", plugin: a1})
	s.sync(0, "in agreement")
	same := func() {
		t.Helper()
		untouched(t, s.Daemon, map[string]testbed.Plugin{"a": a1})
		s.Want("/a", 200, "a1")
	}
	other := map[string]string{"amd64": "arm64"}[runtime.GOARCH]
	s.stock(stocked{name: "a", plugin: a2}, stocked{name: "b", plugin: b, platform: "linux/" + cmp.Or(other, "amd64")})
	s.sync(1, "refused b: nothing was pushed of it for linux/"+runtime.GOARCH)
	same()

	s.stock(stocked{name: "a", plugin: a2})
	blob := s.Blob(artifact.Blob("", a2.Bytes).Digest)
	whole, err := os.ReadFile(blob)
	if err != nil {
		t.Fatal(err)
	}
	tampered := bytes.Clone(whole)
	tampered[len(tampered)/2]++
	for text, content := range map[string][]byte{"what comes is sha256:": tampered, "broke off after": whole[:len(whole)/2], "half pushed": nil} {
		if err := os.WriteFile(blob, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if content == nil {
			if err := os.Remove(blob); err != nil {
				t.Fatal(err)
			}
		}
		s.sync(1, text)
		same()
	}
	if err := os.WriteFile(blob, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	s.stop()
	s.sync(1, "does not answer")
	same()
	ctl(t, s.Daemon, 0, "does not answer", "status")
	s.shelf.Start()
	s.sync(0, "live: a, version "+a2.Version)

	// A record that is none changes nothing, either.
	records, err := filepath.Glob(filepath.Join(s.State, "sync", "*.json"))
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	if err := os.WriteFile(records[0], []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.stock(stocked{name: "a", plugin: a1})
	s.sync(1, "it is no record of plugserverctl's")
	ctl(t, s.Daemon, 0, "note: read what was synced, ", "status")
	untouched(t, s.Daemon, map[string]testbed.Plugin{"a": a2})
}

// A registry that is killed while it sends is asked for the rest alone, once it is there again.
func TestSyncResumes(t *testing.T) {
	s := syncer{testbed.Start(t), newShelf(t)}
	a := plain(t, "/a", "a1")
	s.stock(stocked{name: "a", plugin: a})
	const sent = 1 << 20
	cut, asked, killed := atomic.Bool{}, atomic.Value{}, make(chan struct{})
	cut.Store(true)
	to, err := url.Parse("http://" + s.shelf.Addr)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, artifact.Blob("", a.Bytes).Digest) {
			asked.Store(r.Header.Get("Range"))
			if cut.Load() {
				w.Header().Set("Content-Length", fmt.Sprint(len(a.Bytes)))
				w.Write(a.Bytes[:sent])
				http.NewResponseController(w).Flush()
				s.stop()
				close(killed)
				panic(http.ErrAbortHandler)
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	defer front.Close()
	s.ref = strings.TrimPrefix(front.URL, "http://") + "/shop:prod"
	s.sync(1, fmt.Sprintf("broke off after %d of %d bytes", sent, len(a.Bytes)))
	untouched(t, s.Daemon, map[string]testbed.Plugin{})
	<-killed
	cut.Store(false)
	s.shelf.Start()
	s.sync(0, fmt.Sprintf(`"bytes_pulled": %d`, len(a.Bytes)-sent), "--json")
	if got := asked.Load(); got != fmt.Sprintf("bytes=%d-", sent) {
		t.Errorf("asked for %v", got)
	}
	s.Want("/a", 200, "a1")
	untouched(t, s.Daemon, map[string]testbed.Plugin{"a": a})
}

// A sync that is killed, wherever it is, leaves nothing that the next one does not put right, and clients see none of it.
func TestSyncKilled(t *testing.T) {
	s := syncer{testbed.Start(t), newShelf(t)}
	names := []string{"a", "b", "c"}
	release := func(version string) (all []stocked) {
		for _, name := range names {
			all = append(all, stocked{name: name, plugin: plain(t, "/"+name, version)})
		}
		return all
	}
	s.stock(release("v0")...)
	s.sync(0, "in agreement")
	load := testbed.Plan{Addr: s.Daemon.Addr, Paths: []string{"/a", "/b"}, Clients: 2}.Run(t)
	for i := 1; i <= 4; i++ {
		all := release(fmt.Sprint("v", i))
		if i == 2 { // one is wanted no more, and again thereafter
			all = all[:2]
		}
		s.stock(all...)
		for _, after := range []time.Duration{time.Duration(i) * 40 * time.Millisecond, time.Duration(i) * 15 * time.Millisecond} {
			cmd := exec.Command(s.CtlPath(), "--control", s.Control, "sync", s.ref)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			kill := time.AfterFunc(after, func() { cmd.Process.Kill() })
			cmd.Wait()
			kill.Stop()
		}
		s.sync(0, "in agreement")
		for _, h := range all {
			s.Want("/"+h.name, 200, fmt.Sprint("v", i))
		}
		want := make(map[string]testbed.Plugin)
		for _, h := range all {
			want[h.name] = h.plugin
		}
		untouched(t, s.Daemon, want)
	}
	load.Unharmed(t)
}

// What a sync has placed that was killed before the daemon refused it does not stay.
func TestSyncInterrupted(t *testing.T) {
	a1, a2, b, taken, mine := plain(t, "/a", "a1"), plain(t, "/a", "a2"), plain(t, "/b", "b"), plain(t, "/mine", "x"), plain(t, "/mine", "mine")
	s := syncer{testbed.Start(t), newShelf(t)}
	s.Put("mine", mine)
	s.stock(stocked{name: "a", plugin: a1}, stocked{name: "b", plugin: b})
	s.sync(0, "in agreement")
	s.Allow("refused: bad")
	digest := s.stock(stocked{name: "a", plugin: a2}, stocked{name: "bad", plugin: taken})
	mark := s.Log.Len()
	cmd := exec.Command(s.CtlPath(), "--control", s.Control, "sync", s.ref)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(testbed.Patience); ; time.Sleep(time.Millisecond) {
		if _, err := os.Lstat(s.Path("bad")); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatalf("it is not placed: %v", err)
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	// Who promotes what is in agreement asks for that while a sync is under way, too.
	records, err := synced.All(filepath.Join(s.State, "sync"))
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	for _, r := range records {
		if r.Digest != digest || !r.Tried.After(r.Agreed) {
			t.Errorf("it has %s, tried %v, and was in agreement %v", r.Digest, r.Tried, r.Agreed)
		}
	}
	s.WaitLogFrom(mark, "its refusal", testbed.Says("bad", "refused: bad"))
	s.sync(1, `refused bad: pattern "/mine" is taken by handler "mine"`)
	untouched(t, s.Daemon, map[string]testbed.Plugin{"mine": mine, "a": a1, "b": b})
	s.Want("/a", 200, "a1")
	s.Want("/b", 200, "b")
}

// What [Trust] does not let run is not placed.
func TestSyncSigned(t *testing.T) {
	key, public, id := signer(t)
	foreign, _, _ := signer(t)
	dir := testbed.NewDir(t)
	h := &signedHouse{t: t, dir: dir}
	h.trust("PublicKey="+public, "Require=yes", "Monotonic=yes")
	h.restart()
	s := syncer{h.Daemon, newShelf(t)}
	one, two := plain(t, "/a", "one"), plain(t, "/a", "two")
	signed := func(p testbed.Plugin, key string, flags ...string) stocked {
		text, err := os.ReadFile(h.file(p, key, flags...) + ".minisig")
		if err != nil {
			t.Fatal(err)
		}
		return stocked{name: "a", plugin: p, signature: string(text)}
	}
	first, second := signed(one, key, "--version", "1"), signed(two, key, "--version", "2")
	s.stock(second)
	s.sync(0, "live: a, version "+two.Version)
	altered := second
	altered.plugin = one
	for want, h := range map[string]stocked{
		"not signed: there is no signature": {name: "a", plugin: one}, "which is none of [Trust]": signed(one, foreign, "--version", "3"),
		"older than what was served": first, "not what was signed with the key " + id: altered, "for the handler a": {name: "b", plugin: two, signature: second.signature},
	} {
		s.stock(h)
		s.sync(1, want)
		s.Want("/a", 200, "two")
		if text, err := os.ReadFile(s.Path("a") + ".minisig"); string(text) != second.signature {
			t.Errorf("%s: the signature is %q, %v", want, text, err)
		}
	}
	third := signed(two, key, "--version", "3") // of the same file
	s.stock(third)
	s.sync(0, fmt.Sprintf(`"bytes_pulled": %d`, len(third.signature)), "--json")
	ctl(t, s.Daemon, 0, "as version 3", "status", "a")
}

// With --canary what is newer is judged beside what serves, by the daemon: promoted it takes that one's place, and
// withdrawn it is told, and what served serves on. It is signed for the handler.
func TestSyncCanary(t *testing.T) {
	key, public, _ := signer(t)
	h := &signedHouse{t: t, dir: testbed.NewDir(t)}
	h.trust("PublicKey="+public, "Require=yes", "[Handler shared]", "CanaryWeight=50%", "CanaryFor=100ms", "CanaryMinRequests=100", "CanaryMaxSlowdown=infinity")
	h.restart()
	h.Allow("withdrawn: shared.canary")
	s := syncer{h.Daemon, newShelf(t)}
	release := func(version string) testbed.Plugin {
		p := shared(t, version)
		text, err := os.ReadFile(h.file(p, key, "--handler", "shared") + ".minisig")
		if err != nil {
			t.Fatal(err)
		}
		s.stock(stocked{name: "shared", plugin: p, signature: string(text)})
		return p
	}
	there := func(what ...testbed.Plugin) {
		t.Helper()
		for i, name := range []string{"shared", "shared.canary"} {
			content, _ := os.ReadFile(s.Path(name))
			if i < len(what) && !bytes.Equal(content, what[i].Bytes) || i >= len(what) && content != nil {
				t.Errorf("%s is there, with %d bytes", name, len(content))
			}
		}
	}
	one := release("one")
	s.sync(0, "in agreement", "--canary")
	plan := testbed.Plan{Addr: s.Addr, Paths: []string{"/shared"}, Clients: 2, Check: func(_ string, a testbed.Answer) error {
		if a.Status != http.StatusOK && string(a.Body) != "broken" {
			return fmt.Errorf("%d %q", a.Status, a.Body)
		}
		return nil
	}, Pause: func(int) time.Duration { return 100 * time.Millisecond }}
	few := plan.Run(t)
	plan.Clients, plan.Fresh, plan.Pause = 8, true, func(int) time.Duration { return 5 * time.Millisecond }
	many := plan.Run(t) // both versions have some, whichever connections are whose
	// judging has a canary begin, with too few requests to be judged by, and waits for what becomes of it with many.
	judging := func(event string, begin func()) {
		t.Helper()
		mark := s.Log.Len()
		func() {
			many.Rest()
			defer many.Resume()
			begin()
		}()
		s.WaitLogFrom(mark, event, func(e testbed.Entry) bool { return e.Get("event") == event })
	}
	judge := func(version, event string) (p testbed.Plugin) {
		t.Helper()
		judging(event, func() {
			p = release(version)
			s.sync(0, "shared is judged as a canary", "--canary")
			s.sync(0, "", "--canary", "--dry-run")
		})
		return p
	}

	// Who goes back before a sync has seen the promotion is back, whoever rolls back meanwhile; what was promoted is no agreement then.
	two := judge("two", "canary_promoted")
	release("one")
	s.sync(0, "shared placed: "+one.Version, "--canary")
	there(one)
	s.Want("/shared", 200, "one")
	judge("two", "canary_promoted")
	ctl(t, s.Daemon, 0, one.Version, "rollback", "shared")
	s.sync(1, "it was promoted, but shared serves version "+one.Version+" since", "--canary")
	release("one")
	s.sync(0, "in agreement", "--canary")
	there(one)

	judge("two", "canary_promoted")
	there(one, two)
	ctl(t, s.Daemon, 0, "not in agreement since", "status")
	ctl(t, s.Daemon, 0, "judged as a canary: shared", "status")
	s.sync(0, "in agreement", "--canary")
	there(two)
	s.sync(0, "in agreement", "--canary")
	three := judge("three", "canary_promoted")
	ctl(t, s.Daemon, 0, "promoted: shared", "canary", "shared", "--promote")
	s.sync(0, "in agreement", "--canary")
	there(three)
	two = judge("two", "canary_promoted")
	s.sync(0, "in agreement", "--canary")

	bad := judge("broken", "canary_withdrawn")
	for range 2 {
		s.sync(1, "failed, of the incumbent's in the same time 0 of", "--canary")
		s.sync(1, "failed, of the incumbent's in the same time 0 of", "--canary", "--dry-run")
		there(two, bad)
	}
	ctl(t, s.Daemon, 0, "shared.canary: version "+bad.Version+" was withdrawn: ", "status")
	s.Want("/shared", 200, "two")
	release("two")
	s.sync(0, "in agreement", "--canary")
	there(two)

	// A canary of somebody else that was promoted is no agreement either, until its file is gone.
	own := shared(t, "own")
	judging("canary_promoted", func() {
		ctl(t, s.Daemon, 0, "", "canary", "shared", h.file(own, key, "--handler", "shared"))
	})
	s.sync(1, "have the next sync serve what the registry has: rm "+s.Path("shared.canary"), "--canary")
	there(two, own)
	if err := os.Remove(s.Path("shared.canary")); err != nil {
		t.Fatal(err)
	}
	s.sync(0, "shared placed: "+two.Version, "--canary")
	there(two)
	s.Want("/shared", 200, "two")
	few.Unharmed(t)
	many.Unharmed(t)
}

// A full disk changes nothing, and is not kept full.
func TestSyncFullDisk(t *testing.T) {
	dir := testbed.NewDir(t)
	a := plain(t, "/a", "a1")
	handlers := filepath.Join(dir, "handlers")
	small(t, handlers, len(a.Bytes)*3/2)
	s := syncer{testbed.Start(t, testbed.In(dir)), newShelf(t)}
	b := plain(t, "/b", "b")
	s.stock(stocked{name: "a", plugin: a})
	s.sync(0, "live: a")
	s.stock(stocked{name: "a", plugin: a}, stocked{name: "b", plugin: b})
	s.sync(1, "nothing is changed: make room")
	untouched(t, s.Daemon, map[string]testbed.Plugin{"a": a})
	var st syscall.Statfs_t
	if err := syscall.Statfs(handlers, &st); err != nil || int64(st.Bfree)*st.Bsize < int64(len(a.Bytes))/3 {
		t.Errorf("%d blocks are free: %v", st.Bfree, err)
	}
	s.Want("/a", 200, "a1")
}
