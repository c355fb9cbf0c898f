package handover

import (
	"context"
	"time"
)

// A server that is to end answers each connection's next request with
// "Connection: close", and closes a connection without a word only where none has
// come for a while: a client that has just sent one would lose it.
var (
	// lingering is how long a connection waits for that request, from Part or
	// its last answer on.
	lingering = 200 * time.Millisecond
	// finishing is how long the rest of a head may take that has begun, and the
	// first of a connection: net/http waits 5 s for that, too.
	finishing = time.Second
)

// Part makes every answer from now on end its connection, and every connection
// that gets no request end by itself, so that s comes to have none. Shutdown
// begins with it, at the latest.
func (s *Server) Part() {
	if s.parted.Swap(true) {
		return
	}
	for _, c := range s.owned() {
		c.part()
	}
}

// patience returns how long a client may take for a request, or for the rest of
// one that has begun; 0 means without end.
func (s *Server) patience(begun bool) time.Duration {
	limit, parting := s.limits.IdleTimeout, lingering
	if begun {
		limit, parting = s.limits.HeaderTimeout, finishing
	}
	if s.parted.Load() && (limit <= 0 || limit > parting) {
		return parting
	}
	return limit
}

// Shutdown ends s gracefully: it waits until s is Parted, or ctx is done. Then
// what is left is closed.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.Parted(ctx)
	s.feed.stop()
	s.closeHTTP()
	for _, c := range s.owned() {
		c.endNow()
		c.drop()
	}
	return err
}

// Drained waits until s owns no connection and serves no request, or ctx is
// done.
func (s *Server) Drained(ctx context.Context) error {
	for {
		changed := s.awaited()
		s.mu.Lock()
		n := len(s.conns) + int(s.streams.Load())
		s.mu.Unlock()
		if n == 0 {
			return nil
		}
		// Nothing tells when a handler closes what it has hijacked.
		look := time.NewTimer(20 * time.Millisecond)
		select {
		case <-changed:
		case <-look.C:
			s.forgetClosed()
		case <-ctx.Done():
			look.Stop()
			return ctx.Err()
		}
		look.Stop()
	}
}

// Parted begins with Part, and waits until s owns no connection but hijacked
// ones, and serves no request, or ctx is done.
func (s *Server) Parted(ctx context.Context) error {
	s.Part()
	for {
		changed := s.awaited()
		s.mu.Lock()
		n := len(s.conns) - s.given + int(s.streams.Load())
		s.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// awaited returns a channel that is closed when conns or streams shrink from now on.
func (s *Server) awaited() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
		s.waiting.Store(true)
	}
	return s.changed
}

// shrunk wakes those who wait for that. The lock is held.
func (s *Server) shrunk() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
		s.waiting.Store(false)
	}
}
