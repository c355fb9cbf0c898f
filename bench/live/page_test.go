package live

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPage(t *testing.T) {
	var p Page
	all := []figures{{rows[0]: {2}, rows[6]: {4, 8, 6}}, {rows[0]: {1}, rows[6]: {2, 3, 4}, rows[5]: {1}}}
	p.table(Spec{Builds: []Build{{Name: "base"}, {Name: "plugserver"}}, Handlers: 100}, all)
	p.peer("nginx", again, []float64{1, 2, 3}, []float64{4})
	p.shared(0.5, []float64{1, 2, 3}, []float64{4})
	path := filepath.Join(t.TempDir(), "page.md")
	if err := p.Write(path, "Measured today.", []string{"a machine", "Linux"}, 8_100_000); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Measured today.\n\n- a machine\n- Linux\n", "file of 8.1 MB",
		"## 100 handlers\n\n| what | base | plugserver | ÷ base |\n| --- | ---: | ---: | ---: |\n| " + rows[0] + " | 2.00 | 1.00 | 0.50 |\n",
		"| " + rows[5] + " | – | 1.00 | – |\n", "| " + rows[6] + " | 6.00 (4.00–8.00) 7.96 | 3.00 (2.00–4.00) 3.98 | 0.50 |\n",
		"| " + rows[7] + " | – | – | – |\n", "nginx, told to load its configuration again: 2.00 (1.00–3.00) 2.98 ms, CPU 4.00 (4.00–4.00) ms a change (3 changes).\n",
		"PSS 0.50 MiB a handler; one replaced, just written, 2.00 (1.00–3.00) 2.98 ms; CPU of all processes until it is in the one cell again 4.00",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
