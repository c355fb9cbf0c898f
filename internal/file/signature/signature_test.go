package signature

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"aead.dev/minisign"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
)

// newKey makes one as minisign -G does.
func newKey(t *testing.T) Secret {
	t.Helper()
	_, secret, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return Secret{secret}
}

const content = "a plugin"

func (s Secret) sign(t *testing.T, comment string) string {
	t.Helper()
	text, err := s.Sign(strings.NewReader(content), comment)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCheck(t *testing.T) {
	ours, other, old := newKey(t), newKey(t), newKey(t)
	var lookalike minisign.Signature // of a key that pretends to be ours: whoever makes one chooses its ID
	if err := lookalike.UnmarshalText([]byte(other.sign(t, "x"))); err != nil {
		t.Fatal(err)
	}
	lookalike.KeyID = ours.key.ID()

	p := Policy{Keys: []Key{ours.Public(), old.Public()}, Revoked: []string{old.Public().ID()}, Require: true}
	lax := p
	lax.Require = false
	good := ours.sign(t, "timestamp:5 handler:a version:1.2")
	for _, tt := range []struct {
		name    string
		policy  Policy
		content string
		text    string
		refused string // "" where it is believed
	}{
		{"signed", p, content, good, ""},
		{"not required", lax, content, good, ""},
		{"unsigned", p, content, "", "not signed"},
		{"unsigned, not required", lax, content, "", ""},
		{"no policy looks at none", Policy{}, content, "nonsense", ""},
		{"altered", p, content + " ", good, "not what was signed"},
		{"altered, not required", lax, content + " ", good, "not what was signed"},
		{"an altered comment", p, content, strings.Replace(good, "version:1.2", "version:1.3", 1), "not what was signed"},
		{"another handler", p, content, ours.sign(t, "handler:b"), "signed for the handler b, not for a"},
		{"any handler", p, content, ours.sign(t, "some words"), ""},
		{"a foreign key", p, content, other.sign(t, "timestamp:5"), "none of [Trust]"},
		{"a foreign key, not required", lax, content, other.sign(t, "timestamp:5"), "none of [Trust]"},
		{"a foreign key of our ID", p, content, lookalike.String(), "not what was signed"},
		{"a revoked key", p, content, old.sign(t, "timestamp:5"), "has revoked"},
		{"no signature", p, content, "nonsense", "none of minisign's"},
		{"half a signature", p, content, good[:len(good)/2], "none of minisign's"},
		{"no version", p, content, ours.sign(t, "version:1.x"), "version:1.x"},
		{"no time", p, content, ours.sign(t, "timestamp:soon"), "timestamp:soon"},
		{"the former format", p, content, string(minisign.Sign(ours.key, []byte(content))), "former format"},
	} {
		said, err := tt.policy.Check("a", strings.NewReader(tt.content), tt.text)
		var r *refusal.Error
		switch {
		case tt.refused == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.refused != "" && (!errors.As(err, &r) || !strings.Contains(r.Reason, tt.refused) || r.Mend == ""):
			t.Errorf("%s: got %+v, %v", tt.name, said, err)
		case tt.text == good && err == nil && said != Signed{ours.Public().ID(), "a", 5, "1.2"}:
			t.Errorf("%s: it says %+v", tt.name, said)
		}
	}
}

// A file is not read for what a signature alone refuses.
func TestRefusedUnread(t *testing.T) {
	ours, other := newKey(t), newKey(t)
	p := Policy{Keys: []Key{ours.Public()}}
	unreadable := iotest.ErrReader(errors.New("it was read"))
	if _, err := p.Check("a", unreadable, other.sign(t, "timestamp:5")); !errors.As(err, new(*refusal.Error)) {
		t.Errorf("a foreign key: %v", err)
	}
	if _, err := p.Check("a", unreadable, ours.sign(t, "timestamp:5")); errors.As(err, new(*refusal.Error)) {
		t.Errorf("our key, unread: %v", err)
	}
}

func TestOrder(t *testing.T) {
	p := Policy{Monotonic: true}
	for _, tt := range []struct {
		have, newest Signed
		refused      string
	}{
		{Signed{Handler: "a", Time: 5}, Signed{}, ""},
		{Signed{Handler: "a", Time: 5}, Signed{Time: 5}, ""},
		{Signed{Handler: "a", Time: 4}, Signed{Time: 5}, "older than what was served"},
		{Signed{Handler: "a", Version: "1.10"}, Signed{Version: "1.9", Time: 9}, ""},
		{Signed{Handler: "a", Version: "1.9", Time: 9}, Signed{Version: "1.10", Time: 5}, "it is version 1.9"},
		{Signed{Handler: "a", Version: "1"}, Signed{Version: "1.0"}, "older"},
		{Signed{Handler: "a", Version: "007"}, Signed{Version: "7"}, ""},
		{Signed{Handler: "a", Version: "3", Time: 4}, Signed{Version: "3", Time: 5}, "older"},
		{Signed{Handler: "a", Time: 9}, Signed{Version: "3", Time: 5}, "older"}, // it hides which it is
		{Signed{Handler: "a", Version: "1", Time: 4}, Signed{Time: 5}, ""},
		{Signed{Time: 5}, Signed{}, "which handler and version"},
		{Signed{Handler: "a"}, Signed{}, "which handler and version"},
	} {
		err := p.Order(tt.have, tt.newest)
		if tt.refused == "" && err != nil || tt.refused != "" && (err == nil || !strings.Contains(err.Error(), tt.refused)) {
			t.Errorf("%+v behind %+v: %v, want %q", tt.have, tt.newest, err, tt.refused)
		}
		if err := (Policy{}).Order(tt.have, tt.newest); err != nil {
			t.Errorf("not monotonic: %v", err)
		}
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.so")
	if _, _, err := Read(path); !errors.Is(err, ErrNone) {
		t.Errorf("none: %v", err)
	}
	if err := os.WriteFile(path+Suffix, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, touched, err := Read(path); text != "text" || touched.IsZero() || err != nil {
		t.Errorf("got %q, %v, %v", text, touched, err)
	}
	if err := os.WriteFile(path+Suffix, make([]byte, maxText+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Read(path); err == nil {
		t.Error("one that is too long")
	}
	os.Remove(path + Suffix)
	if err := os.Mkdir(path+Suffix, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Read(path); err == nil {
		t.Error("a folder")
	}
}

func TestKeys(t *testing.T) {
	k := newKey(t).Public()
	for _, text := range []string{k.String(), " " + k.String() + "\n", "untrusted comment: minisign public key " + k.ID() + "\n" + k.String() + "\n"} {
		if got, err := ParseKey(text); err != nil || got.ID() != k.ID() {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "RWQ", "untrusted comment: x\n", strings.ToLower(k.String())} {
		if _, err := ParseKey(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	if id, err := ParseID(strings.ToLower(k.ID())); err != nil || id != k.ID() {
		t.Errorf("%q, %v", id, err)
	}
	for _, id := range []string{"", k.ID()[1:], k.ID()[1:] + "G"} {
		if _, err := ParseID(id); err == nil {
			t.Errorf("%q is taken", id)
		}
	}
	if !(Policy{Keys: []Key{k}}).Equal(Policy{Keys: []Key{k}}) || (Policy{Keys: []Key{k}}).Equal(Policy{Keys: []Key{newKey(t).Public()}}) {
		t.Error("policies are told apart by other things than their keys")
	}
}

// Debian's minisign makes what Check believes, and believes what Sign makes.
func TestMinisign(t *testing.T) {
	if _, err := exec.LookPath("minisign"); err != nil {
		t.Skip("needs minisign(1): apt install minisign")
	}
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("minisign", args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("minisign %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	run("-G", "-W", "-p", "pub", "-s", "sec")
	file := filepath.Join(dir, "a.so")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := ParseKey(read("pub"))
	if err != nil {
		t.Fatal(err)
	}
	p := Policy{Keys: []Key{key}, Require: true}
	check := func(want string) Signed {
		t.Helper()
		text, _, err := Read(file)
		if err != nil {
			t.Fatal(err)
		}
		said, err := p.Check("a", strings.NewReader(content), text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v, %v, want %q, of\n%s", said, err, want, text)
		}
		return said
	}
	run("-S", "-s", "sec", "-m", "a.so")
	if said := check(""); said.Time == 0 || said.Key != key.ID() {
		t.Errorf("it says %+v", said)
	}
	run("-S", "-s", "sec", "-m", "a.so", "-t", "timestamp:7 handler:a version:3")
	if said := check(""); said != (Signed{key.ID(), "a", 7, "3"}) {
		t.Errorf("it says %+v", said)
	}
	run("-S", "-l", "-s", "sec", "-m", "a.so")
	check("former format")

	secret, err := ParseSecret([]byte(read("sec")), "")
	if err != nil {
		t.Fatal(err)
	}
	text := secret.sign(t, Comment(Signed{Handler: "a", Time: 7, Version: "3"}, "a b.so"))
	if err := os.WriteFile(file+Suffix, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := run("-V", "-H", "-p", "pub", "-m", "a.so"); !strings.Contains(out, "timestamp:7\tfile:a_b.so\thandler:a\tversion:3\thashed") {
		t.Errorf("minisign says %s", out)
	}
	check("")
}

// An encrypted key opens with its password alone. This one takes little to try one: minisign's take a gigabyte.
func TestPassword(t *testing.T) {
	const public, text = "RWR2xfog8yJNkz0Tx0nek26mEX0dkCIfS3PIf8sT7VJ5vZ/Mt2rH1plj", "untrusted comment: minisign encrypted secret key\nRWRTY0Iy9OWCIKRlKUq2CqNPl7enhyM1an7aZo1yBXRCogCkxTUAgAAAAAAAAAAAAAEAAAAApcpAjbJ6q/8s2qk2XDfK8QwwnadTv92udvaq5G/1TWI0iF6MTP3cOIrkvcNBzYlO63R61iq77JZJ+ghzvDRCKW4T/tcy2psWyt/GFyl/83EyQ+bG7a5KwR601kd6uxEXmxvH7kKa+28=\n"
	if s, err := ParseSecret([]byte(text), "right"); !IsEncrypted([]byte(text)) || err != nil || s.Public().String() != public {
		t.Errorf("got %v", err)
	}
	if _, err := ParseSecret([]byte(text), "wrong"); err == nil {
		t.Error("a wrong password opens it")
	}
}

func FuzzParse(f *testing.F) {
	_, secret, err := minisign.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	text, _ := Secret{secret}.Sign(strings.NewReader(content), "timestamp:5 handler:a version:1.2")
	f.Add(string(text))
	f.Fuzz(func(t *testing.T, text string) {
		said, err := Parse(text)
		var r *refusal.Error
		if err != nil && (!errors.As(err, &r) || said.Handler+said.Version != "") {
			t.Errorf("%q: %+v, %v", text, said, err)
		}
		if err == nil && said.Version != "" && !IsVersion(said.Version) {
			t.Errorf("%q: %+v", text, said)
		}
	})
}
