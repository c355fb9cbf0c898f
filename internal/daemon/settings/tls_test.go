package settings

import (
	"crypto/tls"
	"reflect"
	"testing"

	"github.com/andrestc/go-plugserver/internal/daemon/acme"
)

func TestTLS(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       TLS
		fault      string
	}{
		{"nothing", "", TLS{}, ""},
		{"one pair", "[TLS]\nCertificate=/a.pem\nKey=/a.key", TLS{Certificates: []string{"/a.pem"}, Keys: []string{"/a.key"}}, ""},
		{"two pairs and a version", "[TLS]\nCertificate=/a.pem\nCertificate=/b.pem\nKey=/a.key\nKey=/b.key\nMinVersion=1.3",
			TLS{Certificates: []string{"/a.pem", "/b.pem"}, Keys: []string{"/a.key", "/b.key"}, MinVersion: tls.VersionTLS13}, ""},
		{"credentials", "[TLS]\nCertificate=site.crt\nKey=site.key", TLS{Certificates: []string{"site.crt"}, Keys: []string{"site.key"}}, ""},
		{"the empty value drops what was before", "[TLS]\nCertificate=/a.pem\nKey=/a.key\nCertificate=\nKey=\nCertificate=/b.pem\nKey=/b.key",
			TLS{Certificates: []string{"/b.pem"}, Keys: []string{"/b.key"}}, ""},
		{"an authority has clients verified", "[TLS]\nClientCA=/ca.pem", TLS{ClientCAs: []string{"/ca.pem"}, ClientAuth: tls.RequireAndVerifyClientCert}, ""},
		{"or as is written", "[TLS]\nClientCA=/ca.pem\nClientAuth=verify-if-given",
			TLS{ClientCAs: []string{"/ca.pem"}, ClientAuth: tls.VerifyClientCertIfGiven, clientAuth: true}, ""},
		{"unverified", "[TLS]\nClientAuth=require-any", TLS{ClientAuth: tls.RequireAnyClientCert, clientAuth: true}, ""},

		{"ACME by two lines", "[TLS]\nACME=yes\nDomains=Example.com. www.example.com", TLS{ACME: acme.Settings{On: true, Domains: []string{"example.com", "www.example.com"}, Directory: acme.DefaultDirectory}}, ""},
		{"ACME in full", "[TLS]\nACME=on\nDomains=gone.example\nDomains=\nDomains=a.example\nDomains=b.example a.example\nEmail=mailto:me@a.example\nDirectory=https://ca.example:14000/dir\nEABKeyID=kid-1\nEABKey=/etc/eab.key\nCertificate=/a.pem\nKey=/a.key",
			TLS{Certificates: []string{"/a.pem"}, Keys: []string{"/a.key"}, ACME: acme.Settings{On: true, Domains: []string{"a.example", "b.example"}, Email: "me@a.example", Directory: "https://ca.example:14000/dir", EABKeyID: "kid-1", EABKey: "/etc/eab.key"}}, ""},
		{"ACME for another day", "[TLS]\nACME=no\nDomains=a.example", TLS{}, ""},

		{"ACME for nobody", "[TLS]\nACME=yes", TLS{}, "[TLS] has ACME=yes and no Domains=; name those that lead to this machine"},
		{"ACME unsaid", "[TLS]\nDomains=a.example", TLS{}, "[TLS] says how to get certificates by ACME, but not that they are wanted; write ACME=yes, or ACME=no"},
		{"half a binding", "[TLS]\nACME=yes\nDomains=a.example\nEABKeyID=1", TLS{}, "[TLS] has one of EABKeyID= and EABKey=; the authority gives both"},
		{"a wildcard", "[TLS]\nDomains=*.a.example", TLS{}, `F:2: Domains="*.a.example": a wildcard needs a change in DNS`},
		{"an address", "[TLS]\nDomains=192.0.2.1", TLS{}, `F:2: Domains="192.0.2.1": an address, not a domain; write the name`},
		{"no domain", "[TLS]\nDomains=a.example,b.example", TLS{}, `F:2: Domains="a.example,b.example": not a domain name; write names such as example.com www.example.com`},
		{"a path for a domain", "[TLS]\nDomains=../a", TLS{}, `F:2: Domains="../a": not a domain name`},
		{"no ASCII", "[TLS]\nDomains=bücher.example", TLS{}, "xn--"},
		{"no e-mail", "[TLS]\nEmail=me", TLS{}, `F:2: Email="me": not an address of e-mail; write one such as webmaster@example.com`},
		{"no directory", "[TLS]\nDirectory=http://ca.example/dir", TLS{}, `F:2: Directory="http://ca.example/dir": not the URL of a directory; write one such as https://acme-v02`},
		{"no word of an authority", "[TLS]\nEABKeyID=a b", TLS{}, `F:2: EABKeyID="a b": not one word`},

		{"a certificate without its key", "[TLS]\nCertificate=/a.pem", TLS{}, "[TLS] has 1 of Certificate= and 0 of Key=; each certificate needs its key, in the same order"},
		{"nobody to verify with", "[TLS]\nClientAuth=require-and-verify", TLS{}, "[TLS] has ClientAuth=require-and-verify and no ClientCA=; name the file of those who sign"},
		{"no word", "[TLS]\nClientAuth=yes", TLS{}, `F:2: ClientAuth="yes": not known; possible are none, request, require-any, verify-if-given, require-and-verify`},
		{"no version", "[TLS]\nMinVersion=1.4", TLS{}, `F:2: MinVersion="1.4": not a version of TLS; possible are 1.0, 1.1, 1.2 and 1.3`},
		{"no path", "[TLS]\nKey=./a.key", TLS{}, `F:2: Key="./a.key": not an absolute path; write one such as /etc/plugserver/example.com.pem`},
		{"another case", "[tls]", TLS{}, `F:1: unknown section "tls"; write [TLS]`},
		{"another key", "[TLS]\nCert=/a", TLS{}, `F:2: unknown key "Cert"; did you mean Certificate=?`},
	} {
		path := layout(t, map[string]string{"plugserverd.conf": tt.text})
		if s := try(t, tt.name, path, tt.fault); s != nil && !reflect.DeepEqual(s.TLS(), tt.want) {
			t.Errorf("%s: got %+v, want %+v", tt.name, s.TLS(), tt.want)
		}
	}
}
