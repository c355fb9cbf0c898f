package artifact

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// digest is one of 64 times the digit.
func digest(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

func users() Handler {
	h := Handler{Name: "users", Platform: "linux/amd64", Plugin: Descriptor{Digest: digest("a"), Size: 5}, Signature: &Descriptor{Digest: digest("b"), Size: 3}}
	h.About("go1.26.8", map[string]string{"-tags": "a b", "CGO_ENABLED": "1", "GOOS": "linux", "-buildmode": "plugin",
		"vcs": "git", "vcs.revision": "c0ffee", "vcs.modified": "true", "vcs.time": "2026-01-01T00:00:00Z"})
	return h
}

// The bytes are what they were: a digest names the same for good.
func TestBytesStay(t *testing.T) {
	b := users().Encode()
	want := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.plugserver.handler.v1",` +
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},` +
		`"layers":[{"mediaType":"application/vnd.plugserver.handler.plugin.v1","digest":"` + digest("a") + `","size":5,"annotations":{"org.opencontainers.image.title":"users.so"}},` +
		`{"mediaType":"application/vnd.plugserver.handler.signature.v1","digest":"` + digest("b") + `","size":3,"annotations":{"org.opencontainers.image.title":"users.so.minisig"}}],` +
		`"annotations":{"com.github.andrestc.go-plugserver.go":"go1.26.8","com.github.andrestc.go-plugserver.handler":"users",` +
		`"com.github.andrestc.go-plugserver.modified":"true","com.github.andrestc.go-plugserver.platform":"linux/amd64",` +
		`"com.github.andrestc.go-plugserver.settings":"-tags=\"a b\" CGO_ENABLED=1","org.opencontainers.image.revision":"c0ffee"}}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	state := State{EntryOf(users(), b)}.Encode()
	want = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","artifactType":"application/vnd.plugserver.handlers.v1",` +
		`"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.plugserver.handler.v1","digest":"` + Blob("", b).Digest + `",` +
		fmt.Sprintf(`"size":%d,"platform":{"architecture":"amd64","os":"linux"},"annotations":{"com.github.andrestc.go-plugserver.handler":"users"}}]}`, len(b))
	if string(state) != want {
		t.Errorf("got  %s\nwant %s", state, want)
	}
	if none := State(nil).Encode(); !strings.HasSuffix(string(none), `"manifests":[]}`) {
		t.Errorf("nothing: %s", none)
	}
}

func TestThereAndBack(t *testing.T) {
	h := users()
	back, err := DecodeHandler(h.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if h.Plugin, h.Signature = back.Plugin, back.Signature; !reflect.DeepEqual(back, h) || back.Plugin.Digest != digest("a") || back.Signature.Digest != digest("b") {
		t.Errorf("got %+v, want %+v", back, h)
	}
	if bare, err := DecodeHandler(Handler{Name: "a", Platform: "linux/arm64", Plugin: h.Plugin}.Encode()); err != nil || bare.Signature != nil {
		t.Errorf("without a signature: %+v, %v", bare, err)
	}
}

// entries are handlers of a state: "users/linux/amd64=1" has 64 ones for its digest.
func entries(list string) (s State) {
	for _, f := range strings.Fields(list) {
		id, digit, _ := strings.Cut(f, "=")
		name, platform, _ := strings.Cut(id, "/")
		s = append(s, Entry{name, platform, Descriptor{MediaType: ManifestType, Digest: digest(digit), Size: 9}})
	}
	return s
}

func (e Entry) string() string { return e.Name + "/" + e.Platform + "=" + Short(e.Manifest.Digest)[:1] }

func list(s State) string {
	var all []string
	for _, e := range s {
		all = append(all, e.string())
	}
	return strings.Join(all, " ")
}

func TestState(t *testing.T) {
	s, err := DecodeState(entries("users/linux/arm64=3 bye/linux/amd64=1 users/linux/amd64=2 old/linux/arm64=4").Encode())
	if want := "bye/linux/amd64=1 old/linux/arm64=4 users/linux/amd64=2 users/linux/arm64=3"; err != nil || list(s) != want {
		t.Fatalf("%s, %v", list(s), err)
	}
	if all, others := s.For("linux/amd64"); list(all) != "bye/linux/amd64=1 users/linux/amd64=2" || fmt.Sprint(others) != "[old]" {
		t.Errorf("for amd64: %s, not %q", list(all), others)
	}
	if copied, err := DecodeState([]byte(strings.ReplaceAll(string(s.Encode()), `"artifactType":"application/vnd.plugserver.handler`, `"x":"`))); err != nil || list(copied) != list(s) {
		t.Errorf("copied by a tool that leaves types out: %s, %v", list(copied), err)
	}
	to := s.With(entries("users/linux/amd64=9 also/linux/amd64=5")...).Without(func(e Entry) bool { return e.Name == "bye" || e.Name == "none" })
	if want := "also/linux/amd64=5 old/linux/arm64=4 users/linux/amd64=9 users/linux/arm64=3"; list(to) != want {
		t.Errorf("changed: %s", list(to))
	}
	var changes []string
	for _, c := range s.Diff(to) {
		changes = append(changes, fmt.Sprintf("%s/%s %.1s>%.1s", c.Name, c.Platform, Short(c.From), Short(c.To)))
	}
	if got := strings.Join(changes, ", "); got != "also/linux/amd64 >5, bye/linux/amd64 1>, users/linux/amd64 2>9" {
		t.Errorf("differ: %s", got)
	}
	if s.Diff(s) != nil || fmt.Sprint(s.Names()) != "[bye old users]" {
		t.Errorf("%v, %q", s.Diff(s), s.Names())
	}
}

// What is foreign is refused, with what is wrong.
func TestRefused(t *testing.T) {
	handler, state := string(users().Encode()), string(entries("a/linux/amd64=1 b/linux/amd64=2").Encode())
	for _, tt := range []struct{ from, old, new, want string }{
		{handler, `{"schemaVersion"`, `<html>`, "not the JSON of one"},
		{handler, `"schemaVersion":2`, `"schemaVersion":1`, "schemaVersion is 1"},
		{handler, `handler.v1"`, `handler.v2"`, `"application/vnd.plugserver.handler.v2", which a later version`},
		{handler, `"artifactType":"application/vnd.plugserver.handler.v1",`, "", `not application/vnd.plugserver.handler.v1: another tool's`},
		{handler, `"artifactType":"application/vnd.plugserver.handler.v1","config":{"mediaType":"application/vnd.oci.empty.v1+json"`,
			`"config":{"mediaType":"application/vnd.oci.image.config.v1+json"`, `of type "application/vnd.oci.image.config.v1+json", not`},
		{handler, `handler":"users"`, `handler":"../etc"`, `"../etc" can name no handler`},
		{handler, `"linux/amd64"`, `"linux/../x"`, "is no platform such as"},
		{handler, digest("a"), "sha512:00", `has the digest "sha512:00"`},
		{handler, `"size":5`, `"size":-5`, "its file has a size of -5 bytes"},
		{handler, `"size":5`, `"size":3000000000`, "its file has a size of 3000000000 bytes"},
		{handler, `"size":3`, `"size":9999`, "its signature has a size of 9999 bytes"},
		{handler, "handler.signature.v1", "handler.plugin.v1", "two layers of type"},
		{handler, "handler.plugin.v1", "handler.other.v1", "has no layer of type"},
		{handler, `"go1.26.8"`, `"` + strings.Repeat("x", 20<<10) + `"`, "has annotations of"},
		{state, `handler":"b"`, `handler":"a"`, "handler a for linux/amd64 is there twice"},
		{state, `handler":"b"`, `handler":".b"`, `entry 2: ".b" can name no handler`},
		{state, `"platform":{"architecture":"amd64","os":"linux"},`, "", "entry 1: handler a has no platform"},
		{state, `"architecture":"amd64"`, `"architecture":"AMD"`, "entry 1: handler a: \"linux/AMD\" is no platform"},
		{state, digest("1"), "sha256:1", "entry 1: handler a has the digest"},
		{state, `"size":9`, `"size":999999`, "entry 1: handler a has a size of 999999 bytes"},
		{state, `"artifactType":"application/vnd.plugserver.handler.v1"`, `"artifactType":"application/x"`, `entry 1: handler a: it is of type "application/x"`},
		{state, `"artifactType":"application/vnd.plugserver.handlers.v1"`, `"artifactType":"application/vnd.plugserver.handlers.v3"`, "a later version of plugserver"},
		{state, `"artifactType":"application/vnd.plugserver.handlers.v1","manifests":[`, `"manifests":[{"annotations":{}},`, "not application/vnd.plugserver.handlers.v1: another tool's"},
		{state, `"mediaType":"application/vnd.oci.image.index.v1+json"`, `"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json"`, "not application/vnd.plugserver.handlers.v1"},
		{state, `{"schemaVersion"`, strings.Repeat(" ", MaxIndex) + `{"schemaVersion"`, "where 4194304 are possible"},
	} {
		text := strings.Replace(tt.from, tt.old, tt.new, 1)
		if text == tt.from {
			t.Errorf("%q is not in %s", tt.old, text)
		}
		_, err := DecodeHandler([]byte(text))
		if tt.from == state {
			_, err = DecodeState([]byte(text))
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q for %q: %v, want %q", tt.new, tt.old, err, tt.want)
		}
	}
	many := make(State, maxHandlers+1)
	for i := range many {
		many[i] = Entry{fmt.Sprint(i), "linux/amd64", Descriptor{Digest: digest("a"), Size: 1}}
	}
	if _, err := DecodeState(many.Encode()); err == nil || !strings.Contains(err.Error(), "are possible") {
		t.Errorf("%d handlers: %v", len(many), err)
	}
}

// A history keeps the newest records, and says what became of the tag, by whom and why.
func TestHistory(t *testing.T) {
	when := time.Date(2026, 11, 27, 1, 2, 3, 0, time.UTC)
	var h History
	for i := range MaxHistory + 5 {
		h = h.With(Record{State: Descriptor{MediaType: IndexType, Digest: digest("a"), Size: 7}, When: when.Add(time.Duration(i) * time.Second), By: "ada@laptop", Action: Promoted,
			From: "r/shop:canary@" + digest("a"), Previous: digest("b"), If: "up == 1"})
	}
	back, err := DecodeHistory(h.Encode())
	if err != nil || len(back) != MaxHistory || !reflect.DeepEqual(back[0], h[0]) || !back.Has(h[0]) || back.Has(h[MaxHistory]) {
		t.Errorf("%d records, %v: %+v", len(back), err, back[0])
	}
	one := string(h[:1].Encode())
	for old, new := range map[string]string{"2026-11-27": "yesterday", digest("b"): "b", `"size":7`: `"size":0`, "history.v1": "history.v2"} {
		if _, err := DecodeHistory([]byte(strings.Replace(one, old, new, 1))); err == nil {
			t.Errorf("%q for %q is taken", new, old)
		}
	}
}

// What is read can be written, and is read the same again, whatever it is.
func FuzzDecode(f *testing.F) {
	f.Add(users().Encode())
	f.Add(entries("a/linux/amd64=1 b/linux/arm64=2").Encode())
	f.Add(History{{State: Descriptor{Digest: digest("a"), Size: 7}, When: time.Unix(1e9, 0)}}.Encode())
	f.Add([]byte(`{"schemaVersion":2,"layers":[null],"manifests":[{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := DecodeState(b); err == nil {
			again, err := DecodeState(s.Encode())
			if err != nil || !reflect.DeepEqual(s, again) {
				t.Errorf("%v: %v, %v", s, again, err)
			}
		}
		if h, err := DecodeHistory(b); err == nil {
			again, err := DecodeHistory(h.Encode())
			if err != nil || len(again) != len(h) {
				t.Errorf("%v: %v, %v", h, again, err)
			}
		}
		if h, err := DecodeHandler(b); err == nil {
			again, err := DecodeHandler(h.Encode())
			if err != nil || again.Name != h.Name || again.Platform != h.Platform || again.Plugin.Digest != h.Plugin.Digest || (h.Signature == nil) != (again.Signature == nil) {
				t.Errorf("%+v: %+v, %v", h, again, err)
			}
		}
	})
}
