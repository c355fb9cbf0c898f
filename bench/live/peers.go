package live

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/bench/stats"
	"github.com/andrestc/go-plugserver/bench/tree"
)

// peer is a server whose answers are changed by its configuration, which it loads again
// while it serves. It loads no code: that is the least that a change can cost there.
type peer struct {
	name   string
	config string // the file's name
	run    []string
	reload []string
	write  func(port int, answers map[string]string) string
}

var peers = []peer{
	{
		"nginx", "nginx.conf", []string{"nginx", "-p", ".", "-c", "nginx.conf"}, []string{"nginx", "-p", ".", "-c", "nginx.conf", "-s", "reload"},
		func(port int, answers map[string]string) string {
			var b strings.Builder
			fmt.Fprintf(&b, "daemon off; pid nginx.pid; error_log error.log; worker_processes 2; events {}\nhttp { access_log off; client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;\nserver { listen 127.0.0.1:%d;\n", port)
			for path, body := range answers {
				fmt.Fprintf(&b, "location = /%s { return 200 %q; }\n", path, body)
			}
			return b.String() + "}}\n"
		},
	},
	{
		"caddy", "Caddyfile", []string{"caddy", "run", "--config", "Caddyfile"}, []string{"caddy", "reload", "--config", "Caddyfile", "--address", "127.0.0.1:%d"},
		func(port int, answers map[string]string) string {
			var b strings.Builder
			fmt.Fprintf(&b, "{\nadmin 127.0.0.1:%d\nauto_https off\n}\nhttp://127.0.0.1:%d {\n", port+1, port)
			for path, body := range answers {
				fmt.Fprintf(&b, "respond /%s %q 200\n", path, body)
			}
			return b.String() + "respond 404\n}\n"
		},
	},
}

// RunPeers measures what a change of one answer among so many costs there, and prints.
func RunPeers(s Spec) error {
	for i, p := range peers {
		took, cpu, err := p.changes(filepath.Join(s.Dir, p.name), s.Port+10+2*i, s.Handlers, s.Changes)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		fmt.Fprintf(s.Out, "  %-40s  %s reload: %s, CPU %v ms/change, answers made of its configuration\n", "replaced, ms", p.name, figure(took), stats.Of(cpu))
		s.Page.peer(p.name, took, cpu)
	}
	return nil
}

func (p peer) changes(dir string, port, handlers, changes int) (took, cpu []float64, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "t"), 0o755); err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	answers := map[string]string{"change": "v0"}
	for n := range handlers {
		answers[nameOf(n)] = "v0"
	}
	write := func() error {
		return os.WriteFile(filepath.Join(dir, p.config), []byte(p.write(port, answers)), 0o644)
	}
	if err := write(); err != nil {
		return nil, nil, err
	}
	cmd := p.command(dir, port, p.run)
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	defer func() {
		tree.Hold(cmd.Process.Pid).Kill()
		cmd.Wait()
	}()
	d := &Daemon{port: port, fresh: true} // an old worker keeps its connections
	if _, err := d.until("/change", 200, "v0", time.Now()); err != nil {
		return nil, nil, err
	}
	for n := range changes {
		answers["change"] = fmt.Sprint("v", n+1)
		if err := write(); err != nil {
			return nil, nil, err
		}
		before, _ := tree.CPU(tree.Of(cmd.Process.Pid))
		began := time.Now()
		reload := p.command(dir, port, p.reload)
		if out, err := reload.CombinedOutput(); err != nil {
			return nil, nil, errors.Join(err, errors.New(string(out)))
		}
		t, err := d.until("/change", 200, answers["change"], began)
		if err != nil {
			return nil, nil, err
		}
		took = append(took, milliseconds(t))
		own := reload.ProcessState.UserTime() + reload.ProcessState.SystemTime()
		if after, err := tree.CPU(tree.Of(cmd.Process.Pid)); err == nil {
			cpu = append(cpu, milliseconds(max(after-before, 0)+own)) // what ended workers used since is lost
		}
		time.Sleep(50 * time.Millisecond)
	}
	return took, cpu, nil
}

// command runs a peer's program in its folder. An argument may need the port of its
// control.
func (p peer) command(dir string, port int, args []string) *exec.Cmd {
	last := args[len(args)-1]
	if strings.Contains(last, "%d") {
		args = append(append([]string{}, args[:len(args)-1]...), fmt.Sprintf(last, port+1))
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	return cmd
}
