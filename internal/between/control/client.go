package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/andrestc/go-plugserver/internal/between/api"
)

// DefaultPath is where the packaged daemon listens.
const DefaultPath = "/run/plugserver/control.sock"

const (
	maxAnswer    = 64 << 20         // bytes the client reads at most
	quickTimeout = 10 * time.Second // for answers that wait for nothing
)

// Client asks the daemon behind one socket. Its errors are whole sentences for
// an operator and carry the fix. It keeps no connection between calls.
type Client struct {
	path  string
	quick time.Duration
	http  http.Client
}

// NewClient returns a client of the daemon whose socket is at path.
func NewClient(path string) *Client {
	c := &Client{path: path, quick: quickTimeout}
	c.http.Transport = &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}
	return c
}

// Status returns the daemon's view of itself and its handlers.
func (c *Client) Status(ctx context.Context) (st api.Status, err error) {
	err = c.do(ctx, c.quick, http.MethodGet, "/v1/status", &st)
	return st, err
}

// Reload has the daemon look at its directory and waits until what it found
// is in force, however long that takes; ctx is the only limit.
func (c *Client) Reload(ctx context.Context) (re api.Reload, err error) {
	err = c.do(ctx, 0, http.MethodPost, "/v1/reload", &re)
	return re, err
}

// Release has the daemon try the newest file of a handler again, and waits as
// Reload does.
func (c *Client) Release(ctx context.Context, name string) (re api.Reload, err error) {
	err = c.do(ctx, 0, http.MethodPost, "/v1/release?"+url.Values{"name": {name}}.Encode(), &re)
	return re, err
}

// Settle has the daemon look at its directory, and waits until the newest file
// of the handler was tried and what came of it is in force, however long that
// takes; ctx is the only limit.
func (c *Client) Settle(ctx context.Context, name string) (o api.Outcome, err error) {
	err = c.do(ctx, 0, http.MethodPost, "/v1/settle?"+url.Values{"name": {name}}.Encode(), &o)
	return o, err
}

// History returns the versions of a handler that can be served.
func (c *Client) History(ctx context.Context, name string) (h api.History, err error) {
	err = c.do(ctx, c.quick, http.MethodGet, "/v1/history?"+url.Values{"name": {name}}.Encode(), &h)
	return h, err
}

// Rollback has the daemon serve an earlier version of a handler, by default
// ("") the one before the current, and waits as Settle does.
func (c *Client) Rollback(ctx context.Context, name, version string) (o api.Outcome, err error) {
	err = c.do(ctx, 0, http.MethodPost, "/v1/rollback?"+url.Values{"name": {name}, "version": {version}}.Encode(), &o)
	return o, err
}

// Canary has the daemon do something about a handler's canary, and waits until it is in force.
func (c *Client) Canary(ctx context.Context, name, do, terms string) (o api.Outcome, err error) {
	err = c.do(ctx, 0, http.MethodPost, "/v1/canary?"+url.Values{"name": {name}, "do": {do}, "terms": {terms}}.Encode(), &o)
	return o, err
}

// Restart has the daemon give a handler a new process, and waits until it serves.
func (c *Client) Restart(ctx context.Context, name string) (o api.Outcome, err error) {
	err = c.do(ctx, 0, http.MethodPost, "/v1/restart?"+url.Values{"name": {name}}.Encode(), &o)
	return o, err
}

// Enable has the daemon serve a handler's file that was disabled, and waits as Settle does.
func (c *Client) Enable(ctx context.Context, name string) (o api.Outcome, err error) {
	err = c.do(ctx, 0, http.MethodPost, "/v1/enable?"+url.Values{"name": {name}}.Encode(), &o)
	return o, err
}

// Disable has the daemon not serve a handler's file, from one start to the next, and waits as
// Settle does.
func (c *Client) Disable(ctx context.Context, name string) (o api.Outcome, err error) {
	err = c.do(ctx, 0, http.MethodPost, "/v1/disable?"+url.Values{"name": {name}}.Encode(), &o)
	return o, err
}

// Show returns what is set for a handler.
func (c *Client) Show(ctx context.Context, name string) (s api.Shown, err error) {
	err = c.do(ctx, c.quick, http.MethodGet, "/v1/show?"+url.Values{"name": {name}}.Encode(), &s)
	return s, err
}

// Metrics returns how the service does, in Prometheus's format.
func (c *Client) Metrics(ctx context.Context) (m api.Metrics, err error) {
	err = c.do(ctx, c.quick, http.MethodGet, "/v1/metrics", &m)
	return m, err
}

// Events returns the events that followed the one of that number, as far as the daemon
// remembers them. With wait it waits until there is one, or for a while.
func (c *Client) Events(ctx context.Context, since uint64, wait bool) (e api.Events, err error) {
	q, timeout := url.Values{"since": {strconv.FormatUint(since, 10)}}, c.quick
	if wait {
		q.Set("wait", "yes")
		timeout = 0
	}
	err = c.do(ctx, timeout, http.MethodGet, "/v1/events?"+q.Encode(), &e)
	return e, err
}

// Version returns the daemon's version.
func (c *Client) Version(ctx context.Context) (v api.Version, err error) {
	err = c.do(ctx, c.quick, http.MethodGet, "/v1/version", &v)
	return v, err
}

// do asks and decodes the answer into out. A timeout of 0 is none.
func (c *Client) do(ctx context.Context, timeout time.Duration, method, endpoint string, out any) error {
	if len(c.path) > maxPath {
		return fmt.Errorf("connect to %q: the path of a socket has at most %d bytes", c.path, maxPath)
	}
	asked := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://plugserverd"+endpoint, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.mend(asked, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return c.mend(asked, err)
	}
	if resp.StatusCode != http.StatusOK {
		var e api.Error
		if json.Unmarshal(body, &e) != nil || e.Message == "" {
			return fmt.Errorf("ask %q: got %q, which is no answer of plugserverd's; check --control", c.path, resp.Status)
		}
		return errors.New(e.Message)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("ask %q: the answer is none of plugserverd's: %w; check --control", c.path, err)
	}
	return nil
}

// starts is how a daemon is started that listens at path.
func starts(path string) string {
	if path == DefaultPath {
		return "start it with: systemctl start plugserverd"
	}
	instance, isRun := strings.CutPrefix(path, "/run/plugserver@")
	if name, isControl := strings.CutSuffix(instance, "/control.sock"); isRun && isControl {
		return "start it with: systemctl start plugserverd@" + name
	}
	return fmt.Sprintf("start it as it was started before, with --control %q among its flags, as --listen, --handlers and --state (plugserverd(8)); "+
		"or name the socket of another: --control, $PLUGSERVER_CONTROL", path)
}

// mend words why no answer came. asked is the caller's context, without the
// client's own timeout.
func (c *Client) mend(asked context.Context, err error) error {
	var timeout net.Error
	switch {
	case asked.Err() != nil:
		return fmt.Errorf("ask %q: %w", c.path, context.Cause(asked))
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("connect to %q: no daemon answers; %s", c.path, starts(c.path))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("connect to %q: permission denied; run as root or join the group plugserver-admin", c.path)
	case errors.Is(err, unix.EAGAIN):
		return fmt.Errorf("connect to %q: too many others are waiting; try again", c.path)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("ask %q: no answer within %v; see: journalctl -u plugserverd", c.path, c.quick)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return fmt.Errorf("ask %q: the daemon hung up before it answered; see: journalctl -u plugserverd", c.path)
	default:
		return fmt.Errorf("ask %q: %w", c.path, err)
	}
}
