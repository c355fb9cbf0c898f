package supervisor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/file/signature"
)

// What was refused with the settings of before is tried again with others, and what no process could be started for
// whenever the settings are read again; no other is.
func TestRefusedOnSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{StartTimeout: 10 * time.Second}, nil, nil)
		w.put("a", "/a;wants A")
		w.put("b", "/b;refuses it")
		w.after(time.Second)
		w.is("a", api.StateRefused, "")
		tried := func(want int) {
			t.Helper()
			w.after(time.Second)
			w.mu.Lock()
			defer w.mu.Unlock()
			if got := len(w.processes) - 1; got != want { // one is the gate's
				t.Errorf("%d processes were started, want %d", got, want)
			}
		}
		configure := func(env ...string) {
			w.Configure(func(handler string) Settings {
				if handler == "a" {
					return Settings{Env: env}
				}
				return Settings{}
			}, nil, signature.Policy{})
		}
		configure()
		tried(2)
		configure("B=1")
		tried(3)
		configure("A=1")
		tried(4)
		w.is("a", api.StateLive, "/a;wants A")

		w.set(&w.unlinked, true)
		w.put("c", "/c")
		w.after(time.Second)
		w.is("c", api.StateRefused, "")
		w.set(&w.unlinked, false)
		w.after(time.Hour)
		w.is("c", api.StateRefused, "")
		configure("A=1")
		w.after(time.Second)
		w.is("c", api.StateLive, "/c")
	})
}

func (w *world) set(to *bool, value bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*to = value
}
