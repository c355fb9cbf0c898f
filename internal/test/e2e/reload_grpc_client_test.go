package e2e

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// message is one of gRPC's: not compressed, a StringValue, its only field the first.
func message(text string) string {
	var b []byte
	if text != "" {
		b = append(binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(text))), text...)
	}
	return "\x00" + string(binary.BigEndian.AppendUint32(nil, uint32(len(b)))) + string(b)
}

// call begins a call of gRPC.
func (c *h2Wire) call(name string) (*h2WireStream, error) {
	return c.open(false, ":method", "POST", ":scheme", "https", ":authority", "e2e.example", ":path", "/greet.Greeter/"+name,
		"content-type", "application/grpc", "te", "trailers")
}

// said reads a message, and returns its text.
func (s *h2WireStream) said() (string, error) {
	head, err := s.take(5)
	if err != nil {
		return "", err
	}
	b, err := s.take(int(binary.BigEndian.Uint32([]byte(head[1:]))))
	if err != nil || b == "" {
		return "", err
	}
	n, used := binary.Uvarint([]byte(b[1:]))
	if b[0] != 1<<3|2 || used <= 0 || int(n) != len(b)-1-used {
		return "", fmt.Errorf("stream %d: no message: %q", s.id, b)
	}
	return b[1+used:], nil
}

// succeeded reads the end of a call.
func (s *h2WireStream) succeeded() error {
	defer s.done()
	rest, err := s.take(-1)
	if err == nil && (rest != "" || s.trailers["grpc-status"] != "0" || !strings.HasPrefix(s.fields["content-type"], "application/grpc")) {
		err = fmt.Errorf("stream %d: the call ends by %q, %v, %v", s.id, rest, s.fields, s.trailers)
	}
	return err
}

// greet makes a call of gRPC of each kind: a stream stays with the version that it
// began with.
func greet(c *h2Wire, rnd *rand.Rand, ta *tally) error {
	chat, err := c.call("Chat")
	if err != nil {
		return err
	}
	ta.requests.Add(4)
	greeting := ""
	for range 3 + rnd.IntN(10) {
		name := text(rnd, rnd.IntN(3000))
		if err := chat.send(message(name), false); err != nil {
			return err
		}
		got, err := chat.said()
		if greeting == "" {
			greeting, _, _ = strings.Cut(got, " ")
		}
		if err != nil || got != greeting+" "+name || greeting != "Hello" && greeting != "Howdy" {
			return fmt.Errorf("%s: got %.100q, want %.100q: %v", greeting, got, name, err)
		}
		time.Sleep(time.Duration(rnd.IntN(200)) * time.Millisecond)
	}
	if err := chat.send("", true); err != nil {
		return err
	}
	for _, tt := range []struct {
		call  string
		names []string
		want  []string // behind the greeting
	}{
		{"One", []string{"Ada"}, []string{" Ada"}},
		{"Many", []string{"Ada"}, []string{" Ada", "Hallo Ada", "Hej Ada"}},
		{"Collect", []string{"Ada", "Grace", "Joan"}, []string{" Ada Grace Joan"}},
	} {
		s, err := c.call(tt.call)
		if err != nil {
			return err
		}
		for i, name := range tt.names {
			if err := s.send(message(name), i == len(tt.names)-1); err != nil {
				return err
			}
		}
		for i, want := range tt.want {
			got, err := s.said()
			if i == 0 {
				got = strings.TrimPrefix(strings.TrimPrefix(got, "Hello"), "Howdy")
			}
			if err != nil || got != want {
				return fmt.Errorf("%s: got %q, want %q: %v", tt.call, got, want, err)
			}
		}
		if err := s.succeeded(); err != nil {
			return err
		}
	}
	return chat.succeeded()
}
