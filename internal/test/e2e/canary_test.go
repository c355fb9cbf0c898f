package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// sharedSource answers with its version; a version that begins with "bad" fails every tenth request, one with "broken" each,
// and one with "hang" never ends every second.
const sharedSource = `package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
)

var version = "VERSION:................................"

var n atomic.Int64

func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	_, v, _ := strings.Cut(version, ":")
	v = strings.TrimRight(v, ".")
	return "/shared", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(v, "bad") && n.Add(1)%10 == 0 || strings.HasPrefix(v, "broken") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		if strings.HasPrefix(v, "hang") && n.Add(1)%2 == 0 {
			select {}
		}
		fmt.Fprint(w, v)
	}
}
`

func shared(tb testing.TB, version string) testbed.Plugin {
	tb.Helper()
	return testbed.Go(sharedSource).Build(tb).Patched(tb, versionSlot, "VERSION:"+version)
}

// A canary with a fifth of the requests that fails one in ten is withdrawn, by what the clients have seen of it, and a
// good one is promoted. No client notices more than the canary's own answers.
func TestCanary(t *testing.T) {
	dir := testbed.NewDir(t)
	settings := "[Handler shared]\nCanaryWeight=20%\nCanaryFor=3s\nCanaryMinRequests=100\nCanaryMaxSlowdown=infinity\n" // which a busy machine may take for slow
	if err := os.WriteFile(filepath.Join(dir, "plugserverd.conf"), []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	d := testbed.Start(t, testbed.In(dir))
	d.Allow("withdrawn: shared.canary")
	d.Put("shared", shared(t, "one"))

	var answers, failed [3]atomic.Int64 // of one, of the bad canary, of the good one
	plan := testbed.Plan{Addr: d.Addr, Paths: []string{"/shared"}, Check: func(_ string, a testbed.Answer) error {
		for i, v := range []string{"one", "bad", "two"} {
			if string(a.Body) != v {
				continue
			}
			answers[i].Add(1)
			if a.Status == http.StatusInternalServerError && v == "bad" {
				failed[i].Add(1)
				return nil
			}
			if a.Status == http.StatusOK {
				return nil
			}
		}
		return fmt.Errorf("%d %q", a.Status, a.Body)
	}, Pause: func(int) time.Duration { return 10 * time.Millisecond }}
	plan.Clients = 12
	kept := plan.Run(t)
	plan.Clients, plan.Fresh = 4, true
	fresh := plan.Run(t)

	mark := d.Log.Len()
	d.Drop("shared.canary", shared(t, "bad"))
	gone := d.WaitLogFrom(mark, "its withdrawal", func(e testbed.Entry) bool { return e.Get("event") == "canary_withdrawn" })
	if !strings.Contains(gone.Get("reason"), "failed, of the incumbent's in the same time 0 of") {
		t.Errorf("it was withdrawn for %q", gone.Get("reason"))
	}
	d.WaitLogFrom(mark, "its end", testbed.Says("shared.canary", "retired: shared.canary"))
	bad, all := answers[1].Load(), answers[0].Load()+answers[1].Load()
	t.Logf("withdrawn after %d answers, %d of them failed, beside %d: %s", bad, failed[1].Load(), answers[0].Load(), gone.Get("reason"))
	// 99.9 % need 236, and what comes until the next look.
	if most := int64(236 + 2*400); bad > most || failed[1].Load() > bad/10+1 {
		t.Errorf("clients have got %d answers of the canary, of %d, and %d failures", bad, all, failed[1].Load())
	}
	testbed.Each(t, kept, fresh)
	if now := answers[1].Load(); now > bad+16 { // that were under way
		t.Errorf("%d answers came after it was withdrawn", now-bad)
	}
	if h, _ := d.Handler("shared.canary"); h.State != api.StateWithdrawn {
		t.Errorf("it is %s", h.State)
	}

	mark = d.Log.Len()
	d.Drop("shared.canary", shared(t, "two"))
	d.WaitLogFrom(mark, "the next", func(e testbed.Entry) bool { return e.Get("event") == "canary_promoted" })
	d.WaitLogFrom(mark, "its end", testbed.Says("shared.canary", "retired: shared.canary"))
	d.Want("/shared", http.StatusOK, "two")
	if out, stderr, code := d.Ctl("canary", "shared", "--promote"); code != 0 || !strings.HasPrefix(out, "promoted: shared, version "+shared(t, "two").Version) {
		t.Errorf("the file is renamed: %d, %q, %q", code, out, stderr)
	}
	if _, err := os.Stat(d.Path("shared.canary")); !os.IsNotExist(err) {
		t.Errorf("its file is there still: %v", err)
	}
	d.Want("/shared", http.StatusOK, "two")
	kept.Unharmed(t)
	fresh.Unharmed(t)
}

// Where clients are few, and keep their connections, each has requests of both versions nonetheless: a busy one, which moves
// between their cells, and one that hardly asks.
func TestCanaryOfFewClients(t *testing.T) {
	dir := testbed.NewDir(t)
	settings := "[Handler shared]\nCanaryWeight=30%\nCanaryFor=infinity\n"
	if err := os.WriteFile(filepath.Join(dir, "plugserverd.conf"), []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	d := testbed.Start(t, testbed.In(dir))
	d.Put("shared", shared(t, "one"))
	d.Put("shared.canary", shared(t, "two"))
	for _, pause := range []time.Duration{0, 50 * time.Millisecond} {
		var once [2]sync.Once
		both := make(chan bool, len(once))
		client := testbed.Plan{Addr: d.Addr, Paths: []string{"/shared"}, Clients: 1, Check: func(_ string, a testbed.Answer) error {
			for i, v := range []string{"one", "two"} {
				if string(a.Body) == v && a.Status == http.StatusOK {
					once[i].Do(func() { both <- true })
					return nil
				}
			}
			return fmt.Errorf("%d %q", a.Status, a.Body)
		}, Pause: func(int) time.Duration { return pause }}.Run(t)
		for range once {
			select {
			case <-both:
			case <-time.After(time.Minute): // by chance alone once in a thousand million
				t.Fatalf("with a pause of %v a connection has had one version for a minute", pause)
			}
		}
		client.Unharmed(t)
	}
}

// A canary whose requests do not end is withdrawn for those that are open. Those wait for --drain-timeout more, and then their connections end;
// nobody else notices.
func TestCanaryHangs(t *testing.T) {
	dir := testbed.NewDir(t)
	settings := "[Handler shared]\nCanaryWeight=20%\nCanaryFor=1h\nDrainTimeout=2s\n"
	if err := os.WriteFile(filepath.Join(dir, "plugserverd.conf"), []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(all.Wait) // once there is no daemon any more, for what hangs
	d := testbed.Start(t, testbed.In(dir))
	d.Allow("withdrawn: shared.canary")
	d.Put("shared", shared(t, "one"))
	mark := d.Log.Len()
	d.Drop("shared.canary", shared(t, "hang"))
	d.WaitLogFrom(mark, "its beginning", func(e testbed.Entry) bool { return e.Get("event") == "canary_begun" })

	begun := time.Now()
	var answers, cut, asked atomic.Int64
	ask := func(reused bool) {
		asked.Add(1)
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for range 2 {
			resp, err := client.Get("http://" + d.Addr + "/shared")
			if errors.Is(err, io.EOF) {
				cut.Add(1)
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK || string(body) != "one" && string(body) != "hang" {
				t.Errorf("%d, %q, %v", resp.StatusCode, body, err)
			}
			answers.Add(1)
			if !reused {
				return
			}
		}
	}
	withdrawn := make(chan struct{})
	all.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-withdrawn:
				return
			case <-tick.C:
				all.Go(func() { ask(i%2 == 0) })
			}
		}
	})
	gone := func() testbed.Entry {
		defer close(withdrawn) // also where it does not come
		return d.WaitLogFrom(mark, "its withdrawal", func(e testbed.Entry) bool { return e.Get("event") == "canary_withdrawn" })
	}()
	took := time.Since(begun)
	all.Wait()
	t.Logf("withdrawn after %v and %d clients: %s; %d answers, %d connections were cut after %v", took, asked.Load(), gone.Get("reason"), answers.Load(), cut.Load(), time.Since(begun)-took)
	for range 50 {
		d.Want("/shared", http.StatusOK, "one")
	}
}

// Copies of safe requests judge a canary, too, and no client gets an answer of it.
func TestCanaryOfCopies(t *testing.T) {
	d := testbed.Start(t)
	d.Allow("withdrawn: shared.canary")
	d.Put("shared", shared(t, "one"))
	file := filepath.Join(t.TempDir(), "new.so")
	if err := os.WriteFile(file, shared(t, "bad").Bytes, 0o644); err != nil {
		t.Fatal(err)
	}
	mark := d.Log.Len()
	out, stderr, code := d.Ctl("canary", "shared", file, "--mirror", "--for", "1h")
	if code != 0 || !strings.HasPrefix(out, "canary: version "+shared(t, "bad").Version+" has copies of 100 % of the safe ones of shared") {
		t.Fatalf("%d, %q, %q", code, out, stderr)
	}
	var asked atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.WaitLogFrom(mark, "its withdrawal", func(e testbed.Entry) bool { return e.Get("event") == "canary_withdrawn" })
	}()
	for {
		select {
		case <-ended:
		default:
			d.Want("/shared", http.StatusOK, "one")
			asked.Add(1)
			continue
		}
		break
	}
	t.Logf("withdrawn after %d requests", asked.Load())
	if h, _ := d.Handler("shared.canary"); h.State != api.StateWithdrawn || h.Refusal == nil {
		t.Errorf("it is %s, %+v", h.State, h.Refusal)
	}
	d.Want("/shared", http.StatusOK, "one")
}

// A canary goes on where the daemon is started again, on the terms that an operator has set, and what was promoted serves, though the
// directory has both files.
func TestCanaryOverRestarts(t *testing.T) {
	dir := testbed.NewDir(t)
	d := testbed.Start(t, testbed.In(dir))
	d.Put("shared", shared(t, "one"))
	file := filepath.Join(t.TempDir(), "new.so")
	if err := os.WriteFile(file, shared(t, "two").Bytes, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := d.Ctl("canary", "shared", file, "--weight", "50%", "--for", "1h"); code != 0 {
		t.Fatalf("%d, %q", code, stderr)
	}
	d.Stop()
	d = testbed.Start(t, testbed.In(dir))
	if _, stderr, code := d.Ctl("reload"); code != 0 {
		t.Fatalf("%d, %q", code, stderr)
	}
	if h, _ := d.Handler("shared.canary"); h.State != api.StateCanary || h.Canary == nil || h.Canary.Weight != 0.5 || h.Canary.Ends.Sub(h.Canary.Since) != time.Hour {
		t.Fatalf("after a restart it is %s, %+v", h.State, h.Canary)
	}
	mark := d.Log.Len()
	if err := os.WriteFile(filepath.Join(dir, "plugserverd.conf"), []byte("[Handler shared]\nCanaryMinRequests=1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.Ctl("reload")
	if _, stderr, code := d.Ctl("canary", "shared", "--for", "1s"); code != 0 {
		t.Fatalf("%d, %q", code, stderr)
	}
	for end, promoted := time.Now().Add(testbed.Patience), false; !promoted; {
		d.Get("/shared") // over a connection of its own
		h, _ := d.Handler("shared.canary")
		if promoted = h.State == api.StatePromoted; time.Now().After(end) {
			t.Fatalf("it is %s, %+v", h.State, h.Canary)
		}
	}
	d.WaitLogFrom(mark, "its end", testbed.Says("shared.canary", "retired: shared.canary"))
	d.Stop()
	d = testbed.Start(t, testbed.In(dir))
	d.Want("/shared", http.StatusOK, "two")
	if h, _ := d.Handler("shared"); h.State != api.StateLive || h.Version != shared(t, "two").Version || h.Refusal == nil || !h.Refusal.Promoted {
		t.Errorf("after another restart the handler is %s, %s, %+v", h.State, h.Version, h.Refusal)
	}
	// What does not serve any more is not given the handler's name.
	if _, stderr, code := d.Ctl("rollback", "shared"); code != 0 {
		t.Fatalf("%d, %q", code, stderr)
	}
	if _, stderr, code := d.Ctl("canary", "shared", "--promote"); code != 1 || !strings.Contains(stderr, "serves "+shared(t, "one").Version+": nothing is renamed") {
		t.Errorf("with the version before: %d, %q", code, stderr)
	}
	d.Want("/shared", http.StatusOK, "one")
	if _, stderr, code := d.Ctl("rollback", "shared", shared(t, "two").Version); code != 0 {
		t.Fatalf("%d, %q", code, stderr)
	}
	if _, stderr, code := d.Ctl("canary", "shared", "--promote"); code != 0 {
		t.Errorf("%d, %q", code, stderr)
	}
	if h, _ := d.Handler("shared"); h.Refusal != nil {
		t.Errorf("with the file renamed it is refused: %+v", h.Refusal)
	}
	d.Want("/shared", http.StatusOK, "two")
}
