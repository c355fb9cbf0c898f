package signing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aead.dev/minisign"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
)

// encrypted is a key whose password is "right"; unlike minisign's, it takes little to try one.
const encrypted = "untrusted comment: minisign encrypted secret key\n" +
	"RWRTY0Iy9OWCIKRlKUq2CqNPl7enhyM1an7aZo1yBXRCogCkxTUAgAAAAAAAAAAAAAEAAAAApcpAjbJ6q/8s2qk2XDfK8QwwnadTv92udvaq5G/1TWI0iF6MTP3cOIrkvcNBzYlO63R61iq77JZJ+ghzvDRCKW4T/tcy2psWyt/GFyl/83EyQ+bG7a5KwR601kd6uxEXmxvH7kKa+28=\n"

// encryptedPublic is its public key.
const encryptedPublic = "RWR2xfog8yJNkz0Tx0nek26mEX0dkCIfS3PIf8sT7VJ5vZ/Mt2rH1plj"

func TestSignAndVerify(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pub, key, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := key.MarshalText()
	file, plain, public := write("a.so", "a plugin"), write("key", string(secret)), write("key.pub", pub.String()+"\n")
	locked, right, wrong := write("locked", encrypted), write("right", "right\nnot this\n"), write("wrong", "wrong\n")
	for _, tt := range []struct {
		code int
		want string
		args []string
	}{
		{1, "not signed", []string{"verify", "--key", public, file}},
		{0, "signed: FILE.minisig, with the key KEY, for the handler a, version 1.2, signed on ", []string{"sign", "--key", plain, "--version", "1.2", file}},
		{0, "signed: FILE, with the key KEY, for the handler a, version 1.2, signed on ", []string{"verify", "--key", pub.String(), file}},
		{1, "signed for the handler a, not for b; mend: rename both files to a.so", []string{"verify", "--key", public, "--handler", "b", file}},
		{1, "which is none of [Trust]", []string{"verify", "--key", encryptedPublic, file}},
		{0, "with the key KEY, signed on ", []string{"sign", "--key", plain, "--handler", "any", file}},
		{0, "with the key KEY, signed on ", []string{"verify", "--key", public, "--handler", "b", file}},
		{0, "signed: FILE.minisig", []string{"sign", "--key", locked, "--password-file", right, file}},
		{0, "signed: FILE", []string{"verify", "--key", public, "--key", encryptedPublic, file}},
		{1, "the password is not the key's", []string{"sign", "--key", locked, "--password-file", wrong, file}},
		{1, "--version is \"1.x\"; write numbers", []string{"sign", "--key", plain, "--version", "1.x", file}},
		{1, "name the key with --key, or make one: minisign -G", []string{"sign", "--key", filepath.Join(dir, "none"), file}},
		{1, "or name the keys with --key", []string{"--control", filepath.Join(dir, "none"), "verify", file}},
		{2, "neither a public key of minisign nor a file of one", []string{"verify", "--key", "RWQ", file}},
	} {
		var out, errs bytes.Buffer
		code := cli.Run(t.Context(), []*cli.Command{&Sign, &Verify}, tt.args, &out, &errs, 100)
		said := strings.NewReplacer("\n  ", "; ", file, "FILE").Replace(out.String() + errs.String())
		if want := strings.Replace(tt.want, "KEY", fmt.Sprintf("%016X", pub.ID()), 1); code != tt.code || !strings.Contains(said, want) {
			t.Errorf("%q: exit %d, want %d and %q\n%s", tt.args, code, tt.code, want, said)
		}
	}

	var got Signed
	for _, tt := range []struct {
		args   []string
		ok     bool
		reason string
	}{
		{[]string{"sign", "--json", "--key", plain, file}, true, ""},
		{[]string{"verify", "--json", "--key", public, file}, true, ""},
		{[]string{"verify", "--json", "--key", encryptedPublic, file}, false, "none of [Trust]"},
	} {
		var out, errs bytes.Buffer
		cli.Run(t.Context(), []*cli.Command{&Sign, &Verify}, tt.args, &out, &errs, 100)
		got = Signed{}
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.OK != tt.ok || !strings.Contains(got.Reason, tt.reason) || got.Signature != file+".minisig" || tt.ok == (got.Key == "") {
			t.Errorf("%q: %v, %s", tt.args, err, out.String())
		}
	}
}
