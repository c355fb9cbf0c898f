package handlers

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"
)

// odd does what handlers seldom do, as the parameter says.
func odd(w http.ResponseWriter, r *http.Request) {
	h, rc := w.Header(), http.NewResponseController(w)
	soon := time.Now().Add(60 * time.Millisecond)
	say := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	switch r.FormValue("do") {
	case "inform-length":
		h.Set("Content-Length", "5")
		w.WriteHeader(http.StatusEarlyHints)
	case "inform-encoding":
		h.Set("Transfer-Encoding", "chunked")
		w.WriteHeader(http.StatusEarlyHints)
		h.Del("Transfer-Encoding")
	case "inform-many":
		for i := 0; i < 200; i++ {
			h.Set("Link", fmt.Sprintf("</%d>; rel=preload", i))
			w.WriteHeader(http.StatusEarlyHints)
		}
	case "inform-late":
		io.WriteString(w, "first\n")
		w.WriteHeader(http.StatusEarlyHints)
	case "inform-flushed":
		rc.Flush()
		w.WriteHeader(http.StatusEarlyHints)
	case "inform-switch":
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusSwitchingProtocols)
	case "inform-close":
		h.Set("Connection", "close")
		w.WriteHeader(http.StatusEarlyHints)
		h.Del("Connection")
	case "inform-none":
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNoContent)
	case "inform-unmodified":
		h.Set("Etag", `"x"`)
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNotModified)
	case "inform-trailer":
		h.Set("Trailer", "T")
		w.WriteHeader(http.StatusEarlyHints)
		defer h.Set("T", "1")
	case "inform-values":
		h["A"], h["B"], h["C"], h["lower"], h["Date"] = []string{"1\r\n2", " 3 "}, nil, []string{""}, []string{"x"}, []string{"yesterday"}
		w.WriteHeader(http.StatusEarlyHints)
	case "inform-copy":
		w.WriteHeader(http.StatusEarlyHints)
		io.Copy(w, strings.NewReader(strings.Repeat("copied ", 1000)))
	case "inform-read":
		w.WriteHeader(http.StatusProcessing)
		b, err := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusProcessing)
		say("read %d %v", len(b), err)
	case "inform-hijack":
		w.WriteHeader(http.StatusEarlyHints)
		c, _, err := rc.Hijack()
		if err == nil {
			fmt.Fprintf(c, "mine\n%s", end)
			c.Close()
		}
		return
	case "exit":
		runtime.Goexit()
	case "exit-written":
		io.WriteString(w, "part\n")
		runtime.Goexit()
	case "exit-flushed":
		io.WriteString(w, "part\n")
		rc.Flush()
		runtime.Goexit()
	case "status-0":
		w.WriteHeader(0)
	case "status-1000":
		w.WriteHeader(1000)
	case "status-twice":
		w.WriteHeader(http.StatusAccepted)
		w.WriteHeader(http.StatusTeapot)
	case "write-later":
		rc.SetWriteDeadline(soon)
	case "read-later":
		rc.SetReadDeadline(soon)
	case "read-waits":
		rc.SetReadDeadline(soon)
		select {
		case <-r.Context().Done():
			say("context %s", why(r.Context()))
		case <-time.After(200 * time.Millisecond):
			say("context lives")
		}
	case "read-waits-notified":
		rc.SetReadDeadline(soon)
		select {
		case <-w.(http.CloseNotifier).CloseNotify():
			say("notified")
		case <-time.After(200 * time.Millisecond):
			say("not notified")
		}
	case "read-cleared":
		rc.SetReadDeadline(time.Unix(1, 0))
		rc.SetReadDeadline(time.Time{})
		b, err := io.ReadAll(r.Body)
		say("read %d %v", len(b), err)
	case "read-twice":
		rc.SetReadDeadline(time.Unix(1, 0))
		b, err := io.ReadAll(r.Body)
		rc.SetReadDeadline(time.Time{})
		c, err2 := io.ReadAll(r.Body)
		say("read %v, then %v, %d bytes", errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err2, os.ErrDeadlineExceeded), len(b)+len(c))
	case "write-cleared":
		rc.SetWriteDeadline(time.Unix(1, 0))
		rc.SetWriteDeadline(time.Time{})
	case "write-expires":
		rc.SetWriteDeadline(soon)
		io.WriteString(w, "in time\n")
		rc.Flush()
		time.Sleep(150 * time.Millisecond)
		_, err := io.WriteString(w, "too late\n")
		event(r, "write %v, flush timeout %v", err, errors.Is(rc.Flush(), os.ErrDeadlineExceeded))
	case "duplex-unread":
		rc.EnableFullDuplex()
		io.WriteString(w, "unread\n")
		rc.Flush()
	case "duplex-unflushed":
		rc.EnableFullDuplex()
		io.WriteString(w, "unflushed\n")
	case "duplex-part":
		rc.EnableFullDuplex()
		n, err := io.CopyN(io.Discard, r.Body, 3)
		say("read %d %v", n, err)
		rc.Flush()
		b, err := io.ReadAll(r.Body)
		say("read %d %v", len(b), err)
	case "duplex-late":
		io.WriteString(w, "first\n")
		rc.Flush()
		say("duplex %v", rc.EnableFullDuplex())
		b, err := io.ReadAll(r.Body)
		say("read %d %v", len(b), err)
	case "duplex-panic":
		rc.EnableFullDuplex()
		io.WriteString(w, "first\n")
		rc.Flush()
		panic(http.ErrAbortHandler)
	case "duplex-close":
		rc.EnableFullDuplex()
		io.WriteString(w, "first\n")
		rc.Flush()
		say("close %v", r.Body.Close())
	case "duplex-hijack":
		rc.EnableFullDuplex()
		c, _, err := rc.Hijack()
		if err == nil {
			fmt.Fprintf(c, "mine\n%s", end)
			c.Close()
		}
		return
	case "timeout-waits", "timeout-reads", "timeout-writes", "timeout-in-time":
		http.TimeoutHandler(http.HandlerFunc(late200), 60*time.Millisecond, end).ServeHTTP(w, r)
		return
	case "reads-on":
		go io.Copy(io.Discard, r.Body)
		time.Sleep(20 * time.Millisecond)
	case "reads-on-flushed":
		io.WriteString(w, "first\n")
		rc.Flush()
		go io.Copy(io.Discard, r.Body)
		time.Sleep(20 * time.Millisecond)
	case "reads-on-duplex":
		rc.EnableFullDuplex()
		go io.Copy(io.Discard, r.Body)
		time.Sleep(20 * time.Millisecond)
	case "trailer-length":
		h.Set("Trailer", "T")
		h.Set("Content-Length", "5")
		defer h.Set("T", "1")
	case "trailer-unwritten":
		h.Set("Trailer", "T")
		h.Set("T", "1")
		return
	case "trailer-none":
		h.Set("Trailer", "T")
		w.WriteHeader(http.StatusNoContent)
		h.Set("T", "1")
	case "trailer-values":
		h.Set("Trailer", "T, U,,V , Bad Name, Transfer-Encoding")
		rc.Flush()
		h["T"], h["U"], h["V"] = []string{"1", "2\r\n3"}, nil, []string{""}
		h.Set("Transfer-Encoding", "x")
		h[http.TrailerPrefix+"W"], h[http.TrailerPrefix] = []string{"4"}, []string{"5"}
		h.Set(http.TrailerPrefix+"Content-Length", "6")
	case "trailer-late":
		io.WriteString(w, "first\n")
		h.Set("Trailer", "T")
		h.Set("T", "1")
	case "trailer-panic":
		h.Set("Trailer", "T")
		io.WriteString(w, "first\n")
		rc.Flush()
		h.Set("T", "1")
		panic(http.ErrAbortHandler)
	case "late-fields":
		h.Set("A", "1")
		io.WriteString(w, "first\n")
		h.Set("A", "2")
		h.Set("B", "3")
	case "late-length":
		io.WriteString(w, "first\n")
		h.Set("Content-Length", "3")
	case "none-length":
		h.Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
		n, err := io.WriteString(w, "x")
		event(r, "write %d %v", n, err)
	case "short-length":
		h.Set("Content-Length", "50")
		io.WriteString(w, "first\n")
		rc.Flush()
	case "copy-length":
		h.Set("Content-Length", "10")
		n, err := io.Copy(w, strings.NewReader(strings.Repeat("x", 20)))
		event(r, "copied %d %v", n, err)
	case "copy-fails":
		n, err := io.Copy(w, io.MultiReader(strings.NewReader("part\n"), failing{}))
		event(r, "copied %d %v", n, err)
		return
	case "empty-writes":
		for i := 0; i < 5; i++ {
			w.Write(nil)
			rc.Flush()
		}
	case "hijack-after":
		c, rw, err := rc.Hijack()
		if err != nil {
			say("%v", err)
			return
		}
		defer c.Close() // also where Flush panics, as net/http's does
		_, again, _ := rc.Hijack()
		fmt.Fprintf(rw, "mine %v, flush %v, read %v, write %v, duplex %v\n%s", again == nil, rc.Flush(), rc.SetReadDeadline(soon), rc.SetWriteDeadline(time.Time{}), rc.EnableFullDuplex(), end)
		h.Set("X", "y")
		w.WriteHeader(http.StatusTeapot)
		rw.Flush()
		time.Sleep(100 * time.Millisecond)
		_, err = rw.ReadByte()
		fmt.Fprintf(c, "read timeout %v\n", errors.Is(err, os.ErrDeadlineExceeded))
		return
	case "hijack-panic":
		c, _, err := rc.Hijack()
		if err == nil {
			fmt.Fprintf(c, "mine\n%s", end)
			defer c.Close()
		}
		panic(http.ErrAbortHandler)
	case "hijack-large":
		c, rw, err := rc.Hijack()
		if err == nil {
			fmt.Fprintf(rw, "%s\n%s", strings.Repeat("large ", 50000), end)
			rw.Flush()
			c.Close()
		}
		return
	case "hijack-written":
		w.WriteHeader(http.StatusAccepted)
		c, _, err := rc.Hijack()
		if err == nil {
			fmt.Fprintf(c, "mine\n%s", end)
			c.Close()
		}
		return
	case "error":
		h.Set("Content-Length", "100")
		h.Set("Etag", "x")
		http.Error(w, end, http.StatusBadGateway)
		return
	}
	io.WriteString(w, end)
}

// late200 is in time or not, as the parameter says.
func late200(w http.ResponseWriter, r *http.Request) {
	switch r.FormValue("do") {
	case "timeout-waits":
		<-r.Context().Done()
	case "timeout-reads":
		io.ReadAll(r.Body)
		time.Sleep(90 * time.Millisecond)
	case "timeout-writes":
		io.WriteString(w, "lost\n")
		time.Sleep(90 * time.Millisecond)
		_, err := io.WriteString(w, "late\n")
		event(r, "write %v", err)
		return
	}
	io.WriteString(w, end)
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("fails") }
