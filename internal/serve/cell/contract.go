package cell

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"plugin"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
)

// hook is the type of Start and Stop.
type hook = func(context.Context) error

// contract is what a plugin offers: its routes, and what brackets its life.
type contract struct {
	handlers    map[string]http.Handler // by pattern
	start, stop hook                    // nil where the plugin has none
	symbol      string                  // Handler or Handlers
	patterns    func() map[string]http.Handler
}

// read finds the contract's symbols and checks their types. It calls none.
func read(p *plugin.Plugin) (*contract, *refusal.Error) {
	k := &contract{}
	one, errOne := p.Lookup("Handler")
	many, errMany := p.Lookup("Handlers")
	switch {
	case errOne == nil && errMany == nil:
		return nil, refusal.BothContracts()
	case errMany == nil:
		k.symbol = "Handlers"
		if k.patterns = handlersOf(many); k.patterns == nil {
			return nil, refusal.Signature("Handlers", typeOf(many),
				"func() map[string]http.Handler",
				"func() map[string]func(http.ResponseWriter, *http.Request)",
				"func() map[string]http.HandlerFunc")
		}
	case errOne == nil:
		k.symbol = "Handler"
		if k.patterns = handlerOf(one); k.patterns == nil {
			return nil, refusal.Signature("Handler", typeOf(one),
				"func() (string, func(http.ResponseWriter, *http.Request))",
				"func() (string, http.Handler)",
				"func() (string, http.HandlerFunc)")
		}
	default:
		return nil, refusal.Open(errOne, "")
	}
	for name, f := range map[string]*hook{"Start": &k.start, "Stop": &k.stop} {
		sym, err := p.Lookup(name)
		if err != nil {
			continue
		}
		h, ok := sym.(hook)
		if !ok {
			return nil, refusal.Signature(name, typeOf(sym), "func(context.Context) error")
		}
		*f = h
	}
	return k, nil
}

// typeOf names a symbol's type as its author wrote it. A variable arrives as
// a pointer to it.
func typeOf(sym plugin.Symbol) string {
	if t := reflect.TypeOf(sym); t.Kind() == reflect.Pointer {
		return "a variable of type " + t.Elem().String()
	} else {
		return t.String()
	}
}

func handlerOf(sym plugin.Symbol) func() map[string]http.Handler {
	switch f := sym.(type) {
	case func() (string, func(http.ResponseWriter, *http.Request)):
		return func() map[string]http.Handler { p, h := f(); return map[string]http.Handler{p: http.HandlerFunc(h)} }
	case func() (string, http.HandlerFunc):
		return func() map[string]http.Handler { p, h := f(); return map[string]http.Handler{p: h} }
	case func() (string, http.Handler):
		return func() map[string]http.Handler { p, h := f(); return map[string]http.Handler{p: h} }
	}
	return nil
}

func handlersOf(sym plugin.Symbol) func() map[string]http.Handler {
	switch f := sym.(type) {
	case func() map[string]http.Handler:
		return f
	case func() map[string]func(http.ResponseWriter, *http.Request):
		return func() map[string]http.Handler {
			return convert(f(), func(h func(http.ResponseWriter, *http.Request)) http.Handler { return http.HandlerFunc(h) })
		}
	case func() map[string]http.HandlerFunc:
		return func() map[string]http.Handler {
			return convert(f(), func(h http.HandlerFunc) http.Handler { return h })
		}
	}
	return nil
}

func convert[H any](in map[string]H, to func(H) http.Handler) map[string]http.Handler {
	out := make(map[string]http.Handler, len(in))
	for p, h := range in {
		out[p] = to(h)
	}
	return out
}

// prove runs Start, asks for the patterns and checks them, within the limits. log
// gets the stack of a panic.
func (k *contract) prove(ctx context.Context, lim link.Limits, log func(text string, stack []byte)) (refused *refusal.Error) {
	symbol := "Start"
	defer func() {
		if p := recover(); p != nil {
			stack := debug.Stack()
			log(fmt.Sprintf("%s panicked: %v", symbol, p), stack)
			refused = refusal.Panicked(symbol, p, panicFrame(stack))
		}
	}()
	if k.start != nil {
		if err := k.start(ctx); err != nil {
			return refusal.Start(err)
		}
	}
	symbol = k.symbol
	k.handlers = k.patterns()
	if len(k.handlers) == 0 {
		return refusal.NoPatterns(symbol)
	}
	for pattern, h := range k.handlers {
		if v := reflect.ValueOf(h); h == nil || v.Kind() == reflect.Func && v.IsNil() {
			return refusal.NilHandler(pattern)
		}
	}
	patterns := slices.Sorted(maps.Keys(k.handlers))
	if refused := lim.Mux.Check(patterns, lim.MaxPatterns, lim.MaxPatternBytes); refused != nil {
		return refused
	}
	if _, err := lim.Mux.Mux(k.handlers); err != nil {
		return lim.Mux.Refuse(err)
	}
	return nil
}

// panicFrame returns where in the stack of a recovered panic it was raised:
// "FUNCTION (FILE:LINE)", or nothing.
func panicFrame(stack []byte) string {
	lines := strings.Split(string(stack), "\n")
	for i, l := range lines {
		if !strings.HasPrefix(l, "panic(") {
			continue
		}
		for i += 2; i+1 < len(lines); i += 2 {
			if strings.HasPrefix(lines[i], "runtime.") {
				continue
			}
			fn := lines[i]
			if j := strings.LastIndexByte(fn, '('); j > 0 {
				fn = fn[:j]
			}
			where, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " ")
			return fn + " (" + where + ")"
		}
	}
	return ""
}
