package intake

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/daemon/trusted"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/andrestc/go-plugserver/internal/file/signature"
	"github.com/sirupsen/logrus"
)

// tray is an intake on a made-up disk, which takes a second for each thing and notes
// what it does.
type tray struct {
	*Intake
	mu   sync.Mutex
	did  []string
	fail map[string]error // what fails, by what it notes
	// chosen is what loads a plugin, by its Go release.
	chosen map[string]string
}

func (tr *tray) note(what string) error {
	time.Sleep(time.Second)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.did = append(tr.did, what)
	return tr.fail[what]
}

func (tr *tray) order() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return strings.Join(tr.did, ", ")
}

func newTray(t *testing.T) *tray {
	log := logrus.New()
	log.SetOutput(io.Discard)
	tr := &tray{fail: make(map[string]error), chosen: map[string]string{"go1.26.0": "/cell"}}
	version := func(sum string) store.Version { return store.Version{Sum: sum, Path: sum} }
	inspect := func(how, path string) (*elfplug.Info, error) {
		release, _, _ := strings.Cut(path, "/")
		if !strings.HasPrefix(release, "go") {
			release = "go1.26.0"
		}
		return &elfplug.Info{GoVersion: release, Exports: []string{"Handler"}}, tr.note(how + " " + path)
	}
	tr.Intake = On(Config{Log: log}, Disk{
		Copy: func(f handlerdir.File, whole func(*os.File, *elfplug.Info)) (Copied, error) {
			return Copied{Version: version(f.Name), Known: f.Name == "known"}, tr.note("copy " + f.Name)
		},
		Find:    func(sum string) (store.Version, error) { return version(sum), tr.note("find " + sum) },
		Inspect: func(path string) (*elfplug.Info, error) { return inspect("inspect", path) },
		Read:    func(path string) (*elfplug.Info, error) { return inspect("read", path) },
		Whole:   func(path string) (bool, error) { return path != "mixed", tr.note("whole " + path) },
		Choose: func(p *elfplug.Info) (catalogue.Binary, *refusal.Error) {
			if path := tr.chosen[p.GoVersion]; path != "" {
				return catalogue.Binary{Name: "cell", Path: path, Info: &elfplug.Info{GoVersion: p.GoVersion}}, nil
			}
			return catalogue.Binary{}, &refusal.Error{Reason: "no cell"}
		},
		Cells:  func() uint64 { return 1 },
		Delete: func(map[string]bool) error { return tr.note("delete") },
		Save: func(c store.Changes) error {
			note := "save"
			for _, name := range slices.Sorted(maps.Keys(c)) {
				note += " " + name + c[name].Serves
			}
			return tr.note(note)
		},
		Compact: func() error { return tr.note("compact") },
	}, store.History{})
	t.Cleanup(func() { tr.Close(); time.Sleep(time.Hour) })
	return tr
}

// A file that is admitted while the store is being cleaned waits until it is: what
// nobody names yet would be deleted.
func TestAdmitWaitsForCleaning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTray(t)
		cleaned := make(chan struct{})
		tr.Clean(nil, func() { close(cleaned) })
		got := make(chan Admitted, 1)
		tr.Admit(handlerdir.File{Name: "a", Over: true}, Asks{}, func(a Admitted) { got <- a })
		a := <-got
		<-cleaned
		if a.Err != nil || a.Version.Sum != "a" || a.Info == nil || a.Mixed {
			t.Errorf("%+v", a)
		}
		if want := "delete, copy a, whole a, inspect a"; tr.order() != want {
			t.Errorf("it did %s, want %s", tr.order(), want)
		}
	})
}

// What is in the store is not read whole again.
func TestAdmitKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTray(t)
		got := make(chan Admitted, 1)
		tr.Admit(handlerdir.File{Name: "known"}, Asks{}, func(a Admitted) { got <- a })
		if a := <-got; a.Err != nil || a.Info == nil || tr.order() != "copy known, read known" {
			t.Errorf("%+v; it did %s", a, tr.order())
		}
	})
}

// What fails says what it has found out by then.
func TestAdmitFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTray(t)
		tr.fail["copy changed"] = handlerdir.ErrChanged
		tr.fail["inspect odd"] = &refusal.Error{Reason: "odd"}
		for name, want := range map[string]func(Admitted) bool{
			"changed": func(a Admitted) bool { return errors.Is(a.Err, handlerdir.ErrChanged) },
			"odd":     func(a Admitted) bool { return a.Err != nil && a.Version.Sum == "odd" && !a.WantsCell },
			"mixed":   func(a Admitted) bool { return a.Err == nil && a.Mixed },
		} {
			got := make(chan Admitted, 1)
			tr.Admit(handlerdir.File{Name: name, Over: true}, Asks{}, func(a Admitted) { got <- a })
			if a := <-got; !want(a) {
				t.Errorf("%s: %+v", name, a)
			}
		}
		// Source that is not to be built is refused, in a moment.
		got := make(chan Admitted, 1)
		tr.Admit(handlerdir.File{Name: "s", Path: "s.go", Kind: handlerdir.GoFile}, Asks{Long: func(string) { t.Error("it takes long") }}, func(a Admitted) { got <- a })
		if a := <-got; a.Err == nil || a.Version.Sum != "" {
			t.Errorf("source: %+v", a)
		}
	})
}

// The first version that is as it was is recalled; one that may be there after all is
// not passed over.
func TestRecall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTray(t)
		tr.fail["find lost"], tr.fail["find busy"] = fs.ErrNotExist, syscall.EMFILE
		for _, tt := range []struct {
			sums    string
			want    string
			lost    int
			passing bool
		}{
			{"a b", "a", 0, false},
			{"lost b", "b", 1, false},
			{"lost", "", 1, false},
			{"lost busy b", "", 2, true},
		} {
			got := make(chan Recalled, 1)
			tr.Recall("a", store.Record{}.Find(strings.Fields(tt.sums)...), func(r Recalled) { got <- r })
			if r := <-got; r.Version.Sum != tt.want || len(r.Lost) != tt.lost || r.Passing != tt.passing {
				t.Errorf("%s: %+v", tt.sums, r)
			}
		}
	})
}

// One program loads all parts of a process, and what was inspected is not again.
func TestPrepare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTray(t)
		tr.chosen["go1.25.0"] = "/other"
		part := func(path string) Part { return Part{Version: store.Version{Path: path}} }
		got := make(chan Prepared, 1)
		prepare := func(parts ...Part) Prepared {
			tr.Prepare(parts, func(p Prepared) { got <- p })
			return <-got
		}
		p := prepare(part("a"), part("b"))
		if p.Err != nil || p.Path != "/cell" || p.Parts[1].Info == nil {
			t.Errorf("%+v", p)
		}
		if p := prepare(p.Parts...); p.Err != nil || tr.order() != "read a, read b" {
			t.Errorf("again: %+v; it did %s", p, tr.order())
		}
		if p := prepare(part("a"), part("go1.25.0/b")); p.Err == nil {
			t.Errorf("of two releases: %+v", p)
		}
		if p := prepare(part("go1.20.0/b")); refusal.From(p.Err).Reason != "no cell" {
			t.Errorf("of no cell's: %+v", p)
		}
	})
}

// Changes that wait are written together, the newest of each handler; what cannot be
// written is written again, and the last before the end, too.
func TestSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTray(t)
		var done atomic.Int32
		save := func(sum string) {
			name, serves, _ := strings.Cut(sum, ":")
			tr.Save(store.Changes{name: {Serves: serves}}, func() { done.Add(1) })
		}
		if save("a:1"); tr.Saved() {
			t.Error("it is there at once")
		}
		synctest.Wait()
		save("b:2")
		save("a:3")
		time.Sleep(3 * time.Second)
		if synctest.Wait(); tr.order() != "save a1, save a3 b2" || !tr.Saved() || done.Load() != 2 {
			t.Errorf("it did %s; saved %v, told %d times", tr.order(), tr.Saved(), done.Load())
		}
		tr.fail["save a4"] = syscall.ENOSPC
		save("a:4")
		time.Sleep(2 * saveAgain)
		if synctest.Wait(); tr.Saved() || strings.Count(tr.order(), "save a4") != 2 {
			t.Errorf("it did %s", tr.order())
		}
		save("a:5")
		time.Sleep(2 * saveAgain)
		if synctest.Wait(); !tr.Saved() || !strings.HasSuffix(tr.order(), "save a5") {
			t.Errorf("it did %s", tr.order())
		}
	})
}

// A copy that is whole is handed out while its sum is being made, but for one that may be a mixture, one that
// no cell loads, one that may be signed badly, one of what is live, and one beside which another is being admitted.
func TestAhead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const content = "content"
	long := strings.Repeat(content, 50_000)
	for _, tt := range []struct {
		name, content, live string
		over, busy          bool
		release             string
		trust               signature.Policy
		signed              uint64 // the inode of its signature
		want                bool
	}{
		{name: "new", content: content, want: true},
		{name: "other", content: long, live: write("other", long[1:]+"."), want: true},
		{name: "longer", content: long + ".", live: write("longer", long), want: true},
		{name: "shorter", content: long[1:], live: write("shorter", long), want: true},
		{name: "nothing to compare with", content: content, live: filepath.Join(dir, "none"), want: true},
		{name: "the same", content: long, live: write("same", long)},
		{name: "over", content: content, over: true},
		{name: "beside another", content: content, busy: true},
		{name: "no cell", content: content, release: "go1.20"},
		{name: "perhaps not signed", content: content, trust: signature.Policy{Require: true}},
		{name: "perhaps badly signed", content: content, trust: signature.Policy{Keys: []signature.Key{{}}}, signed: 1},
		{name: "need not be signed, and is not", content: content, trust: signature.Policy{Keys: []signature.Key{{}}}, want: true},
	} {
		copy, err := os.Open(write("copy", tt.content))
		if err != nil {
			t.Fatal(err)
		}
		info := &elfplug.Info{GoVersion: cmp.Or(tt.release, "go1.26.0"), Exports: []string{"Handler"}}
		choose := func(i *elfplug.Info) (catalogue.Binary, *refusal.Error) {
			if i.GoVersion != "go1.26.0" {
				return catalogue.Binary{}, &refusal.Error{Reason: "no cell"}
			}
			return catalogue.Binary{Name: "cell", Info: i}, nil
		}
		lead := func(f *os.File) (string, error) { return f.Name() + ".lead", nil }
		in := &Intake{admits: make(chan struct{}, 2), disk: Disk{Choose: choose, Lead: lead}, Keeper: trusted.New(tt.trust, nil)}
		in.admits <- struct{}{} // its own
		if tt.busy {
			in.admits <- struct{}{}
		}
		var got []Prepared
		w := &work{Intake: in, file: handlerdir.File{Over: tt.over, ID: handlerdir.ID{Sign: handlerdir.State{Ino: tt.signed}}}, Asks: Asks{Live: tt.live, Ahead: func(p Prepared) { got = append(got, p) }}}
		w.lead(copy, info)
		copy.Close()
		switch {
		case !tt.want && (len(got) > 0 || w.Led != ""):
			t.Errorf("%s: handed out", tt.name)
		case tt.want && (len(got) != 1 || got[0].Parts[0].Version.Path != copy.Name()+".lead" || got[0].Parts[0].Info != info || w.Led != got[0].Parts[0].Version.Path || got[0].Name != "cell"):
			t.Errorf("%s: handed out %+v", tt.name, got)
		}
		w.Asks = Asks{}
		w.lead(nil, info) // nobody wants it
	}
}
