package link

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// What is said while handlers start is written in brief, by what stands here: a number as a varint, a text behind its length, one
// field after the other. To find out how JSON reads and writes a Message takes package json longer than all else that a new
// process does with what it is told: a thousand that start together each find it out. What has other fields is JSON.

// briefly is the first byte of what is written so, and of no JSON.
const briefly = 1

// brief returns m in brief, nil where it has a field that is not written so.
func brief(m *Message) []byte {
	if m.Key != nil || m.Refusal != nil || m.Level != "" || m.Text != "" || m.Fields != nil || m.Stats != nil ||
		m.Secure != nil || m.Proxied != nil || m.TLS != nil || m.ACME != nil || m.Challenges != nil {
		return nil
	}
	w := &briefer{b: append(make([]byte, 0, 256), briefly)}
	if w.message(m); w.bad {
		return nil
	}
	return w.b
}

// ofBrief reads what brief has written, behind its first byte. Whatever the text is, it returns, with memory in proportion to it.
func ofBrief(text []byte) (m Message, err error) {
	r := &briefer{b: text, reads: true}
	if r.message(&m); r.bad || len(r.b) > 0 {
		return Message{}, errors.New("decode message: it is cut, or goes on")
	}
	return m, nil
}

// briefer writes to the end of b, or reads from its beginning: so the fields and their order are written down once. Where it
// writes it changes nothing of a message: others may send the same lists.
type briefer struct {
	b     []byte
	reads bool
	bad   bool // what is left makes no sense; or a text is none, of which json makes one
}

func (c *briefer) message(m *Message) {
	text(c, &m.Kind)
	text(c, &m.Name, &m.Format)
	c.count(&m.Cell, &m.Version, &m.Since, &m.Seq)
	whole(c, &m.Grace)
	list(c, &m.Plugins, c.plugin)
	list(c, &m.Routes, c.route)
	texts(c, &m.Gone)
	l := &m.Limits
	whole(c, &l.IdleTimeout, &l.HeaderTimeout, &l.WriteTimeout, &l.Hold)
	whole(c, &l.MaxHeaderBytes, &l.MaxConns, &l.MaxPatterns, &l.MaxPatternBytes)
	text(c, &l.HTTP2)
	c.flag(&l.Lends)
	texts(c, &l.Proxies)
	text(c, &l.ProxyHeader)
	text(c, &l.Mux)
}

func (c *briefer) plugin(p *Plugin) {
	text(c, &p.Name, &p.Path, &p.Version)
	texts(c, &p.Patterns)
	whole(c, &p.Bounds.MaxInFlight)
	whole(c, &p.Bounds.MaxBodyBytes)
	whole(c, &p.Bounds.RequestTimeout)
	c.flag(&p.Bounds.Unlogged)
}

func (c *briefer) route(r *Route) {
	text(c, &r.Pattern, &r.Canary.Field)
	text(c, &r.Canary.Sticky)
	c.count(&r.Cell, &r.Canary.Cell, &r.Canary.Seed)
	c.flag(&r.Down)
	whole(c, &r.Hold)
	whole(c, &r.Canary.Weight, &r.Canary.Mirror)
}

// count is numbers that are never below 0.
func (c *briefer) count(all ...*uint64) {
	for _, v := range all {
		if !c.reads {
			c.b = binary.AppendUvarint(c.b, *v)
			continue
		}
		if n, w := binary.Uvarint(c.b); w > 0 {
			*v, c.b = n, c.b[w:]
		} else {
			c.b, c.bad = nil, true
		}
	}
}

func (c *briefer) flag(v *bool) {
	var n uint64
	if *v {
		n = 1
	}
	if c.count(&n); c.reads {
		*v = n != 0
	}
}

func whole[N ~int | ~int64](c *briefer, all ...*N) {
	for _, v := range all {
		n := uint64(*v)<<1 ^ uint64(int64(*v)>>63) // small ones below 0 are small, too
		if c.count(&n); c.reads {
			*v = N(int64(n>>1) ^ -int64(n&1))
		}
	}
}

func text[S ~string](c *briefer, all ...*S) {
	for _, s := range all {
		n := uint64(len(*s))
		c.count(&n)
		switch {
		case !c.reads:
			c.b, c.bad = append(c.b, *s...), c.bad || !utf8.ValidString(string(*s))
		case n > uint64(len(c.b)) || !utf8.Valid(c.b[:n]):
			c.b, c.bad = nil, true
		default:
			*s, c.b = S(c.b[:n]), c.b[n:]
		}
	}
}

func texts(c *briefer, all *[]string) { list(c, all, func(s *string) { text(c, s) }) }

// list is a list of what each reads or writes one of.
func list[T any](c *briefer, all *[]T, each func(*T)) {
	n := uint64(len(*all))
	c.count(&n)
	for i := uint64(0); i < n && !c.bad; i++ { // what says that it is long is not believed
		if c.reads {
			*all = append(*all, *new(T))
		}
		each(&(*all)[i])
	}
}
