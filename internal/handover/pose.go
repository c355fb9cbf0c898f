package handover

import (
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

// rwcOf returns where net/http's server keeps w's connection, or nil.
func rwcOf(w http.ResponseWriter) *net.Conn {
	v := reflect.ValueOf(w)
	for _, name := range []string{"", "conn"} {
		if name != "" {
			v = v.Elem().FieldByName(name)
		}
		if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
			return nil
		}
	}
	reader := v.Elem().FieldByName("r")
	if reader.Kind() != reflect.Pointer || reader.IsNil() || reader.Elem().Kind() != reflect.Struct {
		return nil
	}
	netConn := reflect.TypeFor[net.Conn]()
	rwc, apart := v.Elem().FieldByName("rwc"), reader.Elem().FieldByName("rwc")
	if !rwc.IsValid() || rwc.Type() != netConn || !apart.IsValid() || apart.Type() != netConn {
		return nil
	}
	return (*net.Conn)(unsafe.Pointer(rwc.UnsafeAddr()))
}

// pose makes w's connection the raw one, until the function that it returns is
// called or the connection is hijacked. The server's goroutine calls both.
func (s *wholeConn) pose(w http.ResponseWriter) (restore func()) {
	tcp, ok := s.raw.(*net.TCPConn)
	if !ok {
		return func() {}
	}
	rwc := rwcOf(w)
	if rwc == nil {
		return func() {}
	}
	own := *rwc
	s.server.posing.Store(tcp, s)
	s.setPosed(true)
	*rwc = tcp
	return func() {
		s.server.posing.Delete(tcp)
		if s.stage.Load() != hijacked {
			*rwc = own // a limit that the handler has set holds for the rest of the body
		}
	}
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

// posedAs returns the wholeConn that net/http means.
func (s *Server) posedAs(nc net.Conn) *wholeConn {
	if w, ok := s.posing.Load(nc); ok {
		return w.(*wholeConn)
	}
	return wholeOf(nc)
}
