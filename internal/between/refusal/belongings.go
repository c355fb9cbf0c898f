package refusal

import (
	"github.com/andrestc/go-plugserver/internal/between/words"
)

// NoCredentials: there is nowhere to keep the handler's credentials, since the folder dir is what why says.
func NoCredentials(dir, why string) *Error {
	return &Error{
		Reason: "its credentials cannot be kept: " + words.Quote(dir) + " " + why,
		Mend:   "name a folder on a tmpfs that the daemon's user may write with --credentials of plugserverd, such as /run/plugserver or /dev/shm; findmnt -t tmpfs lists them",
	}
}

// NoState: a folder of StateDirectory= cannot be made.
func NoState(dir string, err error) *Error {
	return &Error{
		Reason: "its StateDirectory= cannot be made: " + bare(dir, err),
		Mend:   "let the daemon's user write the folder above, or make " + words.Shell(dir) + " and give it to that user, and reload",
	}
}

// NoWorkingDirectory: the folder of WorkingDirectory= is none that a process can work in.
func NoWorkingDirectory(dir string, err error) *Error {
	return &Error{
		Reason: "its WorkingDirectory= cannot be entered: " + bare(dir, err),
		Mend:   "make " + words.Shell(dir) + " a folder, or let the daemon's user in; where it need not be there, write '-' before it in plugserverd.conf; then reload",
	}
}
