package link

// Protocol is the version of what this package and handover say over their
// sockets. A cell of another is never started.
const Protocol = 11

// protocol is where elfplug reads a cell's protocol, by the symbol's name.
var protocol uint32 = Protocol

func init() { keep(&protocol) }

// keep makes the linker keep what no code reads.
//
//go:noinline
func keep(*uint32) {}
