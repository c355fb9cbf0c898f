package settings

import (
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/file/signature"
)

const (
	pubA, idA = "RWRJiGNdG52cdW5+U5WX+tN61T97lJ3xeHIdOuXRP1GNYylVS4cYsa5n", "759C9D1B5D638849"
	pubB, idB = "RWSvpj5K1/k2yhiqdscl6DWleMnJ0npAVpRy1x3iYpsTdLhNDv3XH6nd", "CA36F9D74A3EA6AF"
)

// says is what a policy has, with the IDs of its keys.
func says(p signature.Policy) string {
	var all []string
	for _, k := range p.Keys {
		all = append(all, k.ID())
	}
	all = append(all, "-")
	all = append(all, p.Revoked...)
	if p.Require {
		all = append(all, "require")
	}
	if p.Monotonic {
		all = append(all, "monotonic")
	}
	return strings.Join(all, " ")
}

func TestTrust(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       string // of Load
		fault      string
		suspect    string // what holds at a start all the same
	}{
		{"nothing", "", "-", "", "-"},
		{"keys", "PublicKey=" + pubA + "\nPublicKey=DIR/b.pub\nRequire=yes\nMonotonic=yes", idA + " " + idB + " - require monotonic", "", idA + " " + idB + " - require monotonic"},
		{"an empty value", "PublicKey=" + pubA + "\nPublicKey=\nPublicKey=" + pubB + "\nRequire=yes\nRequire=", idB + " -", "", idB + " -"},
		{"revoked", "PublicKey=" + pubA + "\nRevokedKey=" + strings.ToLower(idB) + "\nRevokedKey=" + pubB, idA + " - " + idB, "", idA + " - " + idB},
		{"no key", "PublicKey=RWQ", "", `F:2: PublicKey="RWQ": neither a public key of minisign nor an absolute path`, "- require"},
		{"no such file", "PublicKey=/none.pub", "", `F:2: PublicKey="/none.pub": there is no public key of minisign in that file`, "- require"},
		{"no ID", "RevokedKey=xyz", "", `F:2: RevokedKey="xyz": neither the ID of a key`, "- require"},
		{"an ID without its zeros", "RevokedKey=7A00E730CE6834A", "", "without the zeros before it: write them, too", "- require"},
		{"nobody to believe", "Require=yes", "", "[Trust] has Require=yes and no PublicKey=", "- require"},
		{"nobody left", "Require=yes\nPublicKey=" + pubA + "\nRevokedKey=" + idA, "", "RevokedKey= names every PublicKey=", idA + " - " + idA + " require"},
		{"an order of what need not be signed", "PublicKey=" + pubA + "\nMonotonic=yes", "", "[Trust] has Monotonic=yes without Require=yes", idA + " - require monotonic"},
		{"a fault elsewhere", "PublicKey=" + pubA + "\nRequire=yes\n[Handler a]\nMemoryMax=x", "", `F:5: MemoryMax="x"`, idA + " - require"},
		{"a fault elsewhere, none required", "PublicKey=" + pubA + "\n[Handler a]\nMemoryMax=x", "", `F:4: MemoryMax="x"`, idA + " -"},
		{"a fault in it", "PublicKey=" + pubA + "\nRequire=yse", "", `F:3: Require="yse": not a boolean`, idA + " - require"},
		{"another case", "PublicKey=" + pubA + "\n[trust]\nRequire=yes", "", `F:3: unknown section "trust"; write [Trust]`, idA + " - require"},
		{"a header that is none", "\n[Trust\nRequire=yes", "", `F:3: "[Trust" is no section header`, "- require"},
	} {
		path := layout(t, map[string]string{"plugserverd.conf": "", "b.pub": "untrusted comment: minisign public key " + idB + "\n" + pubB + "\n"})
		dir := strings.TrimSuffix(path, "/plugserverd.conf")
		write(t, path, "[Trust]\n"+strings.ReplaceAll(tt.text, "DIR", dir)+"\n")
		if s := try(t, tt.name, path, tt.fault); s != nil && says(s.Trust()) != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, says(s.Trust()), tt.want)
		}
		if got := says(Suspect(path).Trust()); got != tt.suspect {
			t.Errorf("%s: at a start, got %s, want %s", tt.name, got, tt.suspect)
		}
	}
}
