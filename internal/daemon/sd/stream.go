package sd

import (
	"fmt"
	"net"
	"os"
)

const (
	streamSocket = "/run/systemd/journal/stdout" // where services' output goes
	informs      = 6                             // of syslog(3)
)

// AccessStream returns a stream whose lines become records of the journal, as those that a
// service prints (sd_journal_stream_fd(3)), by the name of plugserverd-access.
func AccessStream() (*os.File, error) { return stream(streamSocket, "plugserverd-access") }

func stream(socket, name string) (*os.File, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	// The name, the unit that is known otherwise, the priority, whether lines have one of their
	// own, and three times whether they go elsewhere, too.
	if _, err := fmt.Fprintf(c, "%s\n\n%d\n0\n0\n0\n0\n", name, informs); err != nil {
		return nil, err
	}
	c.CloseRead()
	return c.File()
}
