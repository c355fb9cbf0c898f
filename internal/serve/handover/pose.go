package handover

import (
	"bufio"
	"net"
	"net/http"
	"reflect"
	"unsafe"
)

// A handler that hijacks a request's connection gets what net/http serves it on,
// and that is a wholeConn, no *net.TCPConn. A wrapper around the writer would
// mend this, and hide what net/http looks for in its own (http.MaxBytesReader).
// So while a handler runs, net/http's server holds the raw connection, for which
// this file reaches into it. It reads on through the wholeConn, where the
// release keeps what it reads apart: from Go 1.25 on. In an older one, or where
// a field is not what it was, nothing is done, and a handler that hijacks a
// request with a body gets a wholeTCP. TestHijackedType holds both.
//
// Nor does net/http's server have what came behind the request: its buffer, which
// the handler gets, is filled then.

// serverConn returns net/http's own connection below w, the zero Value where there
// is none.
func serverConn(w http.ResponseWriter) reflect.Value {
	v := structBelow(reflect.ValueOf(w))
	if !v.IsValid() {
		return v
	}
	return structBelow(v.FieldByName("conn"))
}

// structBelow returns what a pointer to a struct points to, or the zero Value.
func structBelow(p reflect.Value) reflect.Value {
	if p.Kind() != reflect.Pointer || p.IsNil() || p.Elem().Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return p.Elem()
}

// rwcOf returns where net/http's server keeps its connection c, or nil.
func rwcOf(c reflect.Value) *net.Conn {
	reader := structBelow(c.FieldByName("r"))
	if !reader.IsValid() {
		return nil
	}
	netConn := reflect.TypeFor[net.Conn]()
	rwc, apart := c.FieldByName("rwc"), reader.FieldByName("rwc")
	if !rwc.IsValid() || rwc.Type() != netConn || !apart.IsValid() || apart.Type() != netConn {
		return nil
	}
	return (*net.Conn)(unsafe.Pointer(rwc.UnsafeAddr()))
}

// bufrOf returns the buffer from which net/http's server reads its connection c, or
// nil.
func bufrOf(c reflect.Value) *bufio.Reader {
	bufr := c.FieldByName("bufr")
	if !bufr.IsValid() || bufr.Type() != reflect.TypeFor[*bufio.Reader]() {
		return nil
	}
	return *(**bufio.Reader)(unsafe.Pointer(bufr.UnsafeAddr()))
}

// pose makes w's connection the raw one, until the function that it returns is
// called or the connection is hijacked. The server's goroutine calls both.
func (s *wholeConn) pose(w http.ResponseWriter) (restore func()) {
	c := serverConn(w)
	if !c.IsValid() {
		return func() {}
	}
	s.bufr = bufrOf(c)
	raw := s.raw
	switch raw.(type) {
	case *net.TCPConn, *secured, *told:
	default:
		return func() {}
	}
	rwc := rwcOf(c)
	if rwc == nil {
		return func() {}
	}
	own := *rwc
	s.server.posing.Store(raw, s)
	s.setPosed(true)
	s.server.hold(rwc, raw)
	return func() {
		s.server.posing.Delete(raw)
		if s.stage.Load() != hijacked {
			s.server.hold(rwc, own) // a limit that the handler has set holds for the rest of the body
		}
	}
}

// hold has net/http's server keep nc, where closeHTTP does not look meanwhile.
func (s *Server) hold(rwc *net.Conn, nc net.Conn) {
	s.held.RLock()
	defer s.held.RUnlock()
	*rwc = nc
}

// closeHTTP closes net/http's server, and with it the connections that it keeps.
func (s *Server) closeHTTP() {
	s.held.Lock()
	defer s.held.Unlock()
	s.http.Close()
}

// setPosed says whether others set the raw connection's deadlines.
func (c *Conn) setPosed(posed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.posed = posed
	if posed {
		c.apply(c.deadline)
	} else {
		c.applied = longAgo // whatever it is: the next read sets it
	}
}

func (c *Conn) isPosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.posed
}

// posedAs returns the wholeConn that net/http means.
func (s *Server) posedAs(nc net.Conn) *wholeConn {
	if w, ok := s.posing.Load(nc); ok {
		return w.(*wholeConn)
	}
	return wholeOf(nc)
}
