package files

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/sirupsen/logrus"
)

// diskTime is how long every operation of the disk takes.
const diskTime = 5 * time.Second

// A world is an owner of files on a made-up disk, in a bubble of testing/synctest.
type world struct {
	*Files
	t        *testing.T
	posted   chan func()
	told     []string
	forgone  int
	expected int
	gone     map[*lifecycle.Handler]bool
	needs    []string

	mu     sync.Mutex // guards the rest
	did    []string   // what the disk did
	failed error      // of what is looked for
}

func in(t *testing.T, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, posted: make(chan func(), 64), gone: make(map[*lifecycle.Handler]bool)}
		log := logrus.New()
		log.SetOutput(io.Discard)
		disk := intake.On(intake.Config{Log: log}, w.disk(), nil)
		post := func(f func()) bool { w.posted <- f; return true }
		w.Files = New(disk, Owner{
			Has:  func(h *lifecycle.Handler) bool { return !w.gone[h] },
			Tell: w.tell,
			Ahead: func(h *lifecycle.Handler, p intake.Prepared) {
				w.told = append(w.told, h.Name+" ahead "+p.Parts[0].Version.Path)
			},
			Expect: func() { w.expected++ },
			Forgo:  func(*lifecycle.Handler) { w.forgone++ },
			Record: func(string) store.Record { return store.Record{} },
			Writes: func(string) uint64 { return 7 },
			Needed: func(sums map[string]bool) {
				for _, sum := range w.needs {
					delete(sums, sum)
				}
			},
			Post: func(e Event) bool { return post(func() { w.Handle(e) }) },
		}, log)
		go func() {
			for f := range w.posted {
				f()
				w.Turn()
			}
		}()
		test(w)
		time.Sleep(time.Hour)
		disk.Close()
		close(w.posted)
	})
}

func (w *world) disk() intake.Disk {
	note := func(what string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.did = append(w.did, what)
	}
	did := func(what string) { time.Sleep(diskTime); note(what) }
	return intake.Disk{
		Copy: func(f handlerdir.File, whole func(*os.File, *elfplug.Info)) (intake.Copied, error) {
			did("copy " + f.Name)
			if f.Name == "whole" {
				whole(nil, &elfplug.Info{Exports: []string{"Handler"}})
				did("sum")
			}
			if f.Name == "changes" {
				return intake.Copied{}, handlerdir.ErrChanged
			}
			return intake.Copied{Version: store.Version{Sum: "sum of " + f.Name, Path: f.Name}}, nil
		},
		Lead:   func(*os.File) (string, error) { return "lead", nil },
		Unlead: func(path string) error { note("unlead " + path); return nil },
		Find: func(sum string) (store.Version, error) {
			did("find " + sum)
			w.mu.Lock()
			defer w.mu.Unlock()
			return store.Version{Sum: sum}, w.failed
		},
		Inspect: func(path string) (*elfplug.Info, error) {
			return &elfplug.Info{PluginPath: path, Exports: []string{"Handler"}}, nil
		},
		Choose: func(i *elfplug.Info) (catalogue.Binary, *refusal.Error) {
			return catalogue.Binary{Info: i}, nil
		},
		Loose: func() map[string]bool { return map[string]bool{"1": true, "2": true} },
		Delete: func(sums map[string]bool) error {
			did(fmt.Sprint("delete ", slices.Sorted(maps.Keys(sums))))
			return nil
		},
		Sweep:   func(time.Duration) ([]string, error) { did("sweep"); return nil, nil },
		Save:    func(c store.Changes) error { did(fmt.Sprint("save ", slices.Sorted(maps.Keys(c)))); return nil },
		Compact: func() error { return nil },
	}
}

func (w *world) tell(h *lifecycle.Handler, e lifecycle.Event) {
	text := strings.TrimPrefix(fmt.Sprintf("%T", e), "lifecycle.")
	switch e := e.(type) {
	case lifecycle.Admitted:
		text += fmt.Sprintf(" %q, %d writes, changed %v", e.Version.Sum, e.Content.Writes, e.Changed)
	case lifecycle.Recalled:
		text += fmt.Sprintf(" %q", e.Version.Sum)
	}
	w.told = append(w.told, h.Name+" "+text)
}

// do has the owner's goroutine do something, and returns once all waits for time to
// pass.
func (w *world) do(f func()) {
	w.posted <- f
	synctest.Wait()
}

func (w *world) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// was checks what the owner was told, and what the disk did, since the last time.
func (w *world) was(told, did string) {
	w.t.Helper()
	w.do(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if gotTold, gotDid := strings.Join(w.told, "; "), strings.Join(w.did, "; "); gotTold != told || gotDid != did {
			w.t.Errorf("told %q, want %q\nthe disk did %q, want %q", gotTold, told, gotDid, did)
		}
		w.told, w.did = nil, nil
	})
}

// A file is admitted beside the loop, and its part is known from then on.
func TestAdmit(t *testing.T) {
	in(t, func(w *world) {
		a, changes := &lifecycle.Handler{Name: "a"}, &lifecycle.Handler{Name: "changes"}
		w.do(func() {
			if w.Admit(a, handlerdir.File{Name: "a"}); !w.Admitting() || w.Part(a).Info != nil {
				t.Error("it is not being admitted")
			}
		})
		w.after(diskTime)
		w.do(func() {
			if w.Admitting() || w.Part(a).Info == nil || w.Part(a).Version.Sum != "sum of a" {
				t.Errorf("its part is %+v", w.Part(a))
			}
		})
		w.after(2 * diskTime)
		w.was(`a Admitted "sum of a", 7 writes, changed false`, "copy a; delete [1 2]")
		w.do(func() { w.Admit(changes, handlerdir.File{Name: "changes"}) })
		w.after(3 * diskTime)
		w.was(`changes Admitted "", 7 writes, changed true`, "copy changes; delete [1 2]")
	})
}

// What was abandoned tells nobody, whether another follows or not.
func TestAbandon(t *testing.T) {
	in(t, func(w *world) {
		a := &lifecycle.Handler{Name: "a"}
		w.do(func() { w.Admit(a, handlerdir.File{Name: "a"}); w.Abandon(a) })
		w.after(3 * diskTime)
		w.was("", "copy a; delete [1 2]")
		w.do(func() { w.Admit(a, handlerdir.File{Name: "a"}); w.Abandon(a) })
		w.after(time.Second)
		w.do(func() { w.Admit(a, handlerdir.File{Name: "b"}) })
		w.after(4 * diskTime)
		w.was(`a Admitted "sum of b", 7 writes, changed false`, "copy a; copy b; delete [1 2]")
	})
}

// An earlier version is looked for until it is known whether it is there, or nobody
// waits for it.
func TestRecall(t *testing.T) {
	in(t, func(w *world) {
		a := &lifecycle.Handler{Name: "a", Next: &states.Seat{}}
		w.do(func() { w.Recall(a, a.Next, []string{"1", "2"}) })
		w.after(diskTime)
		w.was(`a Recalled "1"`, "find 1")
		set := func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.failed = err
		}
		set(errors.New("it is damaged"))
		w.do(func() { w.Recall(a, a.Next, []string{"1", "2"}) })
		w.after(2 * diskTime)
		w.was(`a Recalled ""`, "find 1; find 2")
		set(syscall.EMFILE)
		w.do(func() { w.Recall(a, a.Next, []string{"1", "2"}) })
		w.after(diskTime + passingPause)
		set(nil)
		w.after(diskTime)
		w.was(`a Recalled "1"`, "find 1; find 1")
		w.do(func() { w.Recall(a, a.Next, []string{"1"}); w.gone[a] = true })
		w.after(diskTime)
		w.was("", "find 1")
	})
}

// Copies are deleted once the history that does not name them is on disk, and nothing
// is on its way into the store.
func TestClean(t *testing.T) {
	in(t, func(w *world) {
		a := &lifecycle.Handler{Name: "a"}
		w.do(func() { w.needs = []string{"1"}; w.Changed("a", &store.Record{}) })
		w.after(time.Second)
		w.do(func() { w.Admit(a, handlerdir.File{Name: "a"}) })
		w.after(4 * diskTime)
		w.was(`a Admitted "sum of a", 7 writes, changed false`, "save [a]; copy a; delete [2]")
		for range 3 { // what follows from one change is deleted at a time
			w.do(w.Left)
			w.after(rest / 4)
		}
		w.was("", "")
		w.after(rest + diskTime)
		w.was("", "delete [2]")
		w.do(func() { w.Admit(a, handlerdir.File{Name: "a"}); w.Sweep(time.Hour) })
		w.after(3 * diskTime)
		w.do(func() { w.Sweep(time.Hour) })
		w.after(diskTime)
		w.was(`a Admitted "sum of a", 7 writes, changed false`, "copy a; delete [2]; sweep")
	})
}

// What is whole is told before its sum is known, to who still waits for it, and not where the
// handler has given something up.
func TestAhead(t *testing.T) {
	in(t, func(w *world) {
		a := &lifecycle.Handler{Name: "a"}
		w.do(func() { w.Admit(a, handlerdir.File{Name: "whole"}) })
		w.after(diskTime)
		w.was("a ahead lead", "copy whole")
		w.after(diskTime)
		w.was(`a Admitted "sum of whole", 7 writes, changed false`, "sum")
		if w.forgone != 1 {
			t.Errorf("forgone %d times", w.forgone)
		}
		w.after(time.Hour)
		w.was("", "delete [1 2]")

		w.do(func() { w.Admit(a, handlerdir.File{Name: "whole"}); w.Abandon(a) })
		if w.forgone != 2 {
			t.Errorf("forgone %d times", w.forgone)
		}
		w.after(time.Hour)
		w.was("", "copy whole; unlead lead; sum; delete [1 2]")

		a.Record.Bad = []string{"other"}
		w.do(func() { w.Admit(a, handlerdir.File{Name: "whole"}) })
		w.after(diskTime)
		w.was("", "copy whole")
		w.after(time.Hour)
		w.was(`a Admitted "sum of whole", 7 writes, changed false`, "sum; delete [1 2]")
		if w.expected != 2 {
			t.Errorf("announced %d times", w.expected)
		}
	})
}
