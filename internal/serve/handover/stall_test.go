package handover

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// A client that takes nothing of an answer loses its connection, though that is another
// process's by then than the one that has accepted it.
func TestClientTakesNothing(t *testing.T) {
	failed := make(chan error, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/b/endless", func(w http.ResponseWriter, r *http.Request) {
		var err error
		for p := make([]byte, 64<<10); err == nil; {
			_, err = w.Write(p)
		}
		<-r.Context().Done()
		failed <- err
	})
	a, _, address := newSides(t, Limits{WriteTimeout: 300 * time.Millisecond}, func(s *side) {
		if s.name == "b" {
			s.srv.Mux = func() Mux { return mux }
		}
	})
	c := dial(t, address)
	c.write(fmt.Sprintf(get, "b/endless"))
	await(t, "the connection is b's", func() bool { return a.srv.Conns() == 0 })
	select {
	case err := <-failed:
		t.Logf("the handler's write: %v", err)
	case <-time.After(20 * time.Second):
		t.Fatal("the handler's write still waits")
	}
}
