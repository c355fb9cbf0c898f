package testbed

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

var muteCell = sync.OnceValues(func() (string, error) {
	dir, err := workshop()
	if err != nil {
		return "", err
	}
	source := filepath.Join(SourceRoot(), "internal", "serve", "cell", "cell.go")
	text, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	const acks = "lc.Send(link.Message{Kind: link.Ack, Version: m.Version})"
	before, after, ok := strings.Cut(string(text), acks)
	if !ok {
		return "", errors.New("the cell's source has changed: where does it acknowledge a table?")
	}
	patched, overlay := filepath.Join(dir, "mute.go"), filepath.Join(dir, "mute.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{source: patched}})
	if err != nil {
		return "", err
	}
	err = errors.Join(
		os.WriteFile(patched, []byte(before+`if len(c.plugins[0].name) < 4 || c.plugins[0].name[:4] != "mute" { `+acks+" }"+after), 0o644),
		os.WriteFile(overlay, replace, 0o644))
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "bin", "plugserver-cell-mute")
	return out, goBuild(filepath.Join(SourceRoot(), "cmd", "plugserver-cell"), out, []string{"CGO_ENABLED=1"}, "-overlay", overlay)
})

// MuteCell builds a cell that acknowledges no route table where its handler's
// name begins with "mute".
func MuteCell(tb TB) string {
	tb.Helper()
	cell, err := muteCell()
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return cell
}
