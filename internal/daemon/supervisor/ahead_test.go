package supervisor

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/andrestc/go-plugserver/internal/file/signature"
)

// summing is how long the disk makes the sum of a copy that is whole.
const summing = time.Second

// leading is a disk that shows copies while their sums are being made; led gets the names that it
// gives them, until they end.
func leading(w **world, led map[string]bool) func(intake.Disk) intake.Disk {
	return func(d intake.Disk) intake.Disk {
		copy, lead, n := d.Copy, "", 0
		d.Copy = func(f handlerdir.File, whole func(*os.File, *elfplug.Info)) (intake.Copied, error) {
			(*w).mu.Lock()
			n++
			lead = fmt.Sprint("lead", n)
			(*w).stored[lead] = (*w).contents[f.ID.Ino]
			(*w).mu.Unlock()
			whole(nil, &elfplug.Info{GoVersion: "go1.26.0", Exports: []string{"Handler"}})
			time.Sleep(summing)
			return copy(f, whole)
		}
		d.Lead = func(*os.File) (string, error) {
			(*w).mu.Lock()
			defer (*w).mu.Unlock()
			led[lead] = true
			return lead, nil
		}
		d.Unlead = func(path string) error {
			(*w).mu.Lock()
			defer (*w).mu.Unlock()
			delete(led, path)
			return nil
		}
		return d
	}
}

// A version is loaded while its sum is being made, and serves once that is known: by the same
// process.
func TestLoadsBesideTheSum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *world
		led := make(map[string]bool)
		w = newWorld(t, Config{}, nil, leading(&w, led))
		for _, c := range []content{"/a;1", "/a;2"} {
			w.put("a", c)
			w.after(summing / 2)
			early := w.running("a")
			if h, _ := w.status("a"); len(early) != int(c[3]-'0') || h.Version == sumOf(c)[:12] || w.told("live: a") != len(early)-1 {
				t.Errorf("%s: %d processes, serving %q\n%s", c, len(early), h.Version, w.log)
			}
			w.after(summing)
			w.is("a", api.StateLive, c)
			if p := w.one("a"); p != early[len(early)-1] || p.named != sumOf(c)[:12] || w.table()["/a"] != p.cell {
				t.Errorf("%s: process %d called %q, not %d", c, p.pid, p.named, early[len(early)-1].pid)
			}
		}
		// A version that is started again meanwhile is not taken for it.
		w.put("a", "/a;3")
		w.after(summing / 4)
		w.running("a")[0].exit("exit status 2")
		w.after(summing / 4)
		if all := w.running("a"); len(all) != 2 || all[1].named != sumOf("/a;2")[:12] || w.table()["/a"] != all[1].cell {
			t.Errorf("%d processes", len(all))
		}
		w.after(summing)
		w.is("a", api.StateLive, "/a;3")
		// A process that ends before, or does not get ready, is heard of once the sum is known.
		for n, c := range []content{"/a;dies", "/a;refuses"} {
			w.put("a", c)
			w.after(summing / 2)
			before := w.told("refused: a")
			w.after(summing)
			if w.is("a", api.StateLive, "/a;3"); before != n || w.told("refused: a") != n+1 {
				t.Errorf("%s: %s", c, w.log)
			}
		}
		if len(led) > 0 {
			t.Errorf("names are left: %v", led)
		}
	})
}

// What is loaded in vain is not kept, and serves nobody.
func TestLoadsInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *world
		led := make(map[string]bool)
		w = newWorld(t, Config{CrashLimit: 1, CrashWindow: time.Minute}, nil, leading(&w, led))
		started := func() int {
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.processes)
		}
		w.put("a", "/a;1")
		w.after(2 * summing)
		first := w.one("a")

		w.put("a", "/a;1") // the same content, at another place
		w.after(2 * summing)
		w.put("a", "/a;gone")
		w.after(summing / 2)
		w.put("a", "/a;1")
		w.after(3 * summing)
		w.put("b", "/b;gone")
		w.after(summing / 2)
		w.remove("b")
		w.after(2 * summing)
		w.is("a", api.StateLive, "/a;1")
		if w.one("a") != first || len(w.running("b")) > 0 {
			t.Errorf("%d processes of b; a's is %d", len(w.running("b")), w.one("a").pid)
		}

		// What was given up is not run before it is known what it is.
		w.put("a", "/a;bad")
		w.after(2 * summing)
		w.one("a").exit("exit status 2")
		w.after(2 * summing)
		w.is("a", api.StateRolledBack, "/a;1")
		before := started()
		w.put("a", "/a;3")
		w.after(summing / 2)
		if n := started(); n != before {
			t.Errorf("%d processes are started before the sum is known", n-before)
		}
		w.after(2 * summing)
		w.is("a", api.StateLive, "/a;3")

		// The service ends while something is loaded; stopped looks for what is left.
		w.put("c", "/c")
		w.after(summing / 2)
		if len(w.running("c")) != 1 {
			t.Errorf("%d processes of c", len(w.running("c")))
		}
		if len(led) > 1 {
			t.Errorf("names are left: %v", led)
		}
	})
}

// On other terms, or of another copy, it is started again.
func TestLoadsOnTheNewestTerms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *world
		w = newWorld(t, Config{}, store.History{}, leading(&w, make(map[string]bool)))
		w.put("a", "/a;1")
		w.after(summing / 2)
		early := w.one("a")
		w.Configure(func(string) Settings { return Settings{Env: []string{"A=1"}} }, nil, signature.Policy{})
		w.after(2 * summing)
		w.is("a", api.StateLive, "/a;1")
		if p := w.one("a"); p == early || !slices.Contains(p.spec.Env, "A=1") || w.told("event=live") != 1 {
			t.Errorf("it runs in %q\n%s", p.spec.Env, w.log)
		}
	})
}
