package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// twinModule is a module path out of which a thousand others are made: "ay" and
// "bX" add the same to the hash by which the dynamic linker finds symbols
// (h*33 + c), so that a plugin whose path is patched is as good as one built so.
const twinModule = "e2e.example/ayayayayayayayayayay"

// twin is the n-th of up to 1024 handlers that no linker has to be run for, each
// of a module of its own.
func twin(tb testing.TB, n int) (name string, content []byte) {
	tb.Helper()
	p := testbed.Source{Files: map[string]string{
		"go.mod": "module " + twinModule + "\n\ngo 1.25\n", "main.go": plainSource,
	}, Flags: []string{"-ldflags=-s"}}.Build(tb)
	name = fmt.Sprintf("h%04d", n)
	p = p.Patched(tb, patternSlot, "PATTERN:/"+name, versionSlot, "VERSION:"+name)
	module := "e2e.example/"
	for bit := range 10 {
		module += [2]string{"ay", "bX"}[n>>bit&1]
	}
	return name, bytes.ReplaceAll(p.Bytes, []byte(twinModule), []byte(module))
}

// BenchmarkThousand starts a daemon on 1,000 handlers, with a cell for each and
// with one for every 50, and measures the time until all are live and the memory
// that the whole takes.
func BenchmarkThousand(b *testing.B) {
	defer func(was time.Duration) { testbed.Patience = was }(testbed.Patience)
	testbed.Patience = 15 * time.Minute
	const handlers = 1000
	for _, size := range []int{1, 50} {
		b.Run(fmt.Sprintf("%d in a cell", size), func(b *testing.B) {
			dir := testbed.NewDir(b)
			var conf strings.Builder
			for n := range handlers {
				name, content := twin(b, n)
				if err := os.WriteFile(filepath.Join(dir, "handlers", name+".so"), content, 0o644); err != nil {
					b.Fatal(err)
				}
				if size > 1 {
					fmt.Fprintf(&conf, "[Handler %s]\nCell=c%d\n", name, n/size)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "plugserverd.conf"), []byte(conf.String()), 0o644); err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			d := testbed.Start(b, testbed.In(dir))
			live := time.Since(began)
			gathered := live
			if size > 1 {
				left := make(map[string]bool)
				for n := range handlers {
					left[fmt.Sprintf("h%04d", n)] = true
				}
				if _, err := d.Log.Wait(0, testbed.Patience, func(e testbed.Entry) bool {
					if e.Get("event") == "gathered" {
						delete(left, e.Get("handler"))
					}
					return len(left) == 0
				}); err != nil {
					b.Fatalf("%d handlers are not gathered: %v", len(left), err)
				}
				gathered = time.Since(began)
			}
			for _, n := range []int{0, 499, 999} {
				name := fmt.Sprintf("h%04d", n)
				d.Want("/"+name, 200, name)
			}
			var pss, private int64
			cells := make(map[int]bool)
			st := d.Status()
			for _, h := range st.Handlers {
				if h.State != "live" {
					b.Fatalf("%+v", h)
				}
				if !cells[h.PID] {
					cells[h.PID] = true
					pss += h.MemoryBytes
					private += h.PrivateBytes
				}
			}
			var supervisor, gate int64
			for _, p := range d.Processes() {
				switch p.PID {
				case d.PID():
					supervisor = p.RSS
				case st.Daemon.GatePID:
					gate = p.RSS
				}
			}
			b.Logf("%d handlers in %d cells: all live after %v, in place after %v; cells Pss %d MiB, private %d MiB; supervisor %d MiB, gate %d MiB",
				handlers, len(cells), live.Round(100*time.Millisecond), gathered.Round(100*time.Millisecond), pss>>20, private>>20, supervisor>>20, gate>>20)
			d.Stop()
			if err := os.RemoveAll(dir); err != nil { // 16 GB
				b.Error(err)
			}
			b.ReportMetric(live.Seconds(), "s-to-live")
			b.ReportMetric(float64(pss)/(1<<20), "MiB")
			b.ReportMetric(0, "ns/op")
		})
	}
}
