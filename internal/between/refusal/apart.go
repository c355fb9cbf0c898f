package refusal

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/between/words"
)

// noUnits is what a handler can do without units.
const noUnits = "take Isolation=unit out of its section in plugserverd.conf, and reload: it is then a process of the daemon's user, in its sandbox"

// NoUnit: there is nobody at the socket who starts units.
func NoUnit(socket string, err error) *Error {
	e := &Error{Reason: "Isolation=unit: " + bare(socket, err), Or: []string{noUnits}}
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.Mend = "let the daemon's user, and no other, connect: SocketUser= with systemctl edit plugserver-cell.socket; an instance has none (plugserverd.conf(5))"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		e.Mend = "have systemd listen there: systemctl enable --now plugserver-cell.socket, of Debian's package, and reload"
	default:
		e.Mend = "see systemctl status plugserver-cell.socket, and reload"
	}
	return e
}

// UnitFailed: somebody was connected to, and there is no process.
func UnitFailed(socket, why string) *Error {
	return &Error{
		Reason: "Isolation=unit: no process came of " + words.Quote(socket) + ": " + why,
		Mend:   "see journalctl -u plugserver-cell.socket -u 'plugserver-cell@*', mend what it says, and reload",
		Or:     []string{noUnits},
	}
}

// NotSeenApart: the unit cannot run the cell's program.
func NotSeenApart(path string, err error) *Error {
	return &Error{
		Reason: "Isolation=unit: its unit cannot run its cell: " + bare(path, err),
		Mend:   "have the unit see it: BindReadOnlyPaths= and ExecPaths= with systemctl edit plugserver-cell@.service, and reload",
		Or:     []string{noUnits},
	}
}
