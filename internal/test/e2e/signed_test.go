package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aead.dev/minisign"
	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// signer is a key in a file, and its public key.
func signer(t *testing.T) (file, public, id string) {
	t.Helper()
	pub, key, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := key.MarshalText()
	file = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, pub.String(), fmt.Sprintf("%016X", pub.ID())
}

// A signedHouse is a daemon whose [Trust] holds.
type signedHouse struct {
	*testbed.Daemon
	t   *testing.T
	dir string
}

// trust puts [Trust] into the file.
func (s *signedHouse) trust(lines ...string) {
	s.t.Helper()
	text := "[Trust]\n" + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(s.dir, "plugserverd.conf"), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// ctl is plugserverctl, whose words, of both kinds, are to have want.
func (s *signedHouse) ctl(code int, want string, args ...string) {
	s.t.Helper()
	out, errs, got := s.Ctl(args...)
	if got != code || !strings.Contains(out+errs, want) {
		s.t.Errorf("plugserverctl %q: exit %d, want %d and %q\n%s%s", args, got, code, want, out, errs)
	}
}

// file writes a plugin elsewhere, signed with the key and these flags, unless the key is "".
func (s *signedHouse) file(p testbed.Plugin, key string, flags ...string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "a.so")
	if err := os.WriteFile(path, p.Bytes, 0o644); err != nil {
		s.t.Fatal(err)
	}
	if key != "" {
		s.ctl(0, "signed: "+path+".minisig, with the key ", append([]string{"sign", "--key", key, path}, flags...)...)
	}
	return path
}

// restart stops the daemon, and starts another.
func (s *signedHouse) restart() {
	if s.Daemon != nil {
		s.Stop()
	}
	s.Daemon = testbed.Start(s.t, testbed.In(s.dir))
}

// What is not signed by whom [Trust] names does not run: not when it comes, not out of the store, not after a restart. What
// served goes on.
func TestSigned(t *testing.T) {
	key, public, id := signer(t)
	s := &signedHouse{t: t, dir: testbed.NewDir(t)}
	one, two, three := plain(t, "/a", "one"), plain(t, "/a", "two"), plain(t, "/a", "three")
	s.restart()
	s.Put("a", one)
	s.trust("PublicKey="+public, "Require=yes", "Monotonic=yes")

	// On a reload it serves on, and is said; after a restart nothing does, neither the file nor the store's version.
	if stderr, code := s.Reload(); code != 1 || !strings.Contains(stderr, "goes on serving, and would not be started again: not signed") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	s.Want("/a", 200, "one")
	s.restart()
	s.WaitRefused(0, "a")
	s.Want("/a", 404, "404 page not found\n")

	first := s.file(one, key, "--version", "1")
	s.ctl(0, "live: a", "install", first)
	s.ctl(0, "signed with the key "+id+" as version 1", "history", "a")
	s.ctl(0, "was signed with the key "+id, "status", "a")
	s.ctl(0, "signed: "+first+", with the key "+id+", for the handler a, version 1, signed on ", "verify", first)

	// The signature may come behind the file.
	second := s.file(two, key, "--version", "2")
	mark := s.Log.Len()
	s.Drop("a", two)
	text, err := os.ReadFile(second + ".minisig")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.Temp(text), s.Path("a")+".minisig"); err != nil {
		t.Fatal(err)
	}
	s.WaitLive(mark, "a", two)
	s.ctl(0, `"refused": {}`, "reload", "--json") // no stray was seen

	for _, tt := range []struct{ file, refused string }{ // the rest of them: internal/file/signature
		{s.file(three, ""), "not signed: there is no signature (.minisig) beside it"},
		{first, "older than what was served: it is version 1"},
	} {
		s.ctl(1, tt.refused, "install", tt.file)
		s.Want("/a", 200, "two")
	}
	altered := s.file(three, key, "--version", "3")
	if err := os.WriteFile(altered, plain(t, "/a", "evil").Bytes, 0o644); err != nil {
		t.Fatal(err)
	}
	s.ctl(1, "not what was signed with the key "+id, "install", altered)
	s.ctl(1, "not what was signed with the key "+id, "verify", altered)
	s.ctl(0, "", "rollback", "a")
	s.Want("/a", 200, "one") // as an operator has said
	s.ctl(0, "", "release", "a")
	s.Want("/a", 200, "two")
	s.restart()
	s.Want("/a", 200, "two")

	// A file that was removed makes no way for an older one.
	s.ctl(0, "removed: a", "remove", "a")
	s.ctl(1, "older than what was served", "install", first)

	// Faults elsewhere in the file do not have what is not signed served.
	s.trust("PublicKey="+public, "Require=yes", "[Handler a]", "MemoryMax=much")
	s.Allow("settings are refused")
	s.restart()
	s.ctl(1, "not signed", "install", s.file(three, ""))
	s.ctl(0, "live: a", "install", s.file(three, key, "--version", "3"))
	s.trust("PublicKey="+public, "RevokedKey="+id)
	if stderr, code := s.Reload(); code != 1 || !strings.Contains(stderr, "which RevokedKey= in [Trust] has revoked") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	s.Want("/a", 200, "three")
	s.ctl(1, "has revoked", "restart", "a")
	s.Want("/a", 200, "three")
}
