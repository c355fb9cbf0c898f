package fleet

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/bench/tree"
)

// store is Debian's registry, in a process of its own.
type store struct {
	dir, addr string
	cmd       *exec.Cmd
}

// start has it serve what it has.
func (s *store) start() error {
	config := filepath.Join(s.dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q, secret: x}\n", s.dir, s.addr)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	s.cmd = exec.Command("docker-registry", "serve", config)
	said, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("%w; apt-get install docker-registry", err)
	}
	ready := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(said); lines.Scan(); {
			if _, at, ok := strings.Cut(lines.Text(), "listening on "); ok {
				addr, _, _ := strings.Cut(at, "\"")
				ready <- addr
			}
		}
	}()
	select {
	case s.addr = <-ready:
		return nil
	case <-time.After(20 * time.Second):
		s.stop()
		return errors.New("docker-registry does not listen")
	}
}

// stop kills it, where it runs.
func (s *store) stop() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}

// cpu is what it has used, 0 where it does not run.
func (s *store) cpu() (used time.Duration) {
	if s.cmd != nil {
		used, _ = tree.CPU([]int{s.cmd.Process.Pid})
	}
	return used
}

// Scales are how much faster time goes: where many ask at once it is slower, so that this machine keeps up.
type Scales struct{ Steady, Busy int }

// Row is what came of a scene.
type Row struct {
	Scene          string
	Lasts          time.Duration
	Kinds          map[string]int // of requests
	Bytes          int64
	Second, Minute int           // requests, at most
	AtOnce         int64         // requests, at most
	CPU            time.Duration // of the registry
	Tries, Failed  int64         // of boxes to sync
	Problem        string        // of the last that failed
	Behind         int64         // boxes that are not at what the tag names, at its end
}

// Play plays all scenes.
func Play(s Spec, scales Scales) (rows []Row, err error) {
	reg := &store{dir: filepath.Join(s.Dir, "registry"), addr: "127.0.0.1:0"}
	if err := os.MkdirAll(reg.dir, 0o700); err != nil {
		return nil, err
	}
	if err := reg.start(); err != nil {
		return nil, err
	}
	defer reg.stop()
	p := &play{Spec: s, boxes: s.boxes(), stock: reg.addr + "/shop:prod"}
	p.stand(time.Unix(1e9, 0))
	m := newMeter(reg.addr, func() time.Time { return p.clock.Load().now() })
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	// A box is a process of its own, whose connections end with it.
	server := &http.Server{Handler: m, IdleTimeout: 100 * time.Millisecond}
	go server.Serve(front)
	defer server.Close()
	p.ref = front.Addr().String() + "/shop:prod"

	scene := func(name string, scale int, long time.Duration) func() error {
		return func() error {
			m.reset()
			tries, failed, before := p.tries.Load(), p.failed.Load(), reg.cpu()
			p.run(scale, long)
			r := m.row()
			r.Scene, r.Lasts, r.CPU = name, long, reg.cpu()-before
			if r.Problem, _ = p.problem.Load().(string); p.failed.Load() == failed {
				r.Problem = ""
			}
			r.Tries, r.Failed, r.Behind = p.tries.Load()-tries, p.failed.Load()-failed, p.behind.Load()
			rows = append(rows, r)
			return nil
		}
	}
	push := func(changed int, version string) func() error {
		return func() error { return p.release(changed, version) }
	}
	for _, step := range []func() error{
		push(s.Handlers, "v0"),
		scene("the first of all: every box asks for everything", scales.Busy, s.Interval),
		scene("an hour in which nothing changes", scales.Steady, time.Hour),
		push(1, "v1"),
		scene("one handler is released to all", scales.Busy, s.Interval+time.Minute),
		func() error { reg.stop(); return nil },
		scene("an hour in which the registry is down", scales.Steady, time.Hour),
		reg.start,
		push(1, "v2"),
		scene("it is back, with a release", scales.Busy, s.Interval+time.Minute),
		func() error { p.stand(p.clock.Load().at.Add(time.Hour)); return nil }, // no box is on
		push(1, "v3"),
		scene("all boxes boot at once after an hour, to a release", scales.Busy, s.Interval+time.Minute),
	} {
		if err := step(); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// Head is that of a table of rows, as Markdown.
const Head = "| scene | lasts | tries, failed | requests | bytes | requests a minute, at most | a second, at most | at once | the registry's processor time |\n" +
	"| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |\n"

// String is its line.
func (r Row) String() string {
	var kinds []string
	for kind, n := range r.Kinds {
		kinds = append(kinds, fmt.Sprintf("%d %s", n, kind))
	}
	slices.Sort(kinds)
	return fmt.Sprintf("| %s | %d min | %d, %d | %s | %.1f MB | %d | %d | %d | %.1f s |\n", r.Scene, r.Lasts/time.Minute, r.Tries, r.Failed, strings.Join(kinds, ", "),
		float64(r.Bytes)/1e6, r.Minute, r.Second, r.AtOnce, r.CPU.Seconds())
}
