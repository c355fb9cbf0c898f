package torture

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// tracer makes one system call of a process fail, by ptrace(2): the N-th of
// those that can fail for want of something or because a disk does, counted
// over all threads. The process's children are not traced. It is a process of
// its own: the stops of a child that one traces oneself would be taken for its
// end by whoever waits for that.
type tracer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// tracerVar, in the environment, makes the test binary the tracer of a process.
const tracerVar = "TORTURE_TRACER"

// attach begins to trace all threads of a process. The caller detaches.
func attach(pid int) (*tracer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	t := &tracer{cmd: exec.Command(self)}
	t.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", tracerVar, pid))
	t.cmd.Stderr = os.Stderr
	if t.in, err = t.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	t.out = bufio.NewReader(out)
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	if answer, err := t.out.ReadString('\n'); answer != "tracing\n" {
		t.detach()
		return nil, fmt.Errorf("no tracer: %s %w", answer, err)
	}
	return t, nil
}

// detach lets the process go.
func (t *tracer) detach() error {
	t.in.Close()
	return t.cmd.Wait()
}

// fail arms the tracer: the n-th call from now on fails, with one of the errors
// that fit, by the seed.
func (t *tracer) fail(n int, seed uint64) error {
	_, _, err := t.tell(fmt.Sprintf("%d %d\n", n, seed))
	return err
}

// disarm returns which call has failed, "" if there were not so many, and how
// many there were.
func (t *tracer) disarm() (hit string, calls int, err error) { return t.tell("0 0\n") }

func (t *tracer) tell(line string) (hit string, calls int, err error) {
	if _, err := t.in.Write([]byte(line)); err != nil {
		return "", 0, fmt.Errorf("tell the tracer: %w", err)
	}
	answer, err := t.out.ReadString('\n')
	if err != nil {
		return "", 0, fmt.Errorf("ask the tracer: %w", err)
	}
	count, hit, _ := strings.Cut(strings.TrimSpace(answer), " ")
	calls, err = strconv.Atoi(count)
	return hit, calls, err
}
