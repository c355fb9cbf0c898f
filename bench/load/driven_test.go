package load

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// secured serves hello, and unary calls, over TLS and HTTP/2.
func secured(t *testing.T, config *tls.Config) (addr string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "Hello World!") })
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Repeat("x", 300<<10)) })
	mux.HandleFunc("/drop", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/unary", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		io.Copy(w, r.Body)
		w.Header().Set("Grpc-Status", r.URL.Query().Get("status"))
	})
	srv := httptest.NewUnstartedServer(mux)
	srv.EnableHTTP2, srv.TLS = true, config
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func TestDriven(t *testing.T) {
	addr := secured(t, nil)
	last := Get("/hello", "Hello World!", true)
	for name, s := range map[string]Spec{
		"keep-alive":  {Conns: 4, Requests: []Request{hello}},
		"fresh":       {Conns: 4, Fresh: true, Requests: []Request{last}},
		"resumed":     {Conns: 4, Fresh: true, Resume: true, Requests: []Request{last}},
		"one stream":  {Conns: 4, Streams: 1, Requests: []Request{Get2("/hello", "Hello World!", true)}},
		"streams":     {Conns: 2, Streams: 100, Requests: []Request{Get2("/hello", "Hello World!", true)}},
		"big answers": {Conns: 2, Streams: 10, Requests: []Request{Get2("/big", strings.Repeat("x", 300<<10), true)}},
		"calls":       {Conns: 2, Streams: 10, Requests: []Request{Call("/unary?status=0", "text")}},
	} {
		s.Addr, s.TLS = addr, true
		if r, err := brief(s); err != nil || r.Answers < 1 || r.Elapsed < measured || r.CPU <= 0 || r.Own <= 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// What is not the right answer ends the run, and says why.
func TestDrivenWrong(t *testing.T) {
	addr := secured(t, &tls.Config{SessionTicketsDisabled: true})
	get := func(path, want string) Spec { return Spec{Streams: 1, Requests: []Request{Get2(path, want, true)}} }
	for want, s := range map[string]Spec{
		"a wrong body":       get("/hello", "Hallo World!"),
		"its last 1 bytes":   get("/hello", "Hello World!!"),
		"not 200":            get("/none", "404 page not found\n"),
		"resets a stream":    get("/drop", ""),
		"status is \"1\"":    {Streams: 1, Requests: []Request{Call("/unary?status=1", "text")}},
		"not resume":         {Fresh: true, Resume: true, Requests: []Request{Get("/hello", "Hello World!", true)}},
		"no end of the conn": {Fresh: true, Requests: []Request{{Bytes: append(hello.Bytes, hello.Bytes...), Want: hello.Want}}},
	} {
		s.Addr, s.TLS, s.Conns = addr, true, 2
		if _, err := brief(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
