package handlerdir

import (
	"os"
	"testing"
	"time"
)

// A signature that comes, changes or goes is another state of the plugin that it lies beside, which is settled as it
// was; it is no candidate itself, and nothing where none is looked for.
func TestSignatures(t *testing.T) {
	for _, source := range []bool{false, true} {
		r := newRoom(t)
		if source {
			r = newSourceRoom(t)
		}
		now := time.Now()
		r.write("a.so", 10, 10, now.Add(-time.Hour))
		r.must(os.WriteFile(r.path("a.so.minisig"), []byte("1"), 0o600))
		r.must(os.WriteFile(r.path("gone.so.minisig"), []byte("1"), 0o600))
		plain := r.scan(nil, now)
		r.rules.Signed = ".minisig"
		var ids []ID
		look := func(prev *Snapshot) *Snapshot {
			t.Helper()
			s, err := ScanSome(r.dir, r.rules, prev, []string{"a.so.minisig"}, now)
			r.must(err)
			if len(s.Files) != 1 || !s.Files[0].Settled || s.Files[0].Over || s.LookAgain != 0 {
				t.Fatalf("source %v: saw %+v", source, s)
			}
			ids = append(ids, s.Files[0].ID)
			f, err := Open(s.Files[0])
			r.must(err)
			f.Close()
			if same, err := Same(s.Files[0], r.rules); !same || err != nil {
				t.Errorf("source %v: it is another: %v", source, err)
			}
			return s
		}
		s := look(plain)
		r.must(os.WriteFile(r.path("new"), []byte("2"), 0o600))
		r.must(os.Rename(r.path("new"), r.path("a.so.minisig")))
		s = look(s)
		r.must(os.Remove(r.path("a.so.minisig")))
		s = look(s)
		look(s)
		if ids[0] == ids[1] || ids[1] == ids[2] || ids[2] != ids[3] || ids[3] != plain.Files[0].ID {
			t.Errorf("source %v: the states are %+v", source, ids)
		}
	}
}
