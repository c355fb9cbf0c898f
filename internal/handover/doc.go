// Package handover passes a connection between processes at a request's
// boundary, with the bytes read since the request began. The receiver replays
// them and reads on: nothing is parsed by hand and nothing is serialised anew,
// so neither the client nor net/http can tell that the process changed.
//
// A Server serves connections that it accepts and those handed to it. Its
// handlers call HandOver for a request that is another process's. A process
// that retires calls Retire: each connection then leaves it before the next
// request, the idle ones at once.
package handover
