package refusal

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Where what a Start needs is held, the refusal says by whom, however it ends.
func TestWhatTheOldVersionHolds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, inUse := net.Listen("tcp", l.Addr().String())
	path := filepath.Join(t.TempDir(), "lock")
	var files [2]*os.File
	var locked error
	for i := range files {
		if files[i], err = os.Create(path); err != nil {
			t.Fatal(err)
		}
		defer files[i].Close()
		locked = syscall.Flock(int(files[i].Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	for _, tt := range []struct {
		got  *Error
		held bool
	}{
		{Start(inUse), true},
		{Start(fmt.Errorf("metrics: %w", inUse)), true},
		{Start(fmt.Errorf("open db: %w", locked)), true},
		{Start(errors.New("database is locked (5) (SQLITE_BUSY)")), true},
		{Start(errors.New("Cannot acquire directory lock on \"/d\". cannot acquire lock: another process is using it")), true},
		{Panicked("Start", inUse, ""), true},
		{Died("exit status 1", "2026/01/01 00:00:00 "+inUse.Error()), true},
		{Start(errors.New("no clock on this block device")), false},
		{Died("exit status 1", "no database"), false},
		{Panicked("Start", "boo", ""), false},
	} {
		if held := tt.got.Mend == beforeStop && len(tt.got.Or) == 2; held != tt.held {
			t.Errorf("%v", tt.got)
		}
	}
	if e := Hung(time.Second, ""); len(e.Or) != 1 || !strings.Contains(e.Or[0], "while the old one serves") {
		t.Errorf("%v", e)
	}
}
