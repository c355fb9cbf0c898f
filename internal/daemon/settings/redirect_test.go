package settings

import "testing"

func TestRedirect(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Redirect
		fault      string
	}{
		{"nothing", "[Redirect]", Redirect{}, ""},
		{"all", "[Redirect]\nHTTPS=yes\nPort=8443\nHSTS=31536000 includesubdomains preload", Redirect{true, 8443, "max-age=31536000; includeSubDomains; preload"}, ""},
		{"HSTS alone", "[Redirect]\nHSTS=0", Redirect{HSTS: "max-age=0"}, ""},
		{"the last holds", "[Redirect]\nHTTPS=on\nHTTPS=off\nPort=1\nPort=\nHSTS=5\nHSTS=", Redirect{}, ""},

		{"neither", "[Redirect]\nHTTPS=maybe", Redirect{}, `F:2: HTTPS="maybe": not a boolean; write yes or no`},
		{"no port", "[Redirect]\nPort=65536", Redirect{}, `F:2: Port="65536": not a port; write a number from 1 to 65535`},
		{"no seconds", "[Redirect]\nHSTS=max-age=5", Redirect{}, `F:2: HSTS="max-age=5": not a number of seconds; write one such as 31536000`},
		{"another word", "[Redirect]\nHSTS=5; preload", Redirect{}, `F:2: HSTS="5; preload": not a number of seconds`},
		{"a word too many", "[Redirect]\nHSTS=5 subdomains", Redirect{}, `"subdomains" is not known; behind the seconds may stand includeSubDomains and preload`},
		{"another case", "[redirect]", Redirect{}, `F:1: unknown section "redirect"; write [Redirect]`},
	} {
		path := layout(t, map[string]string{"plugserverd.conf": tt.text})
		if s := try(t, tt.name, path, tt.fault); s != nil && s.Redirect() != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, s.Redirect(), tt.want)
		}
	}
}
