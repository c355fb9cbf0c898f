package top

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

func status(all ...api.Handler) api.Status {
	return api.Status{Daemon: api.Daemon{Version: "1.2.3", GateConns: 2}, Handlers: all}
}

var (
	before = status(
		api.Handler{Name: "calm", PID: 1, State: api.StateLive},
		api.Handler{Name: "fails", PID: 2, State: api.StateLive, Requests: 10, Errors: 10},
		api.Handler{Name: "renewed", PID: 3, State: api.StateLive, Requests: 1000, CPUSeconds: 50},
	)
	after = status(
		api.Handler{Name: "calm", PID: 1, State: api.StateLive, PrivateBytes: 9 << 20, Conns: 3},
		api.Handler{Name: "fails", PID: 2, State: api.StateLive, Requests: 14, Errors: 12, PrivateBytes: 5 << 20},
		api.Handler{Name: "new\x1b[2J", PID: 5, State: api.StateLive, Requests: 7, Errors: 1},
		api.Handler{Name: "renewed", PID: 4, State: api.StateLive, Requests: 100, CPUSeconds: 1},
	)
)

// Rates are of the time between two looks; a new process begins anew.
func TestRows(t *testing.T) {
	got := rows(before, after, 2*time.Second)
	for i, want := range []Row{
		{Name: "calm", State: api.StateLive, MemoryBytes: 9 << 20},
		{Name: "fails", State: api.StateLive, RequestsPerSecond: 2, ErrorsPerSecond: 1, Errors: 12, MemoryBytes: 5 << 20},
		{Name: "new\x1b[2J", State: api.StateLive, Errors: 1},
		{Name: "renewed", State: api.StateLive, RequestsPerSecond: 50, CPU: 0.5},
	} {
		if got[i] != want {
			t.Errorf("got %+v, want %+v", got[i], want)
		}
	}
	if r := rows(before, after, 0); math.IsInf(r[1].RequestsPerSecond, 0) {
		t.Error("a rate without end")
	}
}

// Each key has its order on the screen, and q ends it.
func TestKeys(t *testing.T) {
	m := &model{key: "r", look: func() tea.Msg { return nil }}
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 20})
	now := time.Now()
	m.Update(looked{before, nil, now})
	m.Update(looked{after, nil, now.Add(2 * time.Second)})
	for key, want := range map[string]string{
		"r": "renewed fails calm new", "c": "renewed calm fails new", "m": "calm fails new renewed", "e": "fails new calm renewed", "n": "calm fails new renewed",
	} {
		m.Update(tea.KeyPressMsg{Code: rune(key[0]), Text: key})
		var names []string
		lines := strings.Split(m.View().Content, "\n")
		for _, line := range lines[3:7] {
			name, _, _ := strings.Cut(strings.Fields(line)[0], `\`)
			names = append(names, name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
	if text := m.View().Content; strings.Contains(text, "\x1b") || !strings.Contains(text, "plugserverd 1.2.3") || !strings.Contains(text, "5 connections") {
		t.Errorf("%q", text)
	}
	if _, cmd := m.Update(tea.KeyPressMsg{Code: 'q', Text: "q"}); cmd == nil || cmd() != tea.Quit() {
		t.Error("q does not end it")
	}
	m.Update(looked{err: errors.New("no answer")})
	if text := m.View().Content; !strings.HasPrefix(text, "no answer\n") || !strings.Contains(text, "renewed") {
		t.Errorf("an error: %q", text)
	}
}

// It fits on every screen.
func TestFits(t *testing.T) {
	var many []api.Handler
	for range 50 {
		many = append(many, api.Handler{Name: strings.Repeat("новости", 9), State: api.StateRolledBack, Requests: 1 << 40})
	}
	for _, size := range [][2]int{{80, 24}, {40, 10}, {200, 100}, {20, 3}} {
		m := &model{key: "r", look: func() tea.Msg { return nil }}
		m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		m.Update(looked{status(many...), nil, time.Now()})
		lines := strings.Split(m.View().Content, "\n")
		if len(lines) > max(size[1], 6) {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, line := range lines {
			if terminal.Width(line) > size[0] && !strings.HasPrefix(line, "and ") {
				t.Errorf("%v: %q", size, line)
			}
		}
	}
}
