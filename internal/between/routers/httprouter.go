package routers

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
)

// httprouter is github.com/julienschmidt/httprouter. A pattern without a method, which
// it does not have, is one for each of anyMethod.
type httprouter struct{}

var anyMethod = []string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}

func (httprouter) syntax() string {
	return "the syntax of httprouter, which --mux names: [METHOD ]/[PATH], with :name for a segment or its end, and /*name at the end"
}

func (httprouter) parse(p *pattern) error {
	if err := p.noHost(); err != nil {
		return err
	}
	if strings.Contains(p.path, "{") {
		return errors.New("{ is no parameter: write :name")
	}
	rest := p.path
	for rest != "" {
		at := strings.IndexAny(rest, ":*")
		if at < 0 {
			p.add(token{kind: literal, text: rest}, "", "")
			return nil
		}
		end := len(rest)
		if i := strings.IndexByte(rest[at:], '/'); i >= 0 {
			end = at + i
		}
		name, catchAll := rest[at+1:end], rest[at] == '*'
		switch {
		case strings.ContainsAny(name, ":*"):
			return fmt.Errorf("%s: one parameter in a segment", rest[at:end])
		case name == "":
			return fmt.Errorf("%s: a parameter needs a name", rest[at:])
		case catchAll && end < len(rest):
			return fmt.Errorf("%s: it stands for all that remains, and must be the last", rest[at:end])
		case catchAll && (at == 0 || rest[at-1] != '/'):
			return fmt.Errorf("%s: there must be a / before it, which is part of it", rest[at:end])
		}
		before := at
		if catchAll {
			before-- // the slash is part of it
		}
		if before > 0 {
			p.add(token{kind: literal, text: rest[:before]}, "", "")
		}
		// The names are part of the key: where they differ, the patterns conflict.
		if catchAll {
			p.add(token{kind: literal, text: "/"}, "", "")
			p.add(token{kind: all}, name, name)
		} else {
			p.add(token{kind: param, tail: '/'}, name, name+"\xff")
		}
		rest = rest[end:]
	}
	return nil
}

// conflict: a parameter stands beside nothing but itself.
func (httprouter) conflict(a, b *pattern) bool {
	if !slices.ContainsFunc(methodsOf(a), func(m string) bool { return slices.Contains(methodsOf(b), m) }) {
		return false
	}
	x, y := a.path, b.path
	i := 0
	for i < min(len(x), len(y)) && x[i] == y[i] {
		i++
	}
	same := x[:i]
	x, y = x[i:], y[i:]
	if x == "" && y == "" || strings.Contains(same, "*") {
		return true
	}
	segment := same[strings.LastIndexByte(same, '/')+1:]
	ended := func(s string) bool { return s == "" || s[0] == '/' }
	switch {
	case strings.Contains(segment, ":"): // within its name
		return !ended(x) || !ended(y)
	case strings.HasPrefix(x, "*"), strings.HasPrefix(y, "*"):
		return true
	}
	return y != "" && strings.HasPrefix(x, ":") || x != "" && strings.HasPrefix(y, ":")
}

// methodsOf are the methods of a pattern's requests.
func methodsOf(p *pattern) []string {
	if p.method == "" {
		return anyMethod
	}
	return []string{p.method}
}

func (httprouter) finder(sorted []*pattern) finder {
	x := make(httprouterFinder)
	rests := make(map[string][]rest)
	for at, p := range sorted {
		for _, m := range methodsOf(p) {
			rests[m] = append(rests[m], rest{p.path, at})
		}
	}
	for m, all := range rests {
		x[m] = grow(all)
	}
	return x
}

// httprouterFinder has the root of a tree for each method.
type httprouterFinder map[string]*node

func (x httprouterFinder) find(r *http.Request) (at int, values []string) {
	root := x[r.Method]
	if root == nil {
		return -1, nil
	}
	at, values, _ = root.find(r.URL.Path)
	return at, values
}

// none implements finder: a redirect to a path that differs in its last slash, or in
// case; the methods that the path has, to OPTIONS or as 405; 404.
func (x httprouterFinder) none(r *http.Request) http.Handler {
	path := r.URL.Path
	if root := x[r.Method]; root != nil && r.Method != http.MethodConnect && path != "/" {
		if _, _, slash := root.find(path); slash {
			if to, ok := strings.CutSuffix(path, "/"); ok && to != "" {
				return moved(r, to)
			}
			return moved(r, path+"/")
		}
		if to, ok := root.fold(httprouterClean(path), nil, [4]byte{}); ok {
			return moved(r, string(to))
		}
	}
	var allowed []string
	for m, root := range x {
		if at, _, _ := root.find(path); at >= 0 && m != http.MethodOptions && m != r.Method {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) == 0 {
		return http.NotFoundHandler()
	}
	allowed = append(allowed, http.MethodOptions)
	slices.Sort(allowed)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		if r.Method != http.MethodOptions {
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		}
	})
}

// moved redirects a request to another path.
func moved(r *http.Request, path string) http.Handler {
	to := *r.URL
	to.Path = path
	code := http.StatusTemporaryRedirect // with the same method
	if r.Method == http.MethodGet {
		code = http.StatusMovedPermanently
	}
	return http.RedirectHandler(to.String(), code)
}

// httprouterClean is path.Clean, but that it keeps the last slash.
func httprouterClean(p string) string {
	clean := path.Clean("/" + p)
	if clean != "/" && (strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.") || p == ".") {
		clean += "/"
	}
	return clean
}
