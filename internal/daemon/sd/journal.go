package sd

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

const (
	journalSocket = "/run/systemd/journal/socket" // where go-systemd sends
	maxRecords    = 4096                          // waiting for journald
	maxBytes      = 8 << 20                       // likewise
	look          = 200 * time.Millisecond        // between two looks at abandoned
)

// OnJournal reports whether stderr goes to the journal: whether it is the
// stream that JOURNAL_STREAM names (systemd.exec(5)).
func OnJournal() bool {
	ok, err := journal.StderrIsJournalStream()
	return ok && err == nil
}

// Journal is a logrus.Hook that writes native journal records: what was logged
// as MESSAGE (with the fields reason, error and mend said in it too), PRIORITY,
// MESSAGE_ID from the field event, and each field as PLUGSERVER_*. Give the
// logger io.Discard as its output beside it.
//
// Logging never waits for journald: one goroutine sends, from a bounded queue.
// What finds the queue full is dropped until half of it is free, and a record
// says how many were. What journald does not take is written to stderr as text.
type Journal struct {
	// The goroutine's own.
	socket  string
	stderr  io.Writer
	failing bool // and stderr was told why

	abandoned chan struct{} // closed when Close has waited in vain
	done      chan struct{} // closed when the goroutine has ended

	mu     sync.Mutex // over all below
	filled sync.Cond  // the queue is not empty, or closed
	queue  []record
	bytes  int // of the queue
	lost   int // not told in the queue yet
	closed bool
}

// NewJournalHook starts the goroutine; Close ends it.
func NewJournalHook() *Journal { return newJournal(journalSocket, os.Stderr) }

func newJournal(socket string, stderr io.Writer) *Journal {
	j := &Journal{socket: socket, stderr: stderr, abandoned: make(chan struct{}), done: make(chan struct{})}
	j.filled.L = &j.mu
	go j.run()
	return j
}

// Levels is all of them: the logger's own level decides.
func (j *Journal) Levels() []logrus.Level { return logrus.AllLevels }

// Fire queues the record and returns at once. After Close it is an error,
// which logrus prints to stderr.
func (j *Journal) Fire(e *logrus.Entry) error {
	r := newRecord(e)
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return fmt.Errorf("journal is closed: %s", r.message)
	case len(j.queue) >= maxRecords, len(j.queue) > 0 && j.bytes+r.size() > maxBytes,
		j.lost > 0 && (len(j.queue) > maxRecords/2 || j.bytes > maxBytes/2):
		j.lost++
	default:
		if j.lost > 0 { // where they would have stood
			j.push(lossRecord(j.lost))
			j.lost = 0
		}
		j.push(r)
		j.filled.Signal()
	}
	return nil
}

func (j *Journal) push(r record) {
	j.queue = append(j.queue, r)
	j.bytes += r.size()
}

// Close sends what is queued and ends the goroutine, within limit. The error
// says how many records were lost. Call it once.
func (j *Journal) Close(limit time.Duration) error {
	j.mu.Lock()
	j.closed = true
	j.filled.Signal()
	j.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-j.done:
		return nil
	case <-timer.C:
	}
	close(j.abandoned)
	j.mu.Lock()
	defer j.mu.Unlock()
	// One more is in the goroutine's hands.
	return fmt.Errorf("flush the journal: not done within %v, %d records are lost", limit, len(j.queue)+j.lost+1)
}

func (j *Journal) run() {
	defer close(j.done)
	for {
		r, ok := j.next()
		if !ok || !j.deliver(r) {
			return
		}
	}
}

// next waits for a record; false means that the queue is closed and empty.
func (j *Journal) next() (record, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.queue) == 0 && j.lost == 0 && !j.closed {
		j.filled.Wait()
	}
	switch {
	case len(j.queue) > 0:
		r := j.queue[0]
		j.queue[0] = record{}
		j.queue = j.queue[1:]
		j.bytes -= r.size()
		return r, true
	case j.lost > 0:
		r := lossRecord(j.lost)
		j.lost = 0
		return r, true
	}
	return record{}, false
}

// deliver sends r, or writes it to stderr; false means that Close gave up.
func (j *Journal) deliver(r record) bool {
	err := j.room()
	if errors.Is(err, errAbandoned) {
		return false
	}
	if err == nil {
		err = journal.Send(r.message, r.priority, r.vars)
	}
	if err == nil {
		j.failing = false
		return true
	}
	if !j.failing {
		j.failing = true
		fmt.Fprintf(j.stderr, "<%d>write to the journal: %v; records go to stderr meanwhile\n", journal.PriWarning, err)
	}
	r.writeText(j.stderr)
	return true
}

var errAbandoned = errors.New("journal is abandoned")

// room waits until journald's queue has room. journal.Send by itself would
// retry on a full queue without a pause, and keep a core busy: its socket is
// not connected, so that poll(2) never sees the peer's queue. A connected one
// does. Only when others fill the queue between room and Send does Send spin,
// until journald reads on.
func (j *Journal) room() error {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: j.socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer c.Close()
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	for {
		var n int
		var pollErr error
		if err := rc.Control(func(fd uintptr) {
			n, pollErr = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(look.Milliseconds()))
		}); err != nil {
			return err
		}
		switch {
		case n > 0:
			return nil
		case pollErr != nil && !errors.Is(pollErr, unix.EINTR):
			return pollErr
		}
		select {
		case <-j.abandoned:
			return errAbandoned
		default:
		}
	}
}

func lossRecord(n int) record {
	return record{
		message:  fmt.Sprintf("%d log records were dropped: journald did not keep up", n),
		priority: journal.PriWarning,
		vars:     map[string]string{"SYSLOG_IDENTIFIER": identifier, field("lost"): fmt.Sprint(n)},
	}
}
