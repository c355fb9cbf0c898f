package wrap

import (
	"compress/gzip"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

var writers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// Gzip compresses answers of text for those who accept that, whatever they are asked for: a secret and what a client may
// choose should not be in one answer (BREACH). Streams stay streams: a flush sends what there is.
func Gzip(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept-Encoding")
		if r.Method == http.MethodHead || r.Header.Get("Range") != "" || r.Header.Get("Upgrade") != "" || !accepts(r.Header.Values("Accept-Encoding")) {
			next.ServeHTTP(w, r)
			return
		}
		z := &zipped{ResponseWriter: w}
		next.ServeHTTP(z, r)
		z.close() // not where it panics: a part is not to look whole
	})
}

// accepts reports whether gzip is among the codings that a client takes.
func accepts(fields []string) bool {
	accepted := false
	for coding := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		name, params, _ := strings.Cut(coding, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name != "gzip" && name != "*" {
			continue
		}
		q, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		accepted = !ok || err == nil && weight > 0
		if name == "gzip" {
			return accepted // which goes before *
		}
	}
	return accepted
}

// zipped is an answer that is compressed if it turns out to be text.
type zipped struct {
	http.ResponseWriter
	gzip  *gzip.Writer // nil before the head, and where nothing is compressed
	begun bool
}

// Unwrap is for http.ResponseController: to take the connection, say.
func (z *zipped) Unwrap() http.ResponseWriter { return z.ResponseWriter }

func (z *zipped) WriteHeader(status int) {
	if z.begun || status < 200 && status != http.StatusSwitchingProtocols { // others come before the answer
		z.ResponseWriter.WriteHeader(status)
		return
	}
	z.begun = true
	h := z.Header()
	withBody := status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified && status != http.StatusPartialContent
	if withBody && h.Get("Content-Encoding") == "" && text(h.Get("Content-Type")) {
		h.Del("Content-Length") // of what is not sent
		h.Set("Content-Encoding", "gzip")
		if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
			h.Set("ETag", "W/"+tag) // other bytes, the same content
		}
		z.gzip = writers.Get().(*gzip.Writer)
		z.gzip.Reset(z.ResponseWriter)
	}
	z.ResponseWriter.WriteHeader(status)
}

func (z *zipped) Write(b []byte) (int, error) {
	if !z.begun {
		if h := z.Header(); h.Get("Content-Type") == "" {
			h.Set("Content-Type", http.DetectContentType(b))
		}
		z.WriteHeader(http.StatusOK)
	}
	if z.gzip == nil {
		return z.ResponseWriter.Write(b)
	}
	return z.gzip.Write(b)
}

// FlushError sends what there is; http.ResponseController calls it.
func (z *zipped) FlushError() error {
	if !z.begun {
		z.WriteHeader(http.StatusOK)
	}
	if z.gzip != nil {
		if err := z.gzip.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(z.ResponseWriter).Flush()
}

// Flush is FlushError, as http.Flusher has it.
func (z *zipped) Flush() { z.FlushError() }

func (z *zipped) close() {
	if z.gzip != nil {
		z.gzip.Close()
		z.gzip.Reset(nil)
		writers.Put(z.gzip)
	}
}

// text reports whether a type is worth compressing.
func text(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch kind {
	case "application/json", "application/javascript", "application/xml", "image/svg+xml":
		return true
	}
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml")
}
