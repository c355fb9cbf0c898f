// Package run starts the peers and measures them, in interleaved rounds.
package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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
}

// Server is a running peer.
type Server struct {
	Addr string
	cmds []*exec.Cmd // in the order of their starts
	log  *os.File
}

// PIDs are its processes.
func (s *Server) PIDs() (pids []int) {
	for _, cmd := range s.cmds {
		pids = append(pids, tree.Of(cmd.Process.Pid)...)
	}
	return pids
}

// Stop ends it.
func (s *Server) Stop() {
	for i := len(s.cmds) - 1; i >= 0; i-- {
		cmd := s.cmds[i]
		cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		kill.Stop()
	}
	s.log.Close()
}

// address returns one that is free.
func (l *Lab) address() (string, error) {
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
	s := &Server{Addr: addr, log: log}
	if err := s.add(program, args...); err != nil {
		log.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) add(program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmds = append(s.cmds, cmd)
	return nil
}

// ready returns once every handler of the work answers.
func (s *Server) ready(w Work) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	for _, h := range w.Handlers {
		for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			answer, err := client.Get("http://" + s.Addr + "/" + h)
			if err == nil {
				answer.Body.Close()
				err = errors.New(answer.Status)
				if c := answer.StatusCode; c != 404 && c != 502 && c != 503 {
					break
				}
			}
			if time.Now().After(end) {
				return fmt.Errorf("/%s is not served within %v: %w%s", h, patience, err, s.said())
			}
		}
	}
	return nil
}

// said is the end of what it has written.
func (s *Server) said() string {
	text, _ := os.ReadFile(s.log.Name())
	return "\n" + string(text[max(0, len(text)-4096):])
}

// Load runs the load generator against the server.
func (l *Lab) Load(ctx context.Context, s *Server, spec load.Spec) (r load.Result, err error) {
	spec.Addr, spec.PIDs, spec.Warm = s.Addr, s.PIDs(), warm
	in, err := json.Marshal(spec)
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, spec.Time+4*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(l.Bin, "load"))
	cmd.Stdin = bytes.NewReader(in)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return r, fmt.Errorf("%w: %s%s", err, bytes.TrimSpace(problem.Bytes()), s.said())
	}
	err = json.Unmarshal(out.Bytes(), &r)
	return r, err
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
