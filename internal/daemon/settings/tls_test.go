package settings

import (
	"crypto/tls"
	"reflect"
	"strings"
	"testing"
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

		{"a certificate without its key", "[TLS]\nCertificate=/a.pem", TLS{}, "[TLS] has 1 of Certificate= and 0 of Key=; each certificate needs its key, in the same order"},
		{"nobody to verify with", "[TLS]\nClientAuth=require-and-verify", TLS{}, "[TLS] has ClientAuth=require-and-verify and no ClientCA=; name the file of those who sign"},
		{"no word", "[TLS]\nClientAuth=yes", TLS{}, `F:2: ClientAuth="yes": not known; possible are none, request, require-any, verify-if-given, require-and-verify`},
		{"no version", "[TLS]\nMinVersion=1.4", TLS{}, `F:2: MinVersion="1.4": not a version of TLS; possible are 1.0, 1.1, 1.2 and 1.3`},
		{"no path", "[TLS]\nKey=./a.key", TLS{}, `F:2: Key="./a.key": not an absolute path; write one such as /etc/plugserver/example.com.pem`},
		{"another case", "[tls]", TLS{}, `F:1: unknown section "tls"; write [TLS]`},
		{"another key", "[TLS]\nCert=/a", TLS{}, `F:2: unknown key "Cert"; did you mean Certificate=?`},
	} {
		path := layout(t, map[string]string{"plugserverd.conf": tt.text})
		s, err := Load(path)
		switch {
		case tt.fault != "":
			if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), path, "F"), tt.fault) {
				t.Errorf("%s: got %v, want %s", tt.name, err, tt.fault)
			}
		case err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case !reflect.DeepEqual(s.TLS(), tt.want):
			t.Errorf("%s: got %+v, want %+v", tt.name, s.TLS(), tt.want)
		}
	}
}
