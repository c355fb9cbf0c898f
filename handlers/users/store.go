package main

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync"
)

var errNoUser = errors.New("no such user")

type user struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

// store holds users by id. Requests run at the same time, so every method
// takes the lock, and what it returns is a copy.
type store struct {
	mu   sync.Mutex
	last int // the newest id; ids start at 1 and are not used again
	byID map[int]user
}

func newStore() *store { return &store{byID: make(map[int]user)} }

// all returns every user, by id.
func (s *store) all() []user {
	s.mu.Lock()
	defer s.mu.Unlock()
	users := make([]user, 0, len(s.byID)) // not nil: JSON has it as [], not null
	users = slices.AppendSeq(users, maps.Values(s.byID))
	slices.SortFunc(users, func(a, b user) int { return cmp.Compare(a.ID, b.ID) })
	return users
}

func (s *store) add(name string) user {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	u := user{ID: s.last, Name: name}
	s.byID[u.ID] = u
	return u
}

func (s *store) get(id int) (user, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.byID[id]
	if !ok {
		return user{}, errNoUser
	}
	return u, nil
}

func (s *store) rename(id int, name string) (user, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.byID[id]
	if !ok {
		return user{}, errNoUser
	}
	u.Name = name
	s.byID[id] = u
	return u, nil
}

func (s *store) remove(id int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.byID[id]; !ok {
		return errNoUser
	}
	delete(s.byID, id)
	return nil
}
