// Static serves the files that were built into it. A client that holds a
// file's newest content is told so and receives no bytes: the ETag is made
// from the content itself.
package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed files
var embedded embed.FS

// Handler returns the pattern and what serves it.
func Handler() (string, http.Handler) {
	files, err := fs.Sub(embedded, "files")
	if err != nil {
		panic(err) // not a path: a mistake in the line above
	}
	return "GET /static/{path...}", newSite(files)
}

// site is every file by its path. What is not in it is not found, so a
// directory is never listed.
type site map[string]file

type file struct {
	content []byte
	etag    string
}

func newSite(files fs.FS) site {
	s := make(site)
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		s[name] = file{content, `"` + hex.EncodeToString(sum[:]) + `"`}
		return nil
	})
	if err != nil {
		panic(err) // files that are part of this program cannot be read
	}
	return s
}

func (s site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("path")
	if name == "" || strings.HasSuffix(name, "/") {
		name += "index.html"
	}
	f, ok := s[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "no-cache") // keep it, but ask: a new version may be live
	h.Set("X-Content-Type-Options", "nosniff")
	// Embedded files have no time; ServeContent answers by the ETag alone.
	http.ServeContent(w, r, path.Base(name), time.Time{}, bytes.NewReader(f.content))
}

func main() {} // never run; go vet ./... and go build ./... ask for it
