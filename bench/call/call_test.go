package call

import (
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

// A request that is carried as bytes is answered as one that is not.
func TestCarried(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/x")
		w.WriteHeader(http.StatusAccepted)
		io.Copy(w, r.Body)
	})
	front := Front(func(q Request) (Response, error) {
		got, err := UnmarshalRequest(q.Marshal())
		if err != nil || !reflect.DeepEqual(got, q) {
			t.Errorf("%+v became %+v, %v", q, got, err)
		}
		p := Serve(mux, got)
		back, err := UnmarshalResponse(p.Marshal())
		if err != nil || !reflect.DeepEqual(back, p) {
			t.Errorf("%+v became %+v, %v", p, back, err)
		}
		return back, nil
	})
	const body = "a\nb\n\nc"
	w := httptest.NewRecorder()
	front(w, httptest.NewRequest("POST", "/echo", strings.NewReader(body)))
	if w.Code != http.StatusAccepted || w.Body.String() != body || w.Header().Get("Content-Type") != "text/x" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
	if _, err := UnmarshalResponse([]byte("200\n")); err == nil {
		t.Error("half an answer is taken")
	}
}
