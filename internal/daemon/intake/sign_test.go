package intake

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/daemon/trusted"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/andrestc/go-plugserver/internal/file/signature"
)

// signs has the tray's signatures be as said by the function, which tells since when. One that holds is "good" and the
// sum that it is of, and how new that is.
func (tr *tray) signs(p signature.Policy, text func() (string, time.Time)) {
	tr.disk.Signature = func(string) (string, time.Time, error) {
		s, at := text()
		if s == "" {
			return "", at, signature.ErrNone
		}
		return s, at, nil
	}
	tr.Keeper = trusted.New(p, func(p signature.Policy, handler string, v store.Version) (said signature.Signed, err error) {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.did = append(tr.did, "judge "+v.Signature) // which takes no time
		var of string
		fmt.Sscanf(v.Signature, "good %s %d", &of, &said.Time)
		if said.Handler = handler; of != v.Sum {
			err = &refusal.Error{Reason: "bad"}
		}
		return said, err
	})
}

var required = signature.Policy{Require: true, Monotonic: true, Keys: []signature.Key{{}}}

// A file and its signature may come in either order: what does not hold is waited for, for a moment, and then refused.
func TestSign(t *testing.T) {
	for _, tt := range []struct {
		name   string
		policy signature.Policy
		first  string        // the signature that is there
		then   string        // that comes a second later; "" is none
		old    time.Duration // how long both are there
		newest int64
		want   string // of Admitted: its signature, or why it has none
		took   time.Duration
	}{
		{"signed", required, "good a 5", "", 0, 5, "good a 5", 0},
		{"it comes later", required, "", "good a 5", 0, 0, "good a 5", signTime},
		{"that of the file before", required, "good b 4", "good a 5", 0, 4, "good a 5", signTime},
		{"none comes", required, "", "", 0, 0, "not signed", signTime},
		{"none has come", required, "", "", time.Hour, 0, "not signed", 0},
		{"altered", required, "good b 5", "", time.Hour, 0, "bad", 0},
		{"replayed", required, "good a 4", "", time.Hour, 5, "older than what was served", 0},
		{"none, not required", signature.Policy{Keys: required.Keys}, "", "", 0, 0, "", 0},
		{"altered, not required", signature.Policy{Keys: required.Keys}, "good b 5", "", time.Hour, 0, "bad", 0},
		{"nobody asks", signature.Policy{}, "good b 5", "", 0, 0, "", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			tr := newTray(t)
			began := time.Now()
			comes := began.Add(2*time.Second + signTime/2) // behind the copying and the inspection
			tr.signs(tt.policy, func() (string, time.Time) {
				if tt.then != "" && time.Now().After(comes) {
					return tt.then, comes
				}
				return tt.first, began.Add(2*time.Second - tt.old)
			})
			judge := tr.Keeper
			tr.Keeper = trusted.New(tt.policy, func(p signature.Policy, handler string, v store.Version) (signature.Signed, error) {
				if v.Signature == "" {
					return p.Check(handler, strings.NewReader(""), "")
				}
				return judge.Verify(handler, v)
			})
			f := handlerdir.File{Name: "a", Path: "/h/a.so", ID: handlerdir.ID{Ctime: began.Add(2*time.Second - tt.old).UnixNano()}}
			got := make(chan Admitted, 1)
			tr.Admit(f, Asks{Newest: signature.Signed{Time: tt.newest}}, func(a Admitted) { got <- a })
			a := <-got
			took := time.Since(began) - 2*time.Second
			switch {
			case a.Err != nil && (tt.want == "" || !strings.Contains(a.Err.Error(), tt.want)), a.Err == nil && a.Version.Signature != tt.want:
				t.Errorf("%s: %q, %v, want %q", tt.name, a.Version.Signature, a.Err, tt.want)
			case tt.took == 0 && took > 0, tt.took > 0 && (took <= 0 || took > tt.took):
				t.Errorf("%s: it waited for %v, want %v", tt.name, took, tt.took)
			}
		})
	}
}

// Source is compiled only where nothing has to be signed.
func TestSourceIsNotSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTray(t)
		tr.cfg.BuildSource = true
		tr.signs(required, nil)
		got := make(chan Admitted, 1)
		tr.Admit(handlerdir.File{Name: "s", Path: "/h/s.go", Kind: handlerdir.GoFile}, Asks{}, func(a Admitted) { got <- a })
		if a := <-got; a.Err == nil || !strings.Contains(a.Err.Error(), "source is not signed") {
			t.Errorf("%+v", a)
		}
	})
}

// What is in the store runs only by who is trusted now, be it recalled or started again; what held is not read again.
func TestOnlyTrustedVersionsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTray(t)
		tr.signs(signature.Policy{}, nil)
		recall := func(wanted ...store.Version) Recalled {
			got := make(chan Recalled, 1)
			tr.Recall("h", wanted, func(r Recalled) { got <- r })
			return <-got
		}
		prepare := func(v store.Version) error {
			got := make(chan Prepared, 1)
			tr.Prepare([]Part{{Handler: "h", Version: v}}, func(p Prepared) { got <- p })
			return (<-got).Err
		}
		unsigned, altered, good := store.Version{Sum: "a", Path: "a"}, store.Version{Sum: "b", Path: "b", Signature: "good a 1"}, store.Version{Sum: "c", Path: "c", Signature: "good c 1"}
		if r := recall(unsigned); r.Version.Sum != "a" || prepare(unsigned) != nil {
			t.Errorf("nobody asks: %+v", r)
		}
		if !tr.Trust(required) || tr.Trust(required) {
			t.Error("it does not tell policies apart")
		}
		tr.did = nil
		if r := recall(unsigned, altered, good); r.Version.Sum != "c" || r.Version.Signature != good.Signature || len(r.Lost) != 2 {
			t.Errorf("recalled: %+v", r)
		}
		for _, v := range []store.Version{unsigned, altered} {
			if err := prepare(v); !trusted.Untrusted(err) || !errors.As(err, new(*refusal.Error)) {
				t.Errorf("%s: %v", v.Sum, err)
			}
		}
		if tr.Trust(required) { // reloaded, as it was
			t.Error("it does not know a policy again")
		}
		if err := prepare(good); err != nil || strings.Count(tr.order(), "judge good c 1") != 1 {
			t.Errorf("%v; it did %s", err, tr.order())
		}
	})
}

// Where handlers may write to the store, what is started is read before each start, and judged anew.
func TestDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTray(t)
		tr.disk.Doubt = func() error { return tr.note("doubt") }
		tr.signs(required, nil)
		good := store.Version{Sum: "c", Path: "c", Signature: "good c 1"}
		prepare := func() error {
			got := make(chan Prepared, 1)
			tr.Prepare([]Part{{Handler: "h", Version: good}}, func(p Prepared) { got <- p })
			return (<-got).Err
		}
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
		tr.Doubt()
		tr.Doubt()
		if err := errors.Join(prepare(), prepare()); err != nil {
			t.Error(err)
		}
		if want := "judge good c 1, read c, doubt, find c, judge good c 1, read c, find c, judge good c 1, read c"; tr.order() != want {
			t.Errorf("it did %s, want %s", tr.order(), want)
		}
		tr.fail["find c"] = fs.ErrNotExist
		if err := prepare(); err == nil || trusted.Untrusted(err) || !strings.Contains(err.Error(), "is not what it was") {
			t.Errorf("altered: %v", err)
		}
	})
}
