package supervisor

import (
	"context"
	"fmt"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aead.dev/minisign"
	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/daemon/fleet"
	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/daemon/sums"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/andrestc/go-plugserver/internal/file/signature"
)

// counting is a world whose processes count, and whose canaries are on these terms.
func counting(t *testing.T, terms canary.Terms, past store.History) *world {
	return newWorld(t, Config{
		Fleet:    fleet.Config{Sums: sums.New()},
		Settings: func(string) Settings { return Settings{Canary: terms} },
	}, past, func(d intake.Disk) intake.Disk {
		scan := d.Scan
		d.Scan = func(prev *handlerdir.Snapshot, changed []string, sure bool) (*handlerdir.Snapshot, error) {
			if prev == nil {
				time.Sleep(time.Millisecond) // what a test puts at first was there before the start
			}
			return scan(prev, changed, sure)
		}
		return d
	})
}

// serve has the handler's only process answer that many requests, of which so many fail.
func (w *world) serve(name string, requests, fail int) {
	w.t.Helper()
	p := w.one(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range requests {
		status := 200
		if i < fail {
			status = 500
		}
		h := p.counts.Handler(0)
		h.Begin("GET", time.Now())
		h.End("GET", time.Now(), status, time.Millisecond, 0, 0)
	}
}

// holds has the store hold that content for a version.
func (w *world) holds(sum, content string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stored[sum] = content
}

// beside is what the gate knows of the canary of a pattern.
func (w *world) beside(pattern string) link.Canary {
	p := w.one("gate")
	w.mu.Lock()
	defer w.mu.Unlock()
	return p.beside[pattern]
}

func (w *world) leads(pattern, to string, share int) {
	w.t.Helper()
	c := w.beside(pattern)
	want := uint64(0)
	if to != "" {
		want = w.one(to).cell
	}
	if c.Cell != want || c.Weight != share {
		w.t.Errorf("beside %s stands cell %d with %d, want %d with %d\n%s", pattern, c.Cell, c.Weight, want, share, w.log)
	}
}

// A canary that is as good as its incumbent is promoted at the end of its time, and its content serves from then on,
// over restarts, though the directory has both files.
func TestCanaryIsPromoted(t *testing.T) {
	var past store.History
	synctest.Test(t, func(t *testing.T) {
		w := counting(t, canary.Terms{}, nil)
		w.put("users", "/users /old;1")
		w.after(time.Second)
		before := w.one("users")
		w.put("users.canary", "/users /new;2")
		w.after(time.Second)
		w.is("users", api.StateLive, "/users /old;1")
		w.is("users.canary", api.StateCanary, "/users /new;2")
		w.leads("/users", "users.canary", 500)
		w.leads("/old", "", 0)
		if _, ok := w.table()["/new"]; ok {
			t.Error("a pattern is served that the incumbent has not")
		}
		h, _ := w.status("users.canary")
		if c := h.Canary; c == nil || c.Of != "users" || c.Weight != 0.05 || len(c.NotServed) != 1 || c.NotServed[0] != "/new" || !c.Ends.Equal(c.Since.Add(10*time.Minute)) {
			t.Errorf("its canary is %+v", c)
		}
		for range 9 {
			w.serve("users", 950, 1)
			w.serve("users.canary", 50, 0)
			w.after(time.Minute)
		}
		w.is("users.canary", api.StateCanary, "/users /new;2")
		w.serve("users", 950, 1)
		w.serve("users.canary", 100, 0)
		w.after(2 * time.Minute)
		w.is("users", api.StateLive, "/users /new;2")
		w.is("users.canary", api.StatePromoted, "")
		if now := w.one("users"); now == before || len(w.running("users.canary")) != 0 {
			t.Error("the processes are those of before")
		}
		w.leads("/users", "", 0)
		if _, ok := w.table()["/new"]; !ok {
			t.Error("a pattern is not served that the canary had besides")
		}
		if w.told("event=canary_begun") != 1 || w.told("event=canary_promoted") != 1 || w.told("0 of 550 (0 %) failed") == 0 {
			t.Errorf("told is\n%s", w.log)
		}
		if _, err := w.Rollback(context.Background(), "users", ""); err != nil {
			t.Error(err)
		}
		w.is("users", api.StateRolledBack, "/users /old;1")
		if _, err := w.Rollback(context.Background(), "users", sumOf("/users /new;2")[:12]); err != nil {
			t.Error(err)
		}
		w.is("users", api.StateLive, "/users /new;2")
		w.after(time.Minute)
		past = w.roster.History
	})
	if past["users"].Serves != sumOf("/users /new;2") {
		t.Fatalf("the history has %+v", past["users"])
	}
}

// What was promoted serves after a restart, and what was withdrawn is not tried again, until it is put there anew.
func TestCanaryAfterRestart(t *testing.T) {
	old, mended, bad := sumOf("/users;1"), sumOf("/users;2"), sumOf("/hello;3")
	synctest.Test(t, func(t *testing.T) {
		w := counting(t, canary.Terms{}, store.History{
			"users":         {Seq: 1, Patterns: []string{"/users"}, Serves: mended, Superseded: old, Versions: []store.Served{{Sum: old}, {Sum: mended}}},
			"users.canary":  {Seq: 2, Patterns: []string{"/users"}, Bad: []string{mended}, Canary: canary.Past{Verdicts: []canary.Verdict{{Sum: mended, Promoted: true}}}},
			"byhand":        {Seq: 5, Patterns: []string{"/byhand"}, Serves: sumOf("/byhand;2")},
			"byhand.canary": {Seq: 6, Patterns: []string{"/byhand"}, Bad: []string{sumOf("/byhand;3")}, Canary: canary.Past{Verdicts: []canary.Verdict{{Sum: sumOf("/byhand;3"), ByHand: true}}}},
			"hello":         {Seq: 3, Patterns: []string{"/hello"}, Serves: sumOf("/hello;2")},
			"hello.canary":  {Seq: 4, Patterns: []string{"/hello"}, Bad: []string{bad}, Canary: canary.Past{Verdicts: []canary.Verdict{{Sum: bad, Why: "12 of 40 failed"}}}},
		})
		w.holds(mended, "/users;2")
		w.put("users", "/users;1")
		w.put("users.canary", "/users;2")
		w.put("hello", "/hello;2")
		w.put("hello.canary", "/hello;3")
		w.put("byhand", "/byhand;2")
		w.put("byhand.canary", "/byhand;3")
		w.after(time.Minute)
		w.is("byhand.canary", api.StateWithdrawn, "")
		if w.told("refused: byhand.canary") != 0 || w.told("level=info msg=\"withdrawn: byhand.canary.so\"") != 1 {
			t.Errorf("what an operator has withdrawn is told as\n%s", w.log)
		}
		w.is("users", api.StateLive, "/users;2")
		w.is("users.canary", api.StatePromoted, "")
		w.is("hello", api.StateLive, "/hello;2")
		w.is("hello.canary", api.StateWithdrawn, "")
		if h, _ := w.status("hello.canary"); h.Refusal == nil || !strings.Contains(h.Refusal.Reason, "12 of 40 failed") {
			t.Errorf("it says %+v", h.Refusal)
		}
		w.put("users", "/users;1") // which somebody wants after all
		w.put("hello.canary", "/hello;3")
		w.after(time.Minute)
		w.is("users", api.StateLive, "/users;1")
		w.is("hello.canary", api.StateCanary, "/hello;3")
	})
}

// A canary that fails is withdrawn, with the figures, and nobody else notices.
func TestCanaryIsWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := counting(t, canary.Terms{Weight: 2000, Sticky: link.StickyCookie, Field: "id"}, nil)
		w.put("users", "/users;1")
		w.put("users.canary", "/users;2")
		w.after(time.Second)
		w.leads("/users", "users.canary", 2000)
		if c := w.beside("/users"); c.Sticky != link.StickyCookie || c.Field != "id" || c.Seed == 0 {
			t.Errorf("the gate is told %+v", c)
		}
		before := w.one("users")
		w.serve("users", 800, 1)
		w.serve("users.canary", 200, 20)
		w.after(2 * time.Second)
		w.is("users", api.StateLive, "/users;1")
		w.is("users.canary", api.StateWithdrawn, "")
		w.leads("/users", "", 0)
		if w.one("users") != before || len(w.running("users.canary")) != 0 || w.told("event=canary_withdrawn") != 1 || w.told("20 of 200 (10 %) failed, of the incumbent's in the same time 1 of 800 (0.125 %)") == 0 {
			t.Errorf("told is\n%s", w.log)
		}
		w.after(time.Hour)
		w.is("users.canary", api.StateWithdrawn, "")
		history, err := w.History(context.Background(), "users.canary")
		if err != nil || len(history.Versions) != 1 || history.Versions[0].Verdict == nil || history.Versions[0].Verdict.Promoted || history.Versions[0].Bad {
			t.Errorf("the history is %+v, %v", history, err)
		}
		w.put("users.canary", "/users;3")
		w.after(time.Second)
		w.is("users.canary", api.StateCanary, "/users;3")
		w.one("users.canary").exit("exit status 2")
		w.after(time.Second)
		w.is("users.canary", api.StateWithdrawn, "")
		if h, _ := w.status("users.canary"); h.Refusal == nil || !strings.Contains(h.Refusal.Reason, "exit status 2") {
			t.Errorf("it says %+v", h.Refusal)
		}
		if _, err := w.Release(context.Background(), "users.canary"); err != nil {
			t.Error(err)
		}
		w.is("users.canary", api.StateCanary, "/users;3")
		w.remove("users.canary")
		w.after(time.Second)
		if _, ok := w.status("users.canary"); ok || len(w.running("users.canary")) != 0 {
			t.Error("it is there still")
		}
		w.leads("/users", "", 0)
	})
}

// A canary has an incumbent, or waits for one.
func TestCanaryWithoutIncumbent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := counting(t, canary.Terms{}, nil)
		w.put("users.canary", "/users;2")
		w.after(time.Minute)
		w.is("users.canary", api.StateRefused, "")
		if len(w.table()) != 0 || w.told("event=refused") != 1 {
			t.Errorf("the gate has %v\n%s", w.table(), w.log)
		}
		w.put("users", "/users;1")
		w.after(time.Second)
		w.is("users.canary", api.StateCanary, "/users;2")
		w.leads("/users", "users.canary", 500)
		w.remove("users")
		w.after(time.Minute)
		w.is("users.canary", api.StateRefused, "")
		if len(w.table()) != 0 || len(w.running("users.canary")) != 0 {
			t.Errorf("the gate has %v", w.table())
		}
		w.put("users", "/other;1")
		w.after(time.Second)
		w.is("users.canary", api.StateRefused, "") // nothing in common
		w.put("users", "/users;2")
		w.after(time.Second)
		w.is("users.canary", api.StateRefused, "") // the same
		w.put("users", "/users;3")
		w.after(time.Second)
		w.is("users.canary", api.StateCanary, "/users;2")
		w.put("users", "/users;2") // by hand
		w.after(time.Second)
		w.is("users", api.StateLive, "/users;2")
		w.is("users.canary", api.StatePromoted, "")
		w.put("users.canary.canary", "/users;9")
		w.after(time.Second)
		w.is("users.canary.canary", api.StateRefused, "")
	})
}

// What an operator says of a canary holds, until it is promoted or withdrawn.
func TestCanaryByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := counting(t, canary.Terms{}, nil)
		ctx := context.Background()
		if _, err := w.Canary(ctx, "users", canary.Promote, ""); err == nil || !strings.Contains(err.Error(), "has no canary") {
			t.Errorf("without a canary: %v", err)
		}
		w.put("users", "/users;1")
		w.after(time.Second)
		if _, err := w.Canary(ctx, "users", canary.Begin, canary.Terms{Weight: 100, For: canary.None}.Encode()); err != nil {
			t.Fatal(err)
		}
		w.put("users.canary", "/users;2")
		w.after(time.Second)
		w.leads("/users", "users.canary", 100)
		if out, err := w.Canary(ctx, "users", canary.Judge, canary.Terms{Weight: 1000}.Encode()); err != nil || out.Handler == nil || out.Handler.Canary.Weight != 0.1 {
			t.Errorf("%+v, %v", out, err)
		}
		w.after(time.Second)
		w.leads("/users", "users.canary", 1000)
		w.put("users.canary", "/users;2b") // which an operator has said nothing of
		w.after(time.Second)
		w.leads("/users", "users.canary", 500)
		if _, err := w.Canary(ctx, "users", canary.Begin, canary.Terms{For: canary.None}.Encode()); err != nil {
			t.Fatal(err)
		}
		w.put("users.canary", "/users;2")
		w.after(time.Second)
		w.serve("users", 9000, 0)
		w.serve("users.canary", 1000, 0)
		w.after(2 * time.Hour)
		w.is("users.canary", api.StateCanary, "/users;2") // for good
		if out, err := w.Canary(ctx, "users", canary.Withdraw, ""); err != nil || out.Handler.State != api.StateWithdrawn ||
			out.Handler.Refusal.Mend != "remove it: plugserverctl remove users.canary" {
			t.Errorf("%+v, %v", out, err)
		}
		if re, err := w.Reload(ctx); err != nil || len(re.Refused) > 0 || re.RolledBack["users.canary"].Mend == "" {
			t.Errorf("a reload has %+v, %v", re, err)
		}
		if text := w.log.String(); !strings.Contains(text, "level=info msg=\"withdrawn: users.canary: an operator has said so\"") || strings.Contains(text, "mended file") {
			t.Errorf("it is told as if something were wrong:\n%s", text)
		}
		w.put("users.canary", "/users;3")
		w.after(time.Second)
		w.leads("/users", "users.canary", 500) // as is set
		if _, err := w.Rollback(ctx, "users.canary", ""); err == nil || !strings.Contains(err.Error(), "--withdraw") {
			t.Errorf("rolled back: %v", err)
		}
		if out, err := w.Canary(ctx, "users", canary.Promote, ""); err != nil || out.Handler.Version != sumOf("/users;3")[:12] {
			t.Errorf("%+v, %v", out, err)
		}
		w.is("users", api.StateLive, "/users;3")
		w.put("users.canary", "/users;4")
		w.after(time.Second)
		w.put("users", "/users;5") // a newer version stands beside it
		w.after(time.Second)
		w.is("users", api.StateLive, "/users;5")
		w.is("users.canary", api.StateCanary, "/users;4")
		if w.roster.Handlers["users"].Next != nil || w.roster.Handlers["users"].Standing != states.Serving {
			t.Error("something is under way")
		}
	})
}

// What an operator says of one version is not for another, be it that nobody was judged between the two, or that the daemon was started again.
func TestTermsAreOfOneVersion(t *testing.T) {
	agreed := canary.Terms{Weight: 100, For: canary.None}
	synctest.Test(t, func(t *testing.T) {
		w := counting(t, canary.Terms{}, nil)
		w.put("users", "/users;1")
		w.put("users.canary", "/users;2")
		w.after(time.Second)
		if _, err := w.Canary(context.Background(), "users", canary.Judge, agreed.Encode()); err != nil {
			t.Fatal(err)
		}
		w.remove("users")
		w.after(time.Minute)
		w.is("users.canary", api.StateRefused, "")
		w.put("users", "/users;3")
		w.after(time.Second)
		w.leads("/users", "users.canary", 100) // the same again
		w.remove("users")
		w.after(time.Minute)
		w.put("users.canary", "/users;4")
		w.put("users", "/users;3")
		w.after(time.Second)
		w.is("users.canary", api.StateCanary, "/users;4")
		w.leads("/users", "users.canary", 500)
	})
	for content, share := range map[string]int{"/users;2": 100, "/users;4": 500} {
		synctest.Test(t, func(t *testing.T) {
			w := counting(t, canary.Terms{}, store.History{
				"users":        {Seq: 1, Patterns: []string{"/users"}, Serves: sumOf("/users;1")},
				"users.canary": {Seq: 2, Patterns: []string{"/users"}, Serves: sumOf("/users;2"), Canary: canary.Past{Terms: &agreed, Sum: sumOf("/users;2")}},
			})
			w.put("users", "/users;1")
			w.put("users.canary", content)
			w.after(time.Second)
			w.is("users.canary", api.StateCanary, content)
			w.leads("/users", "users.canary", share)
		})
	}
}

// What its handler has served of newer signatures refuses an older one as a canary, too, be it that the handler is gone.
func TestCanaryIsNoReplay(t *testing.T) {
	_, key, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		beside := make(map[string]string) // signatures, by file; guarded by the world's mutex
		var w *world
		w = newWorld(t, Config{}, nil, func(d intake.Disk) intake.Disk {
			d.Signature = func(file string) (string, time.Time, error) {
				w.mu.Lock()
				defer w.mu.Unlock()
				return beside[strings.TrimSuffix(path.Base(file), ".so")], time.Time{}, nil
			}
			d.Judge = func(_ signature.Policy, _ string, v store.Version) (signature.Signed, error) {
				return signature.Parse(v.Signature)
			}
			return d
		})
		w.Configure(func(string) Settings { return Settings{} }, nil, signature.Policy{Require: true, Monotonic: true, Keys: []signature.Key{{}}})
		put := func(name string, version int) {
			text := string(minisign.NewReader(nil).SignWithComments(key, fmt.Sprintf("handler:users version:%d", version), ""))
			w.mu.Lock()
			beside[name] = text
			w.mu.Unlock()
			w.put(name, fmt.Sprintf("/users;%d", version))
			w.after(time.Minute)
		}
		refused := func() {
			t.Helper()
			w.is("users.canary", api.StateRefused, "")
			if h, _ := w.status("users.canary"); h.Refusal == nil || !strings.Contains(h.Refusal.Reason, "older than what was served") {
				t.Errorf("it says %+v", h.Refusal)
			}
		}
		put("users", 2)
		w.is("users", api.StateLive, "/users;2")
		put("users.canary", 1)
		refused()
		put("users.canary", 3)
		w.is("users.canary", api.StateCanary, "/users;3")
		put("users", 4) // which a version of before is not to take the place of
		w.is("users.canary", api.StateWithdrawn, "")
		if h, _ := w.status("users.canary"); h.Refusal == nil || !strings.HasSuffix(h.Refusal.Reason, "withdrawn: older than what was served: it is version 3, and there was version 4") {
			t.Errorf("it says %+v", h.Refusal)
		}
		w.remove("users.canary")
		put("users.canary", 3) // again
		refused()
		w.remove("users.canary")
		w.remove("users")
		w.after(time.Minute)
		put("users.canary", 3)
		refused()
	})
}

// A file of its handler that comes while a canary is being promoted goes before it, and the canary says so.
func TestCanaryIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := counting(t, canary.Terms{}, nil)
		w.put("users", "/users;1")
		w.put("users.canary", "/users;2")
		w.after(time.Second)
		w.holds(sumOf("/users;2"), "/users;hangs")
		if err := w.ask(context.Background(), func() {
			if err := w.canaries.Promote("users"); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.put("users", "/users;1") // as it was
		w.after(time.Second)
		w.is("users", api.StateLive, "/users;1")
		w.is("users.canary", api.StateWithdrawn, "")
		if h, _ := w.status("users.canary"); h.Refusal == nil || !strings.HasSuffix(h.Refusal.Reason, `it was to be promoted (an operator has said so), and a file of "users" came first`) {
			t.Errorf("it says %+v", h.Refusal)
		}
		w.one("users").exit("exit status 2")
		w.after(time.Second)
		w.is("users", api.StateLive, "/users;1")
	})
}

// Whoever has a canary promoted is answered, though its file is removed meanwhile.
func TestCanaryIsRemovedWhilePromoted(t *testing.T) {
	for _, then := range []string{"/users;takes 5s", "/users;hangs"} {
		synctest.Test(t, func(t *testing.T) {
			w := counting(t, canary.Terms{}, nil)
			w.put("users", "/users;1")
			w.put("users.canary", "/users;takes 5s")
			w.after(time.Minute)
			w.holds(sumOf("/users;takes 5s"), then)
			answered := make(chan error, 1)
			go func() {
				_, err := w.Canary(context.Background(), "users", canary.Promote, "")
				answered <- err
			}()
			w.after(time.Second)
			w.remove("users.canary")
			w.after(5 * time.Minute)
			select {
			case err := <-answered:
				if serves := then == "/users;takes 5s"; serves != (err == nil) {
					t.Errorf("%s: %v", then, err)
				}
			default:
				t.Errorf("%s: there is no answer\n%s", then, w.log)
			}
		})
	}
}

// What is told to have the file's version serve again does, however many canaries were promoted since.
func TestFileServesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ctx := counting(t, canary.Terms{}, nil), context.Background()
		w.put("users", "/users;1")
		for _, c := range []content{"/users;2", "/users;3"} {
			w.put("users.canary", c)
			w.after(time.Second)
			if _, err := w.Canary(ctx, "users", canary.Promote, ""); err != nil {
				t.Fatal(err)
			}
			w.is("users", api.StateLive, c)
		}
		h, _ := w.status("users")
		version, told := strings.CutPrefix(h.Refusal.Or[0], "serve the file's version again: plugserverctl rollback users")
		if _, err := w.Rollback(ctx, "users", strings.TrimSpace(version)); err != nil || !told {
			t.Errorf("told is %q: %v", h.Refusal.Or, err)
		}
		w.is("users", api.StateRolledBack, "/users;1")
	})
}
