package parts

import (
	"errors"
	"io"
	"os"
)

const (
	reasonDeadline   = "\x00deadline"
	reasonUnexpected = "\x00unexpected"
)

// ReasonOf encodes an error of a body for the handler.
func ReasonOf(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return reasonDeadline
	case errors.Is(err, io.ErrUnexpectedEOF):
		return reasonUnexpected
	}
	return err.Error()
}

// Reason is the error that the handler gets.
func Reason(text string) error {
	switch text {
	case reasonDeadline:
		return os.ErrDeadlineExceeded
	case reasonUnexpected:
		return io.ErrUnexpectedEOF
	}
	return errors.New(text)
}
