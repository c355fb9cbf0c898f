package synced

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func blob(c string) Blob { return Blob{Digest: "sha256:" + strings.Repeat(c, 64), Size: 7} }

// What is saved is what is loaded, and all of a folder are told.
func TestSaved(t *testing.T) {
	dir := t.TempDir()
	blank, err := Load(dir, "shop")
	if err != nil || blank.Well() || len(blank.Placed) != 0 {
		t.Fatalf("of nothing: %+v, %v", blank, err)
	}
	now := time.Now().UTC().Round(time.Second)
	r := &Record{
		Format: format, Ref: "registry/shop:prod", Digest: "sha256:1", AgreedDigest: "sha256:1", Agreed: now, Tried: now, Bytes: 9, Refusals: 2, Failures: 1,
		Desired: map[string]Want{"users": {Manifest: "sha256:2", File: blob("a")}},
		Placed: map[string]Placed{"users": {
			Want: Want{Manifest: "sha256:2", File: blob("a"), Signature: blob("b")}, Time: now, Next: &Want{File: blob("c")}, State: State{Inode: 1, Size: 7, Mtime: 3, Ctime: 4},
		}},
	}
	if err := r.Save(dir, "shop"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.json"), []byte(`{"format":1`), 0o644); err != nil {
		t.Fatal(err)
	}
	all, err := All(dir)
	if !reflect.DeepEqual(all, map[string]*Record{"shop": r}) || err == nil || !strings.Contains(err.Error(), "bad.json") {
		t.Errorf("got %+v, %v", all["shop"], err)
	}
	if !r.Well() {
		t.Error("it is not well")
	}
	if all, err := All(filepath.Join(dir, "none")); len(all) != 0 || err != nil {
		t.Errorf("of no folder: %v, %v", all, err)
	}
	for digest, want := range map[string]bool{blob("a").Digest: true, blob("c").Digest: true, blob("d").Digest: false, "": false} {
		if r.Placed["users"].Ours(digest) != want {
			t.Errorf("%q is ours: %v", digest, !want)
		}
	}
	if v := blob("a").Version(); v != "aaaaaaaaaaaa" {
		t.Error(v)
	}
}

// What is no record is told with its fix, and stays.
func TestNoRecord(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"":                     "it is no record of plugserverctl's (EOF); put it back from a backup",
		"[]":                   "it is no record",
		`{}`:                   "it is no record",
		`{"format":1} {}`:      "it is no record",
		`{"format":2}`:         "a newer plugserverctl has written it, in format 2",
		`{"format":1,"ref":7}`: "it is no record",
		"\x00\x00\x00\x00":     "it is no record",
		`{"format":1,"placed":{"../../etc/x":{}}}`: `"../../etc/x" in it can be no handler`,
		`{"format":1,"desired":{".x":{}}}`:         `".x" in it can be no handler`,
	} {
		path := filepath.Join(dir, "shop.json")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir, "shop"); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", text, err)
		}
		if there, _ := os.ReadFile(path); string(there) != text {
			t.Errorf("%q became %q", text, there)
		}
	}
}

// Two entries are locked side by side, one not twice.
func TestLocks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sync")
	first, err := LockEntry(dir, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LockEntry(dir, "shop"); !errors.Is(err, ErrLocked) {
		t.Errorf("twice: %v", err)
	}
	other, err := LockEntry(dir, "blog")
	if err != nil {
		t.Fatal(err)
	}
	other.Unlock()
	first.Unlock()
	again, err := LockEntry(dir, "shop")
	if err != nil {
		t.Fatal(err)
	}
	again.Unlock()
	all, err := LockDirectory(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := LockDirectory(ctx, dir); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("locked, and got it: %v", err)
	}
	all.Unlock()
}

// Of an entry that is forgotten nothing stays, and however many do so at once, one at a time has its lock.
func TestForget(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	var have, times atomic.Int64
	for range 8 {
		all.Go(func() {
			for range 200 {
				l, err := LockEntry(dir, "shop")
				if err != nil {
					continue
				}
				if n := have.Add(1); n > 1 {
					t.Errorf("%d have the lock", n)
				}
				times.Add(1)
				err = new(Record).Save(dir, "shop")
				have.Add(-1) // the next may have it as soon as the lock's file is gone
				err = errors.Join(err, Forget(dir, "shop"))
				l.Unlock()
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil || times.Load() == 0 {
		t.Errorf("left is %v, %v, after %d times", left, err, times.Load())
	}
}
