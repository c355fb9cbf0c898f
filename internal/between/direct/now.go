package direct

// ReadNow reads from a socket what has come, and WriteNow writes what it takes at
// once, or they return EAGAIN: whatever the mode of the descriptor, which is also that
// of other processes that have it. The runtime is not told of the call: it would wake
// a thread to go on in the place of this one where the machine is busy and the call
// takes 20 microseconds, and in a process that is to use one processor every second
// thread then waits for the first.
func ReadNow(fd uintptr, p []byte) (int, error) { return readNow(fd, p) }

// WriteNow is described with ReadNow. Where nobody reads any more it returns EPIPE.
func WriteNow(fd uintptr, p []byte) (int, error) { return writeNow(fd, p) }
