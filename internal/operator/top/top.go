package top

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// every is how often it looks.
const every = 2 * time.Second

// Top shows how handlers do.
var Top = cli.Command{
	Name:  "top",
	Short: "show how handlers do now: requests, processor time, memory and errors a second, the busiest first, until q",
	Long:  "r, c, m, e and n sort by requests, processor time, memory, errors and name. Where it does not write to a terminal it looks for a second, writes once, and ends.",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		asJSON := flags.Bool("json", false, "look for a second, and print one list, for programs")
		key := "r"
		flags.Func("sort", "r, c, m, e or n: the `KEY` to sort by at first; default r", func(text string) error {
			if !known(text) {
				return errors.New("want r, c, m, e or n")
			}
			key = text
			return nil
		})
		return func(ctx context.Context, s *cli.Session) error {
			if f, ok := s.Terminal(); ok && !*asJSON {
				return watch(ctx, s, f, key)
			}
			return once(ctx, s, key, *asJSON)
		}
	},
}

func known(key string) bool {
	for _, k := range keys {
		if k.key == key && key != "" {
			return true
		}
	}
	return false
}

// once looks for a second.
func once(ctx context.Context, s *cli.Session, key string, asJSON bool) error {
	before, err := s.Client.Status(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	now, err := s.Client.Status(ctx)
	if err != nil {
		return err
	}
	all := rows(before, now, time.Since(began))
	order(all, key)
	if asJSON {
		return terminal.WriteJSON(s.Out, all)
	}
	_, err = io.WriteString(s.Out, table(all, key, s.Columns, 0))
	return err
}

func watch(ctx context.Context, s *cli.Session, f *os.File, key string) error {
	m := &model{key: key, look: func() tea.Msg {
		st, err := s.Client.Status(ctx)
		return looked{st, err, time.Now()}
	}}
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithOutput(f), tea.WithoutSignalHandler()).Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil // interrupted
	}
	return err
}

// looked is what a look has found.
type looked struct {
	status api.Status
	err    error
	at     time.Time
}

// model is what is on the screen.
type model struct {
	look           func() tea.Msg
	key            string
	last           looked
	rows           []Row
	err            error
	columns, lines int
}

// Init implements tea.Model.
func (m *model) Init() tea.Cmd { return m.look }

// Update implements tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case looked:
		wait := every
		if m.err = msg.err; m.err == nil {
			if m.last.at.IsZero() {
				wait = every / 4 // the first rates come soon
			}
			m.rows = rows(m.last.status, msg.status, msg.at.Sub(m.last.at))
			order(m.rows, m.key)
			m.last = msg
		}
		return m, tea.Tick(wait, func(time.Time) tea.Msg { return m.look() })
	case tea.WindowSizeMsg:
		m.columns, m.lines = msg.Width, msg.Height
	case tea.KeyPressMsg:
		switch key := msg.String(); {
		case key == "q", key == "ctrl+c", key == "esc":
			return m, tea.Quit
		case known(key):
			m.key = key
			order(m.rows, key)
		}
	}
	return m, nil
}

// View implements tea.Model.
func (m *model) View() tea.View {
	v := tea.NewView(m.text())
	v.AltScreen = true
	return v
}

func (m *model) text() string {
	if m.columns == 0 {
		return ""
	}
	head := "plugserverctl top"
	switch d := m.last.status.Daemon; {
	case m.err != nil:
		head = terminal.Escape(m.err.Error())
	case d.Problem != "":
		head = "problem: " + terminal.Escape(d.Problem)
	case !m.last.at.IsZero():
		head = fmt.Sprintf("plugserverd %s, up %s, %d handlers, %d connections", terminal.Escape(d.Version), terminal.Age(d.Since, m.last.at), len(m.rows), m.conns())
	}
	return terminal.Truncate(head, m.columns) + "\n\n" + table(m.rows, m.key, m.columns, max(m.lines-4, 2)) +
		"\n" + terminal.Truncate("r requests  c cpu  m memory  e errors  n name  q quit", m.columns)
}

// conns are the clients' connections, wherever they are.
func (m *model) conns() int {
	n, seen := m.last.status.Daemon.GateConns, make(map[int]bool)
	for _, h := range m.last.status.Handlers {
		if !seen[h.PID] { // some share a cell
			n += h.Conns
		}
		seen[h.PID] = true
	}
	return n
}
