package origins

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/file/synced"
)

// What a sync has written is told from then on, and a record that cannot be read is a note.
func TestTell(t *testing.T) {
	dir := t.TempDir()
	b := New(dir)
	tell := func() api.Status {
		st := api.Status{Handlers: []api.Handler{{Name: "bye", State: api.StateLive}, {Name: "users", State: api.StateLive}, {Name: "users", State: api.StateRetiring}}}
		b.Tell(&st)
		return st
	}
	if st := tell(); st.Daemon.SyncFolder != dir || st.Daemon.Syncs != nil || st.Handlers[1].Origin != nil {
		t.Errorf("of nothing: %+v", st)
	}
	agreed := time.Now().UTC().Round(time.Second)
	r := &synced.Record{
		Format: 1, Ref: "registry/shop:prod", Digest: "sha256:1", AgreedDigest: "sha256:1", Agreed: agreed, Bytes: 9,
		Placed: map[string]synced.Placed{"users": {Want: synced.Want{Manifest: "sha256:2", File: synced.Blob{Digest: "sha256:3"}}}},
	}
	if err := r.Save(dir, "shop"); err != nil {
		t.Fatal(err)
	}
	st := tell()
	want := api.Origin{Sync: "shop", Ref: "registry/shop:prod", Digest: "sha256:2", File: "sha256:3", Agreed: agreed}
	if st.Handlers[0].Origin != nil || st.Handlers[1].Origin == nil || *st.Handlers[1].Origin != want || st.Handlers[2].Origin != nil {
		t.Errorf("got %+v", st.Handlers)
	}
	if all := b.Syncs(); len(all) != 1 || !all[0].OK || all[0].Handlers != 1 || all[0].Bytes != 9 || len(st.Daemon.Syncs) != 1 {
		t.Errorf("got %+v", all)
	}
	r.Refused = map[string]synced.Refused{"bye": {Reason: "no", Mend: "yes"}}
	if err := r.Save(dir, "shop"); err != nil {
		t.Fatal(err)
	}
	if all := b.Syncs(); all[0].OK || all[0].Refused["bye"].Reason != "no" {
		t.Errorf("got %+v", all)
	}
	if err := os.WriteFile(filepath.Join(dir, "shop.json"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if st := tell(); len(st.Daemon.Notes) != 1 || !strings.Contains(st.Daemon.Notes[0], "shop.json") || st.Handlers[1].Origin != nil {
		t.Errorf("got %+v", st)
	}
}
