package sd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "unsafe" // for go:linkname

	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// sendsTo is go-systemd's own variable, so that the tests run its code, and
// not a copy, against a journald of theirs.
//
//go:linkname sendsTo github.com/coreos/go-systemd/v22/journal.journalSocket
var sendsTo string

// journald listens where go-systemd sends.
func journald(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	address := filepath.Join(t.TempDir(), "j")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	old := sendsTo
	sendsTo = address
	t.Cleanup(func() { sendsTo = old; c.Close() })
	return c, address
}

// read decodes one record as journald does (systemd.io/JOURNAL_NATIVE_PROTOCOL).
func read(t *testing.T, c *net.UnixConn) (fields map[string]string, byFile bool) {
	t.Helper()
	b, oob := make([]byte, 1<<20), make([]byte, 256)
	n, oobn, _, _, err := c.ReadMsgUnix(b, oob)
	if err != nil {
		t.Fatal(err)
	}
	b = b[:n]
	if oobn > 0 {
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			t.Fatal(err)
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil || len(fds) != 1 || n != 0 {
			t.Fatalf("got %d files with %d bytes, %v; want one alone", len(fds), n, err)
		}
		f := os.NewFile(uintptr(fds[0]), "record")
		defer f.Close()
		if b, err = io.ReadAll(io.NewSectionReader(f, 0, 1<<30)); err != nil {
			t.Fatal(err)
		}
		byFile = true
	}
	fields = map[string]string{}
	for len(b) > 0 {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			t.Fatalf("line without an end: %q", b)
		}
		name, value, ok := strings.Cut(string(line), "=")
		if !ok {
			size := binary.LittleEndian.Uint64(rest)
			value, rest = string(rest[8:8+size]), rest[8+size+1:]
		}
		if _, twice := fields[name]; twice {
			t.Errorf("field %s is there twice", name)
		}
		fields[name] = value
		b = rest
	}
	return fields, byFile
}

func logger(j *Journal) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.SetLevel(logrus.TraceLevel)
	log.AddHook(j)
	return log
}

func TestJournal(t *testing.T) {
	c, address := journald(t)
	var stderr bytes.Buffer
	j := newJournal(address, &stderr)
	log := logger(j)

	var all strings.Builder
	for i := range 256 {
		all.WriteByte(byte(i))
	}
	large := strings.Repeat("stack\n", 1<<19) // 3 MiB, no datagram
	log.WithFields(logrus.Fields{"event": "refused", "handler": "users", "reason": "bad", "mend": "do", "bytes": all.String()}).Warn("refused: users.so")
	got, byFile := read(t, c)
	want := map[string]string{
		"MESSAGE": "refused: users.so: bad; mend: do", "PRIORITY": "4", "SYSLOG_IDENTIFIER": "plugserverd",
		"MESSAGE_ID": event.Refused.MessageID(), "PLUGSERVER_HANDLER": "users", "PLUGSERVER_REASON": "bad",
		"PLUGSERVER_MEND": "do", "PLUGSERVER_FIELD_BYTES": all.String(),
	}
	if !maps.Equal(got, want) || byFile {
		t.Errorf("got %q (by file: %t), want %q", got, byFile, want)
	}

	log.WithField("stack", large).Error("panic\nin two lines")
	got, byFile = read(t, c)
	if got["MESSAGE"] != "panic\nin two lines" || got["PRIORITY"] != "3" || got["PLUGSERVER_FIELD_STACK"] != large || !byFile {
		t.Errorf("large record: MESSAGE %q, PRIORITY %q, stack of %d bytes, by file: %t",
			got["MESSAGE"], got["PRIORITY"], len(got["PLUGSERVER_FIELD_STACK"]), byFile)
	}

	// Close sends what waits, in order.
	for i := range 5 {
		log.Info(i)
	}
	if err := j.Close(10 * time.Second); err != nil {
		t.Error(err)
	}
	for i := range 5 {
		if got, _ := read(t, c); got["MESSAGE"] != strconv.Itoa(i) {
			t.Errorf("record %d says %q", i, got["MESSAGE"])
		}
	}
	if err := j.Fire(&logrus.Entry{Message: "too late"}); err == nil || !strings.Contains(err.Error(), "too late") {
		t.Errorf("Fire after Close: %v", err)
	}
	if stderr.Len() > 0 {
		t.Errorf("stderr has %q", &stderr)
	}
}

// TestJournalStopped: journald is there and reads nothing.
func TestJournalStopped(t *testing.T) {
	c, address := journald(t)
	fillers := fill(t, address)
	j := newJournal(address, io.Discard)
	log := logger(j)
	const sent = 3 * maxRecords
	for i := range sent {
		log.Info(i) // returns, or the test times out
	}
	// It reads again, and it all adds up.
	for range fillers {
		read(t, c)
	}
	seen, told, last := 0, 0, -1
	for seen+told < sent {
		got, _ := read(t, c)
		if n, lost := got["PLUGSERVER_FIELD_LOST"]; lost {
			n, _ := strconv.Atoi(n)
			told += n
			if want := fmt.Sprintf("%d log records were dropped: journald did not keep up", n); got["MESSAGE"] != want || got["PRIORITY"] != "4" {
				t.Errorf("loss is told as %q, priority %s", got["MESSAGE"], got["PRIORITY"])
			}
			continue
		}
		i, err := strconv.Atoi(got["MESSAGE"])
		if err != nil || i <= last {
			t.Fatalf("record %q after %d", got["MESSAGE"], last)
		}
		seen, last = seen+1, i
	}
	if seen < maxRecords || told < sent-maxRecords-1 {
		t.Errorf("%d records seen and %d lost of %d; the queue holds %d", seen, told, sent, maxRecords)
	}
	// What is logged now is not lost any more.
	log.Info("well")
	if got, _ := read(t, c); got["MESSAGE"] != "well" {
		t.Errorf("after the loss: %q", got["MESSAGE"])
	}
	if err := j.Close(10 * time.Second); err != nil {
		t.Error(err)
	}
}

// TestQueue: what is full stays so until half is free, and the loss is told
// where the lost records would have stood.
func TestQueue(t *testing.T) {
	for _, tt := range []struct {
		name       string
		size, full int // bytes of a record, records that fit
	}{
		{"many", 10, maxRecords},
		{"large", maxBytes / 8, 7}, // each is a little more than that
		{"one too large", maxBytes + 1, 1},
	} {
		j := &Journal{}
		j.filled.L = &j.mu
		message := strings.Repeat("x", tt.size)
		fire := func() {
			if err := j.Fire(&logrus.Entry{Level: logrus.InfoLevel, Message: message}); err != nil {
				t.Fatal(err)
			}
		}
		for range tt.full + 1 {
			fire()
		}
		if len(j.queue) != tt.full || j.lost != 1 {
			t.Errorf("%s: %d are queued, %d lost, want %d and 1", tt.name, len(j.queue), j.lost, tt.full)
			continue
		}
		dropped := 1
		for len(j.queue) > tt.full/2 {
			if tt.full > 1 {
				fire()
				dropped++
			}
			if r, ok := j.next(); !ok || r.message != message {
				t.Fatalf("%s: got %.20q, %t", tt.name, r.message, ok)
			}
		}
		fire()
		if len(j.queue) != tt.full/2+2 || j.lost != 0 {
			t.Errorf("%s: with half of it free, %d are queued, %d lost", tt.name, len(j.queue), j.lost)
			continue
		}
		if got, want := j.queue[tt.full/2].vars["PLUGSERVER_FIELD_LOST"], strconv.Itoa(dropped); got != want {
			t.Errorf("%s: %q are told as lost, want %q", tt.name, got, want)
		}
		for len(j.queue) > 0 {
			j.next()
		}
		if j.bytes != 0 {
			t.Errorf("%s: the empty queue holds %d bytes", tt.name, j.bytes)
		}
	}
}

func TestJournalCloseIsBounded(t *testing.T) {
	_, address := journald(t)
	fill(t, address)
	j := newJournal(address, io.Discard)
	log := logger(j)
	for range 3 {
		log.Info("x")
	}
	if err := j.Close(time.Millisecond); err == nil || !strings.Contains(err.Error(), "3 records are lost") {
		t.Errorf("Close with a journald that reads nothing: %v", err)
	}
	<-j.done // the goroutine gave up, too
}

func TestJournalGone(t *testing.T) {
	c, address := journald(t)
	c.Close()
	os.Remove(address)
	var stderr bytes.Buffer
	j := newJournal(address, &stderr)
	log := logger(j)
	log.WithField("handler", "users").Error("one\ntwo")
	log.Info("three")
	if err := j.Close(10 * time.Second); err != nil {
		t.Error(err)
	}
	first, rest, _ := strings.Cut(stderr.String(), "\n")
	if !strings.HasPrefix(first, "<4>write to the journal: ") || !strings.Contains(first, "no such file") {
		t.Errorf("stderr begins with %q", first)
	}
	if want := "<3>one\n<3>  two\n<3>  PLUGSERVER_HANDLER=\"users\"\n<6>three\n"; rest != want {
		t.Errorf("stderr goes on with\n%swant\n%s", rest, want)
	}
}

func TestRoom(t *testing.T) {
	c, address := journald(t)
	j := &Journal{socket: address, abandoned: make(chan struct{})}
	if err := j.room(); err != nil {
		t.Errorf("empty queue: %v", err)
	}
	fillers := fill(t, address)
	got := make(chan error)
	go func() { got <- j.room() }()
	select {
	case err := <-got:
		t.Fatalf("room while the queue is full: %v", err)
	case <-time.After(look + look/2): // one look has passed at least
	}
	for range fillers {
		read(t, c)
	}
	if err := <-got; err != nil {
		t.Errorf("queue was read: %v", err)
	}
	fill(t, address)
	close(j.abandoned)
	if err := j.room(); !errors.Is(err, errAbandoned) {
		t.Errorf("abandoned: %v", err)
	}
}

// onJournal is the role of a child that tells what OnJournal says.
func onJournal() { fmt.Print(OnJournal()) }

func TestOnJournal(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.NewFile(uintptr(pair[0]), "stderr")
	defer stderr.Close()
	defer unix.Close(pair[1])
	var st unix.Stat_t
	if err := unix.Fstat(pair[0], &st); err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string]bool{
		fmt.Sprintf("%d:%d", st.Dev, st.Ino):   true,
		fmt.Sprintf("%d:%d", st.Dev, st.Ino+1): false, // redirected since
		"nonsense":                             false,
		"":                                     false,
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "SD_TEST_ROLE=onjournal", noRaceSleep, "JOURNAL_STREAM="+stream)
		cmd.Stderr = stderr
		out, err := cmd.Output()
		if got := strings.TrimSuffix(string(out), "PASS\n"); err != nil || got != strconv.FormatBool(want) {
			t.Errorf("JOURNAL_STREAM=%s: %q, %v, want %t", stream, got, err, want)
		}
	}
}
