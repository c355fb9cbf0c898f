package handover

import (
	"syscall"
	"time"
)

// Descriptors run out where clients are many. Then a process takes no more
// connections for a while, and lets go of those that it need not have; the
// sender keeps what was not taken. net/http only stalls accept(2) then, too.

const (
	// reserve is how many descriptors a process that accepts leaves free for
	// the connections that come back to it, where its limit is large enough.
	reserve = 128
	// relief is how many idle connections a full process hands back at once.
	relief = 16
	// breath is how long a full process takes no connection.
	breath = 10 * time.Millisecond
)

// descriptors returns how many descriptors this process may have open
// (RLIMIT_NOFILE, getrlimit(2)).
func descriptors() int64 {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 1 << 20
	}
	return int64(min(l.Cur, 1<<20))
}

// measure looks at the limit again, which others may change (prlimit(2)).
func (s *Server) measure() { s.most.Store(descriptors()) }

// numbered notes the descriptor of a connection that was accepted, and counted: the
// lowest that was free (open(2)). So as many are in use, and those that are no
// connections are known the better the fewer are left.
func (s *Server) numbered(fd int) { s.others.Store(max(0, int64(fd)+1-s.used())) }

// used is how many descriptors are connections, or serve some.
func (s *Server) used() int64 { return s.count.Load() + s.beside.Load() }

// room is how many descriptors there are for connections.
func (s *Server) room() int64 { return max(0, s.most.Load()-s.others.Load()) }

// full sees to it that descriptors become free: idle connections leave, and
// nothing new is taken for a moment.
func (s *Server) full() {
	s.http.ErrorLog.Print("no descriptor is left for a connection")
	s.measure()
	if s.Back != nil {
		n := 0
		for _, c := range s.owned() {
			if c.evictIdle() {
				if n++; n == relief {
					break
				}
			}
		}
	}
	time.Sleep(breath)
}

// evictIdle evicts a connection that waits for its next request.
func (c *Conn) evictIdle() bool {
	c.mu.Lock()
	is := c.phase == idle && c.reading
	c.mu.Unlock()
	if is {
		c.evict()
	}
	return is
}

// crowded reports whether so many connections are here that new ones had better
// go where their requests do at once.
func (s *Server) crowded() bool {
	return s.used() > s.room()/2
}

// tooMany reports whether accepting has to wait for connections to go.
func (s *Server) tooMany() bool {
	room := s.room()
	return s.used() > room-min(reserve, room/4)
}
