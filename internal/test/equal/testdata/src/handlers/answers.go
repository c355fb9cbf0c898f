package handlers

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// stream writes n pieces, each flushed.
func stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := 0; i < number(r, "n", 3); i++ {
		fmt.Fprintf(w, "data: %d\n\n", i)
		w.(http.Flusher).Flush()
	}
	io.WriteString(w, end)
}

// flushOnly flushes before anything is written.
func flushOnly(w http.ResponseWriter, r *http.Request) {
	w.(http.Flusher).Flush()
	io.WriteString(w, end)
}

// big writes n bytes in pieces of p, with a Content-Length where asked for.
func big(w http.ResponseWriter, r *http.Request) {
	n := number(r, "n", 10000)
	piece := bytes.Repeat([]byte("0123456789abcde\n"), number(r, "p", 4096)/16+1)[:number(r, "p", 4096)]
	if r.FormValue("length") != "" {
		w.Header().Set("Content-Length", fmt.Sprint(n))
	}
	for n > 0 {
		m, err := w.Write(piece[:min(n, len(piece))])
		if err != nil {
			event(r, "write fails")
			return
		}
		n -= m
	}
}

// declared declares n bytes and writes another number.
func declared(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", fmt.Sprint(number(r, "n", 10)))
	var errs []string
	for i := 0; i < number(r, "writes", 1); i++ {
		n, err := io.WriteString(w, strings.Repeat("x", number(r, "each", 5)))
		errs = append(errs, fmt.Sprint(n, " ", err))
	}
	event(r, "%s", strings.Join(errs, ", "))
	event(r, "over")
}

// status answers with a status and tries a body.
func status(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("length") != "" {
		w.Header().Set("Content-Length", r.FormValue("length"))
	}
	w.WriteHeader(number(r, "code", 200))
	_, err := io.WriteString(w, r.FormValue("body"))
	event(r, "write %v", err)
	event(r, "over")
}

// fields sets each header that the query names.
func fields(w http.ResponseWriter, r *http.Request) {
	for name, values := range r.URL.Query() {
		w.Header()[name] = values
		if values[0] == "nil" {
			w.Header()[name] = nil
		}
	}
	io.WriteString(w, "<html>fields\n"+end)
}

// trailers are declared and not declared.
func trailers(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Trailer", "Declared, Also-Declared")
	w.Header().Add("Trailer", "Content-Length")
	w.Header().Set(http.TrailerPrefix+"Early", "1")
	io.WriteString(w, "body\n"+end)
	if r.FormValue("flush") != "" {
		w.(http.Flusher).Flush()
	}
	w.Header().Set("Declared", "2")
	w.Header().Set("Undeclared", "3")
	w.Header().Set(http.TrailerPrefix+"Late", "4")
}

// informs sends 1xx answers first.
func informs(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Link", "</style.css>; rel=preload")
	w.WriteHeader(http.StatusEarlyHints)
	w.Header().Set("X-More", "yes")
	w.WriteHeader(http.StatusProcessing)
	w.Header().Del("Link")
	if r.FormValue("continue") != "" {
		w.WriteHeader(http.StatusContinue)
	}
	b, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "read %d %v\n%s", len(b), err, end)
}

// panics before, in and after the answer.
func panics(w http.ResponseWriter, r *http.Request) {
	var what any = "on purpose"
	if r.FormValue("abort") != "" {
		what = http.ErrAbortHandler
	}
	switch r.FormValue("when") {
	case "header":
		w.Header().Set("X-Left", "over")
	case "inform":
		w.WriteHeader(http.StatusEarlyHints)
	case "status":
		w.WriteHeader(http.StatusAccepted)
	case "write":
		io.WriteString(w, "part of the answer\n")
	case "length":
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "part of the answer\n")
	case "flush":
		io.WriteString(w, "part of the answer\n")
		w.(http.Flusher).Flush()
	case "body":
		io.ReadAll(r.Body)
	case "nil":
		what = nil
	}
	panic(what)
}

// file is sent by sendfile(2), in ranges where they are asked for.
func file(w http.ResponseWriter, r *http.Request) {
	f, err := os.CreateTemp("", "equal")
	if err != nil {
		panic(err)
	}
	os.Remove(f.Name())
	defer f.Close()
	f.WriteString(strings.Repeat("0123456789abcdef", number(r, "n", 1000)/16))
	if r.FormValue("copy") != "" {
		f.Seek(0, 0)
		n, err := io.Copy(w, f)
		event(r, "copied %d %v", n, err)
		event(r, "over")
		return
	}
	http.ServeContent(w, r, "data.txt", time.Unix(1e9, 0), f)
}

// offers tells what w is, besides a ResponseWriter.
func offers(w http.ResponseWriter, r *http.Request) {
	_, flusher := w.(http.Flusher)
	_, hijacker := w.(http.Hijacker)
	_, notifier := w.(http.CloseNotifier)
	_, readerFrom := w.(io.ReaderFrom)
	_, stringWriter := w.(io.StringWriter)
	_, pusher := w.(http.Pusher)
	fmt.Fprintf(w, "Flusher %v Hijacker %v CloseNotifier %v ReaderFrom %v StringWriter %v Pusher %v\n",
		flusher, hijacker, notifier, readerFrom, stringWriter, pusher)
	_, flushError := w.(interface{ FlushError() error })
	_, read := w.(interface{ SetReadDeadline(time.Time) error })
	_, write := w.(interface{ SetWriteDeadline(time.Time) error })
	_, full := w.(interface{ EnableFullDuplex() error })
	_, conn := w.(net.Conn)
	fmt.Fprintf(w, "FlushError %v SetReadDeadline %v SetWriteDeadline %v EnableFullDuplex %v conn %v\n%s",
		flushError, read, write, full, conn, end)
}

// afterwards uses the writer after the handler has returned.
func afterwards(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, end)
	done := r.Context().Done()
	go func() {
		<-done
		_, err := io.WriteString(w, "too late")
		event(r, "write %v", err)
		event(r, "context %s", why(r.Context()))
		event(r, "over")
	}()
}
