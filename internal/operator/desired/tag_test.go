package desired

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/registry"
	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testbed.CleanUp()
	os.Exit(code)
}

// meeting is a registry behind which those that have begun to write the tag prod wait until
// two have, and write then: each has looked at it before the other wrote.
type meeting struct {
	addr     string
	arrived  sync.WaitGroup // two writers
	recorded sync.WaitGroup // both have written the tag, and the history
}

func meet(t *testing.T, reg *testbed.Registry) *meeting {
	m := new(meeting)
	m.arrived.Add(2)
	m.recorded.Add(2)
	behind := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: reg.Addr})
	var writers, records atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch tag := strings.TrimPrefix(r.URL.Path, "/v2/shop/manifests/"); {
		case r.Method == http.MethodPut && tag == "prod" && writers.Add(1) <= 2:
			m.arrived.Done()
			m.arrived.Wait()
		case r.Method == http.MethodPut && tag == artifact.HistoryTag("prod") && records.Add(1) <= 2:
			defer m.recorded.Done()
		}
		behind.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	m.addr = strings.TrimPrefix(server.URL, "http://")
	return m
}

// handler puts one into the registry, and returns its entry.
func handler(t *testing.T, repo *registry.Repository, name, content string) artifact.Entry {
	t.Helper()
	h := artifact.Handler{Name: name, Platform: "linux/amd64", Plugin: artifact.Blob("", []byte(content))}
	b := h.Encode()
	err := errors.Join(
		repo.PushBlob(t.Context(), artifact.Empty, strings.NewReader("{}"), nil),
		repo.PushBlob(t.Context(), h.Plugin, strings.NewReader(content), nil))
	if err == nil {
		_, err = repo.PushManifest(t.Context(), "", artifact.ManifestType, b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return artifact.EntryOf(h, b)
}

// at is the tag prod as somebody sees it.
func at(t *testing.T, addr, by string) *Tag {
	t.Helper()
	repo, err := registry.Open(addr+"/shop:prod", registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &Tag{Repo: repo, Name: "prod", by: by, tell: func(said string) { t.Logf("%s: %s", by, said) }}
}

// names are the handlers of the tag, with the first digits of their manifests.
func names(t *testing.T, on *Tag) string {
	t.Helper()
	s, _, err := on.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(s.Names(), " ")
}

// both have two change the tag, each after the other has looked at it and before it has written.
func both(t *testing.T, reg *testbed.Registry, first, second []artifact.Entry) (errs [2]error) {
	t.Helper()
	m := meet(t, reg)
	var all sync.WaitGroup
	for i, entries := range [][]artifact.Entry{first, second} {
		on := at(t, m.addr, fmt.Sprint("pusher", i))
		met := false
		on.settle = func(ctx context.Context, took time.Duration) error {
			if met {
				return settle(ctx, took)
			}
			met = true
			m.recorded.Wait()
			return nil
		}
		all.Go(func() {
			_, _, errs[i] = on.Change(t.Context(), func(s artifact.State) artifact.State { return s.With(entries...) }, artifact.Record{Action: artifact.Pushed})
		})
	}
	all.Wait()
	return errs
}

// Of two pushes at the same time none is lost, and of two of one handler one is told.
func TestTwoPushesAtOnce(t *testing.T) {
	testbed.NeedRegistry(t)
	reg := testbed.StartRegistry(t, false)
	on := at(t, reg.Addr, "setup")
	old := handler(t, on.Repo, "old", "old")
	if _, _, err := on.Change(t.Context(), func(artifact.State) artifact.State { return artifact.State{old} }, artifact.Record{Action: artifact.Pushed}); err != nil {
		t.Fatal(err)
	}
	a, b := handler(t, on.Repo, "a", "a"), handler(t, on.Repo, "b", "b")
	errs := both(t, reg, []artifact.Entry{a}, []artifact.Entry{b})
	if got := names(t, on); errs[0] != nil || errs[1] != nil || got != "a b old" {
		t.Errorf("of two handlers: %v, there is %q", errs, got)
	}
	h, err := on.History(t.Context())
	by := make(map[string]bool)
	for _, r := range h {
		by[r.By] = true
	}
	if err != nil || !by["pusher0"] || !by["pusher1"] || !by["setup"] {
		t.Errorf("the history has %+v, %v", h, err)
	}

	errs = both(t, reg, []artifact.Entry{handler(t, on.Repo, "a", "a2")}, []artifact.Entry{handler(t, on.Repo, "a", "a3")})
	if (errs[0] == nil) == (errs[1] == nil) || !strings.Contains(errors.Join(errs[:]...).Error(), "somebody else has pushed another a for linux/amd64 at the same time") {
		t.Errorf("of one handler: %v", errs)
	}
}

// A record that others take away, more than once, is there in the end.
func TestRecordStays(t *testing.T) {
	testbed.NeedRegistry(t)
	reg := testbed.StartRegistry(t, false)
	on := at(t, reg.Addr, "ada")
	e := handler(t, on.Repo, "a", "a")
	taken := 0
	on.settle = func(ctx context.Context, _ time.Duration) (err error) {
		if taken < 2 {
			taken++
			_, err = on.Repo.PushManifest(ctx, artifact.HistoryTag("prod"), artifact.IndexType, artifact.History{}.Encode())
		}
		return err
	}
	_, now, err := on.Change(t.Context(), func(artifact.State) artifact.State { return artifact.State{e} }, artifact.Record{Action: artifact.Pushed})
	h, err2 := on.History(t.Context())
	if err := errors.Join(err, err2); err != nil || taken != 2 || len(h) != 1 || h[0].State.Digest != now.Digest {
		t.Errorf("taken away %d times: %+v, %v", taken, h, err)
	}
}

// Where the registry is gone before it is seen what became of a change, that is told.
func TestNotSeen(t *testing.T) {
	testbed.NeedRegistry(t)
	reg := testbed.StartRegistry(t, false)
	on := at(t, reg.Addr, "ada")
	e := handler(t, on.Repo, "a", "a")
	on.settle = func(context.Context, time.Duration) error { reg.Stop(); return nil }
	_, _, err := on.Change(t.Context(), func(artifact.State) artifact.State { return artifact.State{e} }, artifact.Record{Action: artifact.Pushed})
	if !errors.Is(err, registry.ErrAway) || !strings.Contains(err.Error(), "/shop:prod was written, but whether it stays could not be seen") {
		t.Error(err)
	}
	reg.Start()
	if got := names(t, on); got != "a" {
		t.Errorf("there is %q", got)
	}
}

// A history that names a state which the registry has deleted goes on without it.
func TestHistoryOfDeletedStates(t *testing.T) {
	testbed.NeedRegistry(t)
	reg := testbed.StartRegistry(t, false)
	on := at(t, reg.Addr, "ada")
	on.settle = func(context.Context, time.Duration) error { return nil }
	put := func(name string) artifact.Descriptor {
		e := handler(t, on.Repo, name, name)
		_, now, err := on.Change(t.Context(), func(artifact.State) artifact.State { return artifact.State{e} }, artifact.Record{Action: artifact.Pushed})
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	first := put("a")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://"+reg.Addr+"/v2/shop/manifests/"+first.Digest, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := http.DefaultClient.Do(req); err != nil || answer.StatusCode != http.StatusAccepted {
		t.Fatalf("delete: %v, %v", answer, err)
	}
	second := put("b")
	h, err := on.History(t.Context())
	if err != nil || len(h) != 1 || h[0].State.Digest != second.Digest {
		t.Errorf("the history is %+v, %v", h, err)
	}
}

// Who writes only once another's push is over and done with takes that away, and is told; nobody else is told so.
func TestOvertaken(t *testing.T) {
	testbed.NeedRegistry(t)
	reg := testbed.StartRegistry(t, false)
	looked, goOn := make(chan bool), make(chan bool)
	behind := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: reg.Addr})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/prod") {
			close(looked)
			<-goOn
		}
		behind.ServeHTTP(w, r)
	}))
	defer slow.Close()
	var mu sync.Mutex
	var said []string
	push := func(addr, name string) func() error {
		on := at(t, addr, "who pushes "+name)
		on.settle = func(context.Context, time.Duration) error { return nil }
		on.tell = func(what string) { mu.Lock(); said = append(said, what); mu.Unlock() }
		e := handler(t, on.Repo, name, name)
		return func() error {
			_, _, err := on.Change(t.Context(), func(s artifact.State) artifact.State { return s.With(e) }, artifact.Record{Action: artifact.Pushed})
			return err
		}
	}
	err := errors.Join(push(reg.Addr, "old")(), push(reg.Addr, "older")())
	if err != nil || len(said) > 0 {
		t.Fatalf("%v, one after the other: %q", err, said)
	}
	b := make(chan error)
	late := push(strings.TrimPrefix(slow.URL, "http://"), "b")
	go func() { b <- late() }()
	<-looked
	err = push(reg.Addr, "a")()
	close(goOn)
	on := at(t, reg.Addr, "who reads")
	if err = errors.Join(err, <-b); err != nil || names(t, on) != "b old older" || len(said) != 1 || !strings.HasPrefix(said[0], "what who pushes a has changed on ") {
		t.Errorf("%v, there is %q, said was %q", err, names(t, on), said)
	}

	// Another tool has the tag name what it did before, which is in no history.
	said = nil
	before, _, err := on.Read(t.Context())
	e := handler(t, on.Repo, "other", "other")
	_, other := on.Repo.PushManifest(t.Context(), "prod", artifact.IndexType, artifact.State{e}.Encode())
	err = errors.Join(err, other, push(reg.Addr, "c")())
	_, back := on.Repo.PushManifest(t.Context(), "prod", artifact.IndexType, before.Encode())
	err = errors.Join(err, back, push(reg.Addr, "a")())
	if err != nil || len(said) > 0 {
		t.Errorf("%v, of another tool: %q", err, said)
	}
}
