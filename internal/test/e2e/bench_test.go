package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// spread is the minimum, median and maximum of some figures.
type spread struct{ min, median, max float64 }

func spreadOf(v []float64) spread {
	v = slices.Sorted(slices.Values(v))
	return spread{v[0], v[len(v)/2], v[len(v)-1]}
}

func (s spread) String() string { return fmt.Sprintf("%.3f (%.3f to %.3f)", s.median, s.min, s.max) }

// BenchmarkDrop measures from rename(2) into the directory to the first 200: of
// a new handler, and of a new version of one that serves.
func BenchmarkDrop(b *testing.B) {
	const drops = 100
	d := testbed.Start(b)
	var added, replaced []float64
	c := d.Dial()
	defer c.Close()
	// until asks without pause until the answer is the wanted one, and
	// returns how long that took, in milliseconds.
	until := func(began time.Time, status int, body string) float64 {
		for time.Since(began) < testbed.Patience {
			a, err := c.Get("/drop")
			if err != nil {
				b.Fatal(err)
			}
			if a.Status == status && (body == "" || string(a.Body) == body) {
				return float64(time.Since(began)) / float64(time.Millisecond)
			}
			time.Sleep(100 * time.Microsecond) // leave the two cores to the daemon
		}
		b.Fatalf("no answer %d %q", status, body)
		return 0
	}
	drop := func(version string) time.Time {
		p := plain(b, "/drop", version)
		began := time.Now()
		d.DropOld("drop", p)
		return began
	}
	for n := range drops {
		added = append(added, until(drop(number(2*n)), 200, number(2*n)))
		replaced = append(replaced, until(drop(number(2*n+1)), 200, number(2*n+1)))
		d.Remove("drop")
		until(time.Now(), 404, "")
	}
	for _, r := range []struct {
		name string
		ms   []float64
	}{{"new", added}, {"newer", replaced}} {
		v := slices.Sorted(slices.Values(r.ms))
		b.ReportMetric(v[len(v)/2], r.name+"-p50-ms")
		b.ReportMetric(v[len(v)*99/100], r.name+"-p99-ms")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkMemory measures what a cell costs: the proportional set size of one
// that has served a request.
func BenchmarkMemory(b *testing.B) {
	const handlers = 20
	d := testbed.Start(b)
	for n := range handlers {
		d.Put(fmt.Sprintf("h%d", n), plain(b, fmt.Sprintf("/h%d", n), number(n)))
		d.Want(fmt.Sprintf("/h%d", n), http.StatusOK, number(n))
	}
	var mb []float64
	for _, h := range d.Status().Handlers {
		mb = append(mb, float64(h.MemoryBytes)/(1<<20))
	}
	b.Logf("MiB per cell (Pss), %d cells: %v", handlers, spreadOf(mb))
	b.ReportMetric(spreadOf(mb).median, "MiB/cell")
	b.ReportMetric(0, "ns/op")
}
