package routers

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"regexp/syntax"
	"strings"
)

// gorilla is github.com/gorilla/mux. A pattern is what Handle(PATH).Host(HOST).Methods(METHOD)
// registers. It takes the first registered that matches; here that is the most specific.
type gorilla struct{}

func (gorilla) syntax() string {
	return "the syntax of gorilla/mux, which --mux names: [METHOD ][HOST]/[PATH], with {name} and {name:regexp} in the path"
}

func (gorilla) parse(p *pattern) error {
	if strings.ContainsAny(p.host, "{}") {
		return fmt.Errorf("host %q: parameters stand in paths alone", p.host)
	}
	at, err := braces(p.path)
	if err != nil {
		return err
	}
	whole, end := "^", 0
	for i := 0; i < len(at); i += 2 {
		p.gorillaLiteral(p.path[end:at[i]])
		whole += regexp.QuoteMeta(p.path[end:at[i]])
		end = at[i+1]
		expression, err := p.gorillaParameter(p.path[at[i]+1:end-1], end == len(p.path))
		if err != nil {
			return err
		}
		whole += "(" + expression + ")"
	}
	p.gorillaLiteral(p.path[end:])
	if len(p.names) == 0 {
		return nil
	}
	whole += regexp.QuoteMeta(p.path[end:]) + "$"
	rex, err := regexp.Compile(whole)
	if err != nil {
		return err
	}
	if rex.NumSubexp() != len(p.names) {
		return errors.New("a group in a regular expression: write (?:x) for (x)")
	}
	p.tokens[0].rex = rex // the first is a literal: a path begins with a slash
	return nil
}

func (p *pattern) gorillaLiteral(text string) {
	if text != "" {
		p.add(token{kind: literal, text: text}, "", "")
	}
}

// gorillaParameter adds a parameter, and returns its expression.
func (p *pattern) gorillaParameter(inner string, last bool) (string, error) {
	key := "\x01"
	if last {
		key = "\x02" // the more general
	}
	name, expression, err := parameter(inner)
	switch {
	case err != nil:
		return "", err
	case expression == "":
		p.add(token{kind: param, tail: '/'}, name, key)
		return "[^/]+", nil
	}
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return "", err
	}
	k := matched
	if slashes(tree) {
		k = deep
	}
	p.add(token{kind: k, tail: '/'}, name, expression+"\x00"+key)
	return expression, nil
}

// slashes reports whether a slash can be part of what the expression matches.
func slashes(tree *syntax.Regexp) bool {
	switch tree.Op {
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true
	case syntax.OpLiteral:
		return strings.ContainsRune(string(tree.Rune), '/')
	case syntax.OpCharClass:
		for i := 0; i < len(tree.Rune); i += 2 {
			if tree.Rune[i] <= '/' && '/' <= tree.Rune[i+1] {
				return true
			}
		}
	}
	for _, sub := range tree.Sub {
		if slashes(sub) {
			return true
		}
	}
	return false
}

func (gorilla) conflict(a, b *pattern) bool { return sameKey(a, b) }

func (gorilla) finder(sorted []*pattern) finder { return gorillaFinder{rank(sorted)} }

type gorillaFinder struct{ *ranked }

func (x gorillaFinder) find(r *http.Request) (at int, values []string) {
	path := r.URL.Path
	if gorillaClean(path) != path {
		return -1, nil
	}
	at = x.first(path, func(p *pattern) bool {
		return p.hasMethod(r.Method) && p.gorillaHost(r) && p.gorillaPath(path)
	})
	if at >= 0 && len(x.patterns[at].names) > 0 {
		values = x.patterns[at].tokens[0].rex.FindStringSubmatch(path)[1:]
	}
	return at, values
}

func (p *pattern) gorillaPath(path string) bool {
	if rex := p.tokens[0].rex; rex != nil {
		return rex.MatchString(path)
	}
	return path == p.path
}

// gorillaHost reports whether a request is for the pattern's host, at any port where that
// has none.
func (p *pattern) gorillaHost(r *http.Request) bool {
	if p.host == "" {
		return true
	}
	host := r.Host
	if r.URL.IsAbs() {
		host = r.URL.Host
	}
	if !strings.Contains(p.host, ":") {
		host, _, _ = strings.Cut(host, ":")
	}
	return host == p.host
}

// gorillaClean is the path that gorilla redirects to, where it is another.
func gorillaClean(p string) string {
	if p == "" || p[0] != '/' {
		p = "/" + p
	}
	clean := path.Clean(p)
	if p[len(p)-1] == '/' && clean != "/" {
		clean += "/"
	}
	return clean
}

// none implements finder: a redirect to the clean path, 404, or 405 where the path has
// other methods.
func (x gorillaFinder) none(r *http.Request) http.Handler {
	path := r.URL.Path
	if clean := gorillaClean(path); clean != path {
		to := *r.URL
		to.Path = clean
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to.String())
			w.WriteHeader(http.StatusMovedPermanently)
		})
	}
	// What the last says whose path matches; a method is asked after the host.
	disallowed := false
	x.each(path, func(p *pattern) {
		if p.gorillaPath(path) {
			disallowed = p.gorillaHost(r)
		}
	})
	if disallowed {
		return answer(http.StatusMethodNotAllowed)
	}
	return http.NotFoundHandler()
}
