package handover

import (
	"maps"
	"slices"
	"time"
)

// A process that accepts bounds the connections of all processes together
// (Limits.MaxConns): each that has a way to it says in the memory of that way how many it
// has. So the bound outlives the process that accepts, as the connections do. What is on
// its way from one to another counts for both for a moment, and for none never.

const (
	// toldWait is how long a process that is to accept waits for what those have that
	// it was joined to before. One that is stopped, or of a release that does not say
	// it, holds up no longer.
	toldWait = time.Second
	// lookAtGiven is how often is looked whether handlers have closed what they have
	// hijacked: nothing tells.
	lookAtGiven = 250 * time.Millisecond
	// fullAgain is how often Full is called at the most.
	fullAgain = time.Minute
)

// Join has p and s know of each other's connections, until Recover.
func (s *Server) Join(p *Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Route != nil {
		s.peers[p] = true
		return
	}
	s.told = p
	s.tell()
}

// unjoin ends that: p's memory is about to be.
func (s *Server) unjoin(p *Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.peers, p)
	if s.told == p {
		s.told = nil
	}
}

// tell says how many connections s owns. The lock is held.
func (s *Server) tell() {
	if s.told != nil {
		s.told.counts.ours.owned.Store(uint64(len(s.conns)-s.loans) + 1) // what is lent is another's
	}
}

// owned returns how many connections p's process has; told whether it has said so yet.
func (p *Peer) owned() (n int64, told bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.given {
		return 0, true
	}
	v := p.counts.theirs.owned.Load()
	return int64(min(max(v, 1)-1, 1<<32)), v > 0
}

// Aside notes that n more connections were accepted that are none of s's, fewer where n is
// below 0: those that shake hands, or speak HTTP/2 over TLS.
func (s *Server) Aside(n int) { s.aside.Add(int64(n)) }

// vacant is how many connections more may be accepted.
func (s *Server) vacant() int64 {
	if s.limits.MaxConns <= 0 {
		return acceptBatch
	}
	n := s.count.Load() + s.aside.Load()
	for _, p := range s.joined() {
		has, _ := p.owned()
		n += has
	}
	return max(0, int64(s.limits.MaxConns)-n)
}

func (s *Server) joined() []*Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.peers))
}

// awaitTold waits until all have said what they have whom s was joined to so far.
func (s *Server) awaitTold() {
	if s.limits.MaxConns <= 0 {
		return
	}
	end := time.Now().Add(toldWait)
	for _, p := range s.joined() {
		for _, told := p.owned(); !told && time.Now().Before(end); _, told = p.owned() {
			time.Sleep(time.Millisecond)
		}
	}
}

// isFull tells the operator that clients wait, now and then.
func (s *Server) isFull() {
	s.mu.Lock()
	last := s.fullAt
	again := time.Since(last) >= fullAgain
	if again {
		s.fullAt = time.Now()
	}
	s.mu.Unlock()
	if !again || s.Full == nil {
		return
	}
	if s.vacant() == 0 {
		s.Full(s.limits.MaxConns)
	} else {
		s.Full(0)
	}
}

// lookAfterGiven has closed connections not count that were hijacked. The lock is held.
func (s *Server) lookAfterGiven() {
	if s.looks || s.limits.MaxConns <= 0 || s.Route != nil {
		return
	}
	s.looks = true
	go func() {
		for more := true; more; {
			time.Sleep(lookAtGiven)
			s.forgetClosed()
			s.mu.Lock()
			more = s.given > 0
			s.looks = more
			s.mu.Unlock()
		}
	}()
}
