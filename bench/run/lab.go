// Package run starts the peers and measures them, in interleaved rounds.
package run

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/bench/load"
	"github.com/andrestc/go-plugserver/bench/tree"
)

// patience bounds the wait for what has to happen.
const patience = 30 * time.Second

// Lab is where the measuring is done.
type Lab struct {
	Root string // of the repository
	Bin  string // the programs and plugins of this module
	Base string // a folder with another build of plugserver; "" is none
	Dir  string // what the servers need, removed in the end
	Port int    // first of those to listen on; below those of clients

	mu sync.Mutex // guards Port
}

// Server is a running peer.
type Server struct {
	Addr     string
	cmd      *exec.Cmd
	exited   chan struct{} // closed once it is reaped
	log      *os.File
	upstream *Server // behind it, where it is a proxy
	behind   bool    // it is one's upstream
}

// PIDs are its processes, those behind it too.
func (s *Server) PIDs() []int {
	pids := tree.Of(s.cmd.Process.Pid)
	if s.upstream != nil {
		pids = append(pids, s.upstream.PIDs()...)
	}
	return pids
}

// Stop ends it.
func (s *Server) Stop() {
	select {
	case <-s.exited: // its number may be another's by now
	default:
		rest := tree.Hold(s.cmd.Process.Pid)
		s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.exited:
		case <-time.After(10 * time.Second):
		}
		rest.Kill() // not every peer ends its children
		<-s.exited
	}
	s.log.Close()
	if s.upstream != nil {
		s.upstream.Stop()
	}
}

// alive is an error once a process of it has ended.
func (s *Server) alive() error {
	select {
	case <-s.exited:
		return fmt.Errorf("it has ended: %v%s", s.cmd.ProcessState, s.said())
	default:
	}
	if s.upstream != nil {
		return s.upstream.alive()
	}
	return nil
}

// address returns one that is free.
func (l *Lab) address() (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", l.Port)
		l.Port++
		if ln, err := net.Listen("tcp", addr); err == nil {
			return addr, ln.Close()
		}
	}
	return "", errors.New("100 ports are taken")
}

// folder makes a new one.
func (l *Lab) folder(name string) (string, error) { return os.MkdirTemp(l.Dir, name+"-") }

// start starts a program that listens at addr. What it writes goes to a file.
func (l *Lab) start(addr, program string, args ...string) (*Server, error) {
	log, err := os.CreateTemp(l.Dir, filepath.Base(program)+"-*.log")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	// A session of its own, as plugserver's cells have: where the kernel shares
	// out the processors by session (autogroup, sched(7)), no peer is to have
	// the load generator's share.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		log.Close()
		return nil, err
	}
	s := &Server{Addr: addr, cmd: cmd, log: log, exited: make(chan struct{})}
	go func() {
		cmd.Wait()
		close(s.exited)
	}()
	return s, nil
}

// ready returns once every handler of the work answers.
func (s *Server) ready(w Work) error {
	to := &http.Transport{DisableKeepAlives: true}
	scheme := "http"
	if !s.behind && w.Spec.TLS {
		scheme, to.TLSClientConfig = "https", &tls.Config{InsecureSkipVerify: true, ServerName: certName}
	}
	if !s.behind && w.clear2() {
		to.Protocols = new(http.Protocols)
		to.Protocols.SetUnencryptedHTTP2(true)
	}
	client := &http.Client{Transport: to, Timeout: time.Second}
	for _, h := range w.Handlers {
		for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			answer, err := client.Get(scheme + "://" + s.Addr + "/" + h)
			if err == nil {
				answer.Body.Close()
				err = errors.New(answer.Status)
				if c := answer.StatusCode; c != 404 && c != 502 && c != 503 {
					break
				}
			}
			if err := s.alive(); err != nil {
				return err
			}
			if time.Now().After(end) {
				return fmt.Errorf("/%s is not served within %v: %w%s", h, patience, err, s.said())
			}
		}
	}
	return s.alive()
}

// said is the end of what it has written.
func (s *Server) said() string {
	text, _ := os.ReadFile(s.log.Name())
	return "\n" + string(text[max(0, len(text)-4096):])
}

// Load runs the load generator against the server.
func (l *Lab) Load(ctx context.Context, s *Server, spec load.Spec) (r load.Result, err error) {
	spec.Addr, spec.PIDs = s.Addr, s.PIDs()
	in, err := json.Marshal(spec)
	if err != nil {
		return r, err
	}
	limit := spec.Time + 4*patience
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the load takes longer than %v", limit))
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(l.Bin, "load"))
	cmd.Stdin = bytes.NewReader(in)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return r, fmt.Errorf("%w: %s%s", err, bytes.TrimSpace(problem.Bytes()), s.said())
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return r, err
	}
	return r, s.alive()
}

// copyTo copies a file.
func copyTo(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
