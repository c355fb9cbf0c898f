package deploy

import (
	"io/fs"
	"strings"
	"testing"
)

func TestDenied(t *testing.T) {
	err := &fs.PathError{Op: "open", Path: "/h/.a.so", Err: fs.ErrPermission}
	if got, want := denied(1000, err).Error(), "open /h/.a.so: permission denied; the directory is root's: run it with sudo"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, e := range []error{denied(0, err), denied(1000, fs.ErrExist)} {
		if strings.Contains(e.Error(), "sudo") {
			t.Error(e)
		}
	}
}
