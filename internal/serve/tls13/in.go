package tls13

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/between/direct"
	"github.com/andrestc/go-plugserver/internal/serve/tlskeys"
)

// input is what was read of the transport. Its lock is Conn.reading.
type input struct {
	buf  *[maxRecord]byte // nil while nothing is in it
	r, w int              // buf[r:w] are records that were not opened
	kept []byte           // those, where buf is nil
	data []byte           // opened, and read by nobody yet; in buf, most often
	hand []byte           // of a message of the handshake whose rest has not come
	// useless counts records in a row that brought no data.
	useless byte

	step func(fd uintptr) bool // try, made once
	once bool                  // it does not wait
	err  error                 // of the last call
}

const (
	// maxUseless is crypto/tls's.
	maxUseless = 16
	// maxHand is a byte less than the one message that is taken has.
	maxHand = len(keyUpdate) - 1
	// mostKept is of how much a connection that waits keeps no whole buffer.
	mostKept = 1 << 10
)

// buffers are of those who have read a part of a record.
var buffers = sync.Pool{New: func() any { return new([maxRecord]byte) }}

// Read implements net.Conn. It returns bytes of one record at the most.
func (c *Conn) Read(p []byte) (int, error) { return c.read(p, true) }

// TryRead is Read that does not wait, whatever the deadline: where nothing has come it
// returns syscall.EAGAIN.
func (c *Conn) TryRead(p []byte) (int, error) { return c.read(p, false) }

func (c *Conn) read(p []byte, wait bool) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	if err := c.await(wait); err != nil {
		return 0, err
	}
	n := copy(p, c.data)
	if c.data = c.data[n:]; len(c.data) == 0 {
		c.data = nil
		c.tidy()
	}
	return n, nil
}

// Await returns once a Read would not wait, with the error that it would return.
func (c *Conn) Await() error {
	c.reading.Lock()
	defer c.reading.Unlock()
	return c.await(true)
}

// TryAwait is Await that does not wait: where nothing has come it returns
// syscall.EAGAIN.
func (c *Conn) TryAwait() error {
	c.reading.Lock()
	defer c.reading.Unlock()
	return c.await(false)
}

func (c *Conn) await(wait bool) error {
	for len(c.data) == 0 {
		if c.inErr != nil {
			return c.inErr
		}
		if c.buf == nil && len(c.kept) > 0 {
			c.take()
		}
		more, err := c.open()
		if err != nil {
			c.inErr = err
			return err
		}
		if !more {
			continue
		}
		if err := c.fill(wait); err != nil {
			return err
		}
	}
	return nil
}

// fill reads once.
func (c *Conn) fill(wait bool) error {
	c.once, c.err = !wait, nil
	var err error
	if wait {
		err = c.raw.Read(c.step)
	} else {
		err = c.raw.Control(func(fd uintptr) { c.try(fd) })
	}
	if err == nil {
		err = c.err
	}
	switch {
	case err == nil, err == syscall.EAGAIN:
		return err
	case err == io.EOF:
		if len(c.unopened()) > 0 {
			err = io.ErrUnexpectedEOF
		}
	default:
		err = direct.Error(c.Transport, "read", err)
		if e, ok := err.(net.Error); ok && e.Timeout() {
			return err
		}
	}
	c.inErr = err
	return err
}

// try reads once; false is to wait for the client. Who waits has no buffer.
func (c *Conn) try(fd uintptr) bool {
	c.take()
	for {
		n, err := direct.ReadNow(fd, c.buf[c.w:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == nil && n > 0:
			c.w += n
			return true
		case err == nil:
			err = io.EOF
		}
		c.tidy()
		if err == syscall.EAGAIN && !c.once {
			return false
		}
		c.err = err
		return true
	}
}

// take has a buffer with room for a whole record. No data is in it.
func (c *Conn) take() {
	switch {
	case c.buf == nil:
		c.buf, c.r = buffers.Get().(*[maxRecord]byte), 0
		c.w = copy(c.buf[:], c.kept)
		c.kept = c.kept[:0]
	case c.r > 0:
		c.w = copy(c.buf[:], c.buf[c.r:c.w])
		c.r = 0
	}
}

// tidy gives the buffer back where little or nothing is in it. No data is.
func (c *Conn) tidy() {
	if n := c.w - c.r; c.buf != nil && n <= mostKept {
		if n > 0 {
			c.kept = append(c.kept[:0], c.buf[c.r:c.w]...)
		}
		buffers.Put(c.buf)
		c.buf, c.r, c.w = nil, 0, 0
	}
}

// unopened are the records that were read and not opened.
func (c *Conn) unopened() []byte {
	if c.buf == nil {
		return c.kept
	}
	return c.buf[c.r:c.w]
}

// open opens the record at the front, and does what it says. It reports more where that
// has not come as a whole.
func (c *Conn) open() (more bool, err error) {
	if c.buf == nil || c.w-c.r < tlskeys.HeadSize {
		return true, nil
	}
	b := c.buf[c.r:c.w]
	n := int(b[3])<<8 | int(b[4])
	if b[1] != 3 || b[2] != 3 {
		return false, c.failHead(alertProtocolVersion, b, fmt.Sprintf("received record with version %x when expecting version 303", uint16(b[1])<<8|uint16(b[2])))
	}
	if n > maxCipher {
		return false, c.failHead(alertRecordOverflow, b, fmt.Sprintf("oversized record received with length %d", n))
	}
	if len(b) < tlskeys.HeadSize+n {
		return true, nil
	}
	b = b[:tlskeys.HeadSize+n]
	c.r += len(b)
	if b[0] == typeCCS { // never encrypted; ignored (RFC 8446, appendix D.4)
		if err := c.alone(); err != nil {
			return false, err
		}
		if n != 1 || b[tlskeys.HeadSize] != 1 {
			return false, c.fail(alertDecodeError)
		}
		return false, c.uselessRecord("ignored")
	}
	typ, data, err := c.unseal(b)
	if err != nil {
		return false, err
	}
	return false, c.does(typ, data)
}

// unseal returns what a record is of, and what is in it.
func (c *Conn) unseal(b []byte) (typ byte, data []byte, err error) {
	if err := c.in.Ready(c.suite); err != nil {
		return 0, nil, err
	}
	data, err = c.in.Open(b[tlskeys.HeadSize:tlskeys.HeadSize], b)
	switch {
	case err != nil:
		return 0, nil, c.fail(alertBadRecordMAC)
	case b[0] != typeData:
		return 0, nil, c.fail(alertUnexpectedMessage)
	case len(data) > maxPlaintext+1:
		return 0, nil, c.fail(alertRecordOverflow)
	}
	if len(data) == 0 {
		return typeData, nil, nil
	}
	for i := len(data) - 1; i >= 0; i-- {
		if data[i] != 0 {
			typ, data = data[i], data[:i]
			if len(data) > maxPlaintext {
				return 0, nil, c.fail(alertRecordOverflow)
			}
			return typ, data, nil
		}
	}
	return 0, nil, c.fail(alertUnexpectedMessage)
}

// does does what a record says.
func (c *Conn) does(typ byte, data []byte) error {
	if typ == typeData && len(data) > 0 {
		c.useless = 0
	}
	if typ != typeHandshake {
		if err := c.alone(); err != nil {
			return err
		}
	}
	switch typ {
	case typeData:
		if len(data) == 0 {
			return c.uselessRecord("ignored")
		}
		c.data = data
		return nil
	case typeAlert:
		if len(data) != 2 {
			return c.fail(alertUnexpectedMessage)
		}
		switch a := tls.AlertError(data[1]); a {
		case 0: // close_notify
			return io.EOF
		case alertUserCanceled:
			return c.uselessRecord("ignored")
		default:
			return &net.OpError{Op: "remote error", Err: a}
		}
	case typeHandshake:
		if len(data) == 0 {
			return c.fail(alertUnexpectedMessage)
		}
		return c.messages(data)
	}
	return c.fail(alertUnexpectedMessage)
}

// alone reports an error where a message of the handshake is to go on.
func (c *Conn) alone() error {
	if len(c.hand) > 0 {
		return c.fail(alertUnexpectedMessage)
	}
	return nil
}

func (c *Conn) uselessRecord(which string) error {
	if c.useless++; c.useless > maxUseless {
		c.fail(alertUnexpectedMessage)
		return errors.New("tls: too many " + which + " records")
	}
	return nil
}

// keyUpdate is the one message that either side may send (RFC 8446, section 4.6.3). Its
// last byte is 1 where the other side's keys are to be new, too.
var keyUpdate = [5]byte{24, 0, 0, 1, 0}

// messages takes a part of the messages of a handshake that is over.
func (c *Conn) messages(data []byte) error {
	data = append(c.hand, data...)
	c.hand = nil
	switch n := len(data); {
	case data[0] != keyUpdate[0]:
		return c.fail(alertUnexpectedMessage)
	case n >= 4 && [4]byte(data) != [4]byte(keyUpdate[:]):
		return c.fail(alertDecodeError)
	case n < len(keyUpdate):
		c.hand = append([]byte(nil), data...)
		return nil
	case data[4] > 1:
		return c.fail(alertDecodeError)
	case n > len(keyUpdate): // what follows is to be by the new keys
		return c.fail(alertUnexpectedMessage)
	}
	if err := c.uselessRecord("non-advancing"); err != nil {
		return err
	}
	if data[4] == 1 {
		c.updateDue.Store(true)
	}
	return c.in.Update(c.suite)
}

// fail ends the connection, and tells the client why. It returns the error.
func (c *Conn) fail(a tls.AlertError) error {
	c.alertDue.Store(int32(a) + 1)
	if c.writing.TryLock() { // else who writes sees to it
		c.doneWriting()
	}
	return &net.OpError{Op: "local error", Err: a}
}

// failHead is fail for what is seen of a record's head.
func (c *Conn) failHead(a tls.AlertError, b []byte, text string) error {
	c.fail(a)
	return tls.RecordHeaderError{Msg: text, RecordHeader: [tlskeys.HeadSize]byte(b)}
}
