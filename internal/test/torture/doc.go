// Package torture hurts the product on purpose: faults times load, for as long
// as one likes, from a seed. An arena is one daemon with handlers that are not
// hurt, one that is, and clients of both that never retry. What must hold at
// each turn: no request to an unhurt handler fails and no connection is
// refused; of the hurt one's no more fail than were in flight; afterwards no
// process, descriptor, goroutine or file of the store is left over.
//
// What a handler starts in a session of its own (setsid(2)) is not among the
// faults: it outlives its cell, and ends with the service, whose cgroup it is in.
//
// All of it is tests: see make torture. Making a system call fail takes
// ptrace(2); TORTURE_PTRACE=off in the environment leaves that out, and says so.
package torture
