package past

import (
	"testing"
	"time"

	"aead.dev/minisign"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
)

// signed is a signature that says so.
func signed(t *testing.T, comment string) string {
	t.Helper()
	_, key, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(minisign.NewReader(nil).SignWithComments(key, comment, ""))
}

// The newest signature that was served is remembered, and so is each version's.
func TestNewestSignature(t *testing.T) {
	p := New(store.Record{}, false)
	serve := func(sum, text string, newest bool) {
		p.Served(Served{Sum: sum, Signature: text, Live: time.Unix(9, 0), Newest: newest}, 1)
	}
	one, two, three := signed(t, "timestamp:5 version:1"), signed(t, "timestamp:6 version:2"), signed(t, "timestamp:7 version:3")
	serve("1", one, true)
	serve("2", two, true)
	serve("1", one, false) // rolled back
	if got, want := p.Record.Newest, (store.Mark{Version: "2", Time: 6}); got != want {
		t.Errorf("the newest is %+v, want %+v", got, want)
	}
	if !p.Signed(store.Version{Sum: "2", Signature: three}) || p.Signed(store.Version{Sum: "2", Signature: three}) || p.Signed(store.Version{Sum: "9", Signature: three}) {
		t.Error("a version that is signed anew is not told")
	}
	if Newest(p.Record).Version != "3" {
		t.Errorf("the newest is %+v", p.Record.Newest)
	}
	if all := p.Record.Find("2", "1", "0"); all[0].Signature != three || all[1].Signature != one || all[2] != (store.Version{Sum: "0"}) {
		t.Errorf("the versions are %+v", all)
	}
}
