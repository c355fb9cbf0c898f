// Package scaffold begins a handler: a folder with its code, its test and a go.mod.
package scaffold

import (
	"embed"
	"errors"
	"fmt"
	goversion "go/version"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// The files of a new handler, as templates of what handler has. Their names
// end in .tmpl for the go command to leave them alone.
//
//go:embed new
var newFiles embed.FS

// handler is what a new one is made of.
type handler struct {
	Name   string
	Module string
	Go     string // for go.mod, such as 1.26.8
}

// modulePath is nobody else's, for the domain is nobody's, and a valid path
// whatever the name: "con" or "a." would not be elements of one (module
// golang.org/x/mod, CheckImportPath).
func modulePath(name string) string {
	return "handler.example/" + strings.ReplaceAll(name, ".", "-") + "-handler"
}

// Write makes the folder name of the handler that it names, for the Go release of
// go.mod's go line, such as 1.26.8. It writes all of it or nothing.
func Write(name, release string) error {
	h := handler{Name: name, Module: modulePath(name), Go: release}
	if err := os.Mkdir(name, 0o777); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create %q: there is such a file or folder already; choose another name", name)
	} else if err != nil {
		return err
	}
	if err := h.write(name); err != nil {
		os.RemoveAll(name)
		return err
	}
	return nil
}

// write fills in the templates.
func (h handler) write(dir string) error {
	all, err := template.ParseFS(newFiles, "new/*.tmpl")
	if err != nil {
		return err
	}
	for _, t := range all.Templates() {
		f, err := os.OpenFile(filepath.Join(dir, strings.TrimSuffix(t.Name(), ".tmpl")), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return err
		}
		if err := errors.Join(t.Execute(f, h), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// GoLine is the release in a version such as "go1.26.8-X:jsonv2" or
// "go1.26.8-distribution", without the "go".
func GoLine(version string) string {
	release, _, _ := strings.Cut(version, " ")
	release, _, _ = strings.Cut(release, "-")
	if !goversion.IsValid(release) {
		return "1.26" // of development
	}
	return strings.TrimPrefix(release, "go")
}
