package handlers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// half reads n bytes of the body and answers.
func half(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	body(&b, r, int64(number(r, "n", 5)))
	b.WriteString(end)
	w.Write(b.Bytes())
}

// closeBody closes the body unread and answers.
func closeBody(w http.ResponseWriter, r *http.Request) {
	err := r.Body.Close()
	n, rerr := r.Body.Read(make([]byte, 8))
	fmt.Fprintf(w, "close %v, then read %d %v\n%s", err, n, rerr, end)
}

// early answers first and reads then.
func early(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "early\n")
	err := http.NewResponseController(w).Flush()
	n, rerr := io.Copy(io.Discard, r.Body)
	fmt.Fprintf(w, "flush %v, then read %d %v\n%s", err, n, rerr, end)
}

// duplex answers each piece of the body while that arrives.
func duplex(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	fmt.Fprintf(w, "full duplex: %v\n", c.EnableFullDuplex())
	c.Flush()
	p := make([]byte, 4<<10)
	for {
		n, err := r.Body.Read(p)
		if n > 0 {
			fmt.Fprintf(w, "got %q\n", p[:n])
			c.Flush()
		}
		if err != nil {
			fmt.Fprintf(w, "error %v\n%s", err, end)
			return
		}
	}
}

// limited reads through a MaxBytesReader.
func limited(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, int64(number(r, "n", 10)))
	got, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		http.Error(w, fmt.Sprintf("%d bytes, limit %d: %v", len(got), tooLarge.Limit, err), http.StatusRequestEntityTooLarge)
		return
	}
	fmt.Fprintf(w, "%d bytes, %v\n%s", len(got), err, end)
}

// readLimit reads with a deadline.
func readLimit(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	set := c.SetReadDeadline(time.Now().Add(time.Duration(number(r, "ms", 60)) * time.Millisecond))
	n, err := io.Copy(io.Discard, r.Body)
	var ne net.Error
	fmt.Fprintf(w, "set %v, read %d, timeout %v, context %v\n%s", set, n, errors.As(err, &ne) && ne.Timeout(), r.Context().Err(), end)
}

// writeLimit writes more than the client takes, with a deadline.
func writeLimit(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	event(r, "set %v", c.SetWriteDeadline(time.Now().Add(time.Duration(number(r, "ms", 60))*time.Millisecond)))
	p := make([]byte, 64<<10)
	for i := 0; i < 1<<10; i++ {
		if _, err := w.Write(p); err != nil {
			var ne net.Error
			event(r, "write fails, timeout %v", errors.As(err, &ne) && ne.Timeout())
			event(r, "flush fails %v", c.Flush() != nil)
			event(r, "over")
			return
		}
	}
	event(r, "all written")
	event(r, "over")
}

// pastLimit sets a deadline that has passed, for writing or for reading.
func pastLimit(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	past := time.Now().Add(-time.Second)
	if r.FormValue("what") == "write" {
		event(r, "set %v", c.SetWriteDeadline(past))
	} else {
		event(r, "set %v", c.SetReadDeadline(past))
	}
	_, err := io.ReadAll(r.Body)
	var ne net.Error
	event(r, "read timeout %v", errors.As(err, &ne) && ne.Timeout())
	_, err = io.WriteString(w, "answer\n"+end)
	event(r, "write %v", err)
	event(r, "flush %v", c.Flush() != nil)
	event(r, "over")
}

// slowRead reads the body a byte at a time.
func slowRead(w http.ResponseWriter, r *http.Request) {
	p, n := make([]byte, 1), 0
	for {
		m, err := r.Body.Read(p)
		n += m
		if err != nil {
			fmt.Fprintf(w, "read %d, %v\n%s", n, err, end)
			return
		}
	}
}

// late reads the body after a while; Expect: 100-continue waits for it.
func late(w http.ResponseWriter, r *http.Request) {
	time.Sleep(100 * time.Millisecond)
	echo(w, r)
}
