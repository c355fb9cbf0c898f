package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testbed.CleanUp()
	os.Exit(code)
}

func open(t *testing.T, ref string, o Options) *Repository {
	t.Helper()
	r, err := Open(ref, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// scratch is a file that holds the text.
func scratch(t *testing.T, text string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "blob"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	io.WriteString(f, text)
	return f
}

func content(t *testing.T, f *os.File) string {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// refused checks that an error is of its kind, and says what is wrong and how to fix it.
func refused(t *testing.T, err, kind error, want string) {
	t.Helper()
	var said *refusal.Error
	if !errors.Is(err, kind) || !errors.As(err, &said) || said.Mend == "" || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q: %v", err, want, kind)
	}
}

// push puts a handler and a state of it under a tag.
func push(t *testing.T, r *Repository, tag, name, plugin string) (artifact.Descriptor, artifact.Handler) {
	t.Helper()
	ctx := t.Context()
	h := artifact.Handler{Name: name, Platform: "linux/amd64", Plugin: artifact.Blob("", []byte(plugin))}
	var sent int64
	for d, text := range map[*artifact.Descriptor]string{&artifact.Empty: "{}", &h.Plugin: plugin} {
		if err := r.PushBlob(ctx, *d, strings.NewReader(text), func(n int64) { sent = n }); err != nil {
			t.Fatal(err)
		}
	}
	if sent == 0 {
		t.Error("nothing was told of how far it is")
	}
	b := h.Encode()
	if _, err := r.PushManifest(ctx, "", artifact.ManifestType, b); err != nil {
		t.Fatal(err)
	}
	d, err := r.PushManifest(ctx, tag, artifact.IndexType, artifact.State{artifact.EntryOf(h, b)}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return d, h
}

// A real registry: what was pushed is found, read, retagged, resumed; what is missing or
// altered is told.
func TestRegistry(t *testing.T) {
	testbed.NeedRegistry(t)
	reg := testbed.StartRegistry(t, false)
	r := open(t, reg.Addr+"/team/shop:prod", Options{})
	ctx := t.Context()
	_, err := r.Resolve(ctx, "prod")
	refused(t, err, ErrNoTag, "has no tag prod")
	plugin := strings.Repeat("plugin ", 1<<16)
	d, h := push(t, r, "prod", "users", plugin)

	found, err := r.Resolve(ctx, r.Reference())
	if err != nil || found.Digest != d.Digest || found.MediaType != artifact.IndexType {
		t.Fatalf("got %+v, %v", found, err)
	}
	b, err := r.Manifest(ctx, found, artifact.MaxIndex)
	if err != nil {
		t.Fatal(err)
	}
	state, err := artifact.DecodeState(b)
	if err != nil || len(state) != 1 {
		t.Fatalf("%v, %v", state, err)
	}
	_, err = r.Manifest(ctx, found, 10)
	refused(t, err, ErrTooLarge, "where 10 are possible")

	if _, err := r.PushManifest(ctx, "canary", artifact.IndexType, b); err != nil {
		t.Fatal(err)
	}
	if again, err := r.Resolve(ctx, "canary"); err != nil || again.Digest != d.Digest {
		t.Errorf("retagged: %+v, %v", again, err)
	}

	for name, begun := range map[string]string{"new": "", "resumed": plugin[:1000], "whole": plugin, "another's": "another's", "too long": plugin + "!"} {
		f := scratch(t, begun)
		var from, to int64 = -1, 0
		err := r.Fetch(ctx, h.Plugin, f, func(n int64) {
			if to = n; from < 0 {
				from = n
			}
		})
		if err != nil || content(t, f) != plugin {
			t.Errorf("%s: %v, %d bytes", name, err, len(content(t, f)))
		}
		if name == "resumed" && from <= 1000 || name == "whole" && to != 0 || name == "new" && to != int64(len(plugin)) {
			t.Errorf("%s: from %d to %d", name, from, to)
		}
	}

	_, err = r.PushManifest(ctx, "prod", artifact.IndexType, artifact.State{{Name: "a", Platform: "linux/amd64", Manifest: artifact.Blob("", []byte("none"))}}.Encode())
	refused(t, err, ErrHalfPushed, "part of what prod names is not there")
	refused(t, r.Fetch(ctx, artifact.Blob("", []byte("none")), scratch(t, ""), nil), ErrHalfPushed, "half pushed, or deleted")

	blob := reg.Blob(h.Plugin.Digest)
	if err := os.WriteFile(blob, bytes.Replace([]byte(plugin), []byte("plugin"), []byte("nigulp"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	f := scratch(t, "")
	refused(t, r.Fetch(ctx, h.Plugin, f, nil), ErrWrong, "what comes is sha256:")
	if content(t, f) != "" {
		t.Error("what was altered stays in the file")
	}

	reg.Stop()
	_, err = r.Resolve(ctx, "prod")
	refused(t, err, ErrAway, "connection refused")
	reg.Start()
	if again, err := r.Resolve(ctx, "prod"); err != nil || again.Digest != d.Digest {
		t.Errorf("back again: %+v, %v", again, err)
	}
}

// Credentials are found in a file, or where docker keeps them, and asked of a helper.
func TestCredentials(t *testing.T) {
	testbed.NeedRegistry(t)
	reg := testbed.StartRegistry(t, true)
	home := t.TempDir()
	for _, name := range []string{"REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
	t.Setenv("PATH", home+":"+os.Getenv("PATH"))
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(home, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file("docker-credential-vault", `#!/bin/sh
cat >/dev/null; echo '{"Username":"box","Secret":"secret"}'`, 0o755)
	ask := func(o Options) error {
		_, err := open(t, reg.Addr+"/shop:prod", o).Resolve(t.Context(), "prod")
		return err
	}
	right := fmt.Sprintf(`{"auths":{%q:{"auth":"Ym94OnNlY3JldA=="}}}`, reg.Addr) // box:secret
	wrong := file("wrong.json", fmt.Sprintf(`{"auths":{%q:{"auth":"Ym94Ondyb25n"}}}`, reg.Addr), 0o600)
	refused(t, ask(Options{}), ErrDenied, "none are in /run/containers/")
	refused(t, ask(Options{Credentials: wrong}), ErrDenied, "denies access")
	refused(t, ask(Options{Credentials: file("right.json", right, 0o600)}), ErrNoTag, "no tag prod")
	refused(t, ask(Options{Credentials: file("helped.json", fmt.Sprintf(`{"credHelpers":{%q:"vault"}}`, reg.Addr), 0o600)}), ErrNoTag, "no tag prod")
	refused(t, ask(Options{Credentials: file("helpless.json", `{"credsStore":"none"}`, 0o600)}), ErrDenied, "can be had")
	file(".docker/config.json", right, 0o600)
	refused(t, ask(Options{}), ErrNoTag, "no tag prod")
	if _, err := Open("a.example/b:c", Options{Credentials: filepath.Join(home, "none")}); err == nil || !strings.Contains(err.Error(), "credentials: stat") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// A registry that does wrong is told by what it does.
func TestFaults(t *testing.T) {
	d := artifact.Blob("", []byte("0123456789"))
	for name, tt := range map[string]struct {
		kind   error
		want   string
		kept   string // of the file
		answer func(w http.ResponseWriter, r *http.Request)
	}{
		"overloaded": {ErrAway, "answers 503", "01", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) }},
		"a proxy's":  {ErrWrong, "answers wrongly for sha256:", "01", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(405) }},
		"forbidden":  {ErrDenied, "wants credentials", "01", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) }},
		"other range": {ErrWrong, "asked for the bytes from 2", "01", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-9/10")
			w.WriteHeader(206)
			io.WriteString(w, "0123456789")
		}},
		"broken off": {ErrAway, "broke off after 5 of 10 bytes", "01234", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 2-9/10")
			w.Header().Set("Content-Length", "8")
			w.WriteHeader(206)
			io.WriteString(w, "234")
		}},
		"stalled": {ErrAway, "nothing has come", "012", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 2-9/10")
			w.WriteHeader(206)
			io.WriteString(w, "2")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}},
		"silent":   {ErrAway, "registry 127.0.0.1:", "01", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		"too much": {ErrWrong, "more comes than the 10 bytes", "", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "0123456789ab") }},
		"no range": {nil, "", "0123456789", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "0123456789") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(tt.answer))
			defer server.Close()
			r := open(t, strings.TrimPrefix(server.URL, "http://")+"/shop:prod", Options{Patience: time.Second})
			f := scratch(t, "01")
			err := r.Fetch(t.Context(), d, f, nil)
			if tt.kind == nil && err != nil {
				t.Error(err)
			} else if tt.kind != nil {
				refused(t, err, tt.kind, tt.want)
			}
			if got := content(t, f); got != tt.kept {
				t.Errorf("the file has %q, want %q", got, tt.kept)
			}
		})
	}
}

// A registry that stops in the middle of a blob does not hold up a copy for ever.
func TestCopyStalls(t *testing.T) {
	t.Parallel()
	testbed.NeedRegistry(t)
	reg := testbed.StartRegistry(t, false)
	plugin := strings.Repeat("plugin ", 1<<16)
	d, h := push(t, open(t, reg.Addr+"/team/shop:prod", Options{}), "prod", "users", plugin)
	behind := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: reg.Addr})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, h.Plugin.Digest) {
			behind.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(plugin)))
		io.WriteString(w, plugin[:1<<16])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer front.Close()
	from := open(t, strings.TrimPrefix(front.URL, "http://")+"/team/shop:prod", Options{Patience: time.Second})
	to := open(t, reg.Addr+"/team/other:prod", Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	refused(t, from.Copy(ctx, to, d), ErrAway, "nothing has come or gone for too long")
}

// Whether TLS is spoken is never guessed.
func TestTLS(t *testing.T) {
	clear, secure := httptest.NewServer(http.NotFoundHandler()), httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer clear.Close()
	defer secure.Close()
	resolve := func(ref string, o Options) error {
		_, err := open(t, ref, o).Resolve(t.Context(), "prod")
		return err
	}
	plain, sealed := strings.TrimPrefix(clear.URL, "http://")+"/shop:prod", strings.TrimPrefix(secure.URL, "https://")+"/shop:prod"
	refused(t, resolve(plain, Options{}), ErrNoTag, "no tag")
	refused(t, resolve("https://"+plain, Options{}), ErrTLS, "speaks no TLS")
	refused(t, resolve("https://"+sealed, Options{}), ErrTLS, "the certificate of registry")
	refused(t, resolve(sealed, Options{}), ErrTLS, "it may speak TLS")
	for ref, want := range map[string]bool{"localhost/a:b": true, "127.0.0.9:80/a:b": true, "[::1]:80/a:b": true, "10.0.0.1:80/a:b": false, "localhost.example/a:b": false} {
		if r := open(t, ref, Options{}); r.repo.PlainHTTP != want {
			t.Errorf("%s in the clear: %v", ref, r.repo.PlainHTTP)
		}
	}
	for _, ref := range []string{"shop", "http://a.example/shop:prod", "a.example/Shop:prod", "a.example/shop:pr:od", "a.example/shop@sha256:12"} {
		if _, err := Open(ref, Options{}); err == nil || !strings.Contains(err.Error(), "is no reference of a registry") {
			t.Errorf("%q: %v", ref, err)
		}
	}
}
