package routers

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// chi is github.com/go-chi/chi/v5. Where patterns of handlers meet at one place, those
// that it would try in the order of their registration are tried in that of their text.
type chi struct{}

func (chi) syntax() string {
	return "the syntax of chi, which --mux names: [METHOD ]/[PATH], with {name}, {name:regexp}, and * at the end"
}

// chiMethods are those that chi knows.
var chiMethods = []string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}

func (chi) parse(p *pattern) error {
	if err := p.noHost(); err != nil {
		return err
	}
	if p.method != "" && !slices.Contains(chiMethods, p.method) {
		return fmt.Errorf("method %s is not one of chi's: %s", p.method, strings.Join(chiMethods, ", "))
	}
	path, wildcard := strings.CutSuffix(p.path, "*")
	at, err := braces(path)
	if err != nil {
		return err
	}
	end := 0
	for i := 0; i < len(at); i += 2 {
		if err := p.chiLiteral(path[end:at[i]]); err != nil {
			return err
		}
		if end > 0 && end == at[i] {
			return errors.New("a parameter right behind another")
		}
		end = at[i+1]
		if err := p.chiParameter(path[at[i]+1:end-1], path[end:]); err != nil {
			return err
		}
	}
	if err := p.chiLiteral(path[end:]); err != nil {
		return err
	}
	if wildcard {
		if end > 0 && end == len(path) {
			return errors.New("* right behind a parameter")
		}
		p.add(token{kind: all}, "*", "")
	}
	return nil
}

func (p *pattern) chiLiteral(text string) error {
	if strings.Contains(text, "*") {
		return errors.New("* stands for all that remains: it must be the last, or write {name}")
	}
	if text != "" {
		p.add(token{kind: literal, text: text}, "", "")
	}
	return nil
}

// chiParameter adds a parameter; rest is the path behind it.
func (p *pattern) chiParameter(inner, rest string) error {
	name, expression, err := parameter(inner)
	if err != nil {
		return err
	}
	t := token{kind: param, tail: '/'}
	key := "\x02"
	if rest != "" && rest[0] != '/' {
		t.tail, key = rest[0], "\x01" // tried first
	}
	if expression != "" {
		if expression[0] != '^' {
			expression = "^" + expression
		}
		if expression[len(expression)-1] != '$' {
			expression += "$"
		}
		if t.rex, err = regexp.Compile(expression); err != nil {
			return err
		}
		t.kind, key = matched, key+expression+"\x00"
	}
	p.add(t, name, key)
	return nil
}

func (chi) conflict(a, b *pattern) bool { return sameKey(a, b) }

func (chi) finder(sorted []*pattern) finder { return chiFinder{rank(sorted)} }

type chiFinder struct{ *ranked }

func chiPath(r *http.Request) string {
	switch {
	case r.URL.RawPath != "":
		return r.URL.RawPath
	case r.URL.Path != "":
		return r.URL.Path
	}
	return "/"
}

func (x chiFinder) find(r *http.Request) (at int, values []string) {
	if !slices.Contains(chiMethods, r.Method) {
		return -1, nil
	}
	path := chiPath(r)
	at = x.first(path, func(p *pattern) bool {
		if !p.hasMethod(r.Method) {
			return false
		}
		found, ok := p.chiMatch(path, values[:0])
		if ok {
			values = found
		}
		return ok
	})
	return at, values
}

// chiMatch matches a path, and appends the values of the parameters.
func (p *pattern) chiMatch(rest string, values []string) ([]string, bool) {
	for i := range p.tokens {
		t := &p.tokens[i]
		switch t.kind {
		case literal:
			if !strings.HasPrefix(rest, t.text) {
				return nil, false
			}
			rest = rest[len(t.text):]
			continue
		case all:
			return append(values, rest), true
		}
		end := strings.IndexByte(rest, t.tail)
		if end < 0 && t.tail == '/' {
			end = len(rest)
		}
		if rest == "" || end < 0 {
			return nil, false
		}
		value := rest[:end]
		if t.rex != nil && (value == "" || !t.rex.MatchString(value)) || t.rex == nil && strings.Contains(value, "/") {
			return nil, false
		}
		values, rest = append(values, value), rest[end:]
	}
	return values, rest == ""
}

// none implements finder: as chi does, 404, or 405 where the path has other methods.
func (x chiFinder) none(r *http.Request) http.Handler {
	if !slices.Contains(chiMethods, r.Method) {
		return answer(http.StatusMethodNotAllowed)
	}
	var allowed []string
	path := chiPath(r)
	x.each(path, func(p *pattern) {
		if _, ok := p.chiMatch(path, nil); ok {
			allowed = append(allowed, p.method)
		}
	})
	if len(allowed) == 0 {
		return http.NotFoundHandler()
	}
	slices.Sort(allowed)
	allowed = slices.Compact(allowed)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Allow"] = allowed
		w.WriteHeader(http.StatusMethodNotAllowed)
	})
}
