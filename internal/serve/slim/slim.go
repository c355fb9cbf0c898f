// Package slim gives the system back what a cell has in memory without needing it: first
// what the load has left, and later the code that served, whenever nobody has asked for
// anything for a while.
package slim

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/mapped"
)

const (
	// calm is how long after the load a cell gives back what only the load needed:
	// one that is replaced soon does not, and neither do a thousand while they start together: it
	// takes a fifth of the processor time of the start itself.
	calm = 10 * time.Second
	// idleWait is for how long a cell has to serve nothing until it is idle.
	idleWait = 4 * time.Second
	// small is a live heap, in bytes, that is collected without asking what it costs.
	small = 16 << 20
	// little is how much is not collected where nothing ever was: the first collection has the runtime make
	// lists of its memory, some 4 KB for each size of objects that there are, which take 0.8 MB for good.
	little = 2 << 20
)

// Slim is that of one process. Loaded and Idle may be called by different goroutines.
type Slim struct {
	files    map[string]bool // the plugins'
	settled  atomic.Bool     // what only the load needed was given back
	requests int64           // that were served when it was looked at last
	since    time.Time       // when that number was new
	done     bool            // for that number
}

// New returns the Slim of a process that loads the files.
func New(files []string) *Slim {
	s := &Slim{files: make(map[string]bool)}
	for _, path := range files {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			s.files[real] = true
		}
	}
	return s
}

// Loaded is called once all is loaded.
func (s *Slim) Loaded() {
	time.AfterFunc(calm, func() {
		giveBack(s.files)
		s.settled.Store(true)
	})
}

// Idle is told now and then how much was served by now, and gives back what only that
// needed once there is nothing more for a while. It sees to the first collection, too, which
// the runtime would put off until there is much to collect.
func (s *Slim) Idle(requests int64, now time.Time) {
	if s.idle(requests, now) || s.first(measured()) {
		go giveBack(s.files)
	}
}

// first reports whether there is to be a first collection: there was none with what the load has left.
func (s *Slim) first(collections, live, now uint64) bool {
	return s.settled.Load() && collections == 0 && pays(collections, live, now)
}

// idle reports, once, that nothing was served for a while.
func (s *Slim) idle(requests int64, now time.Time) bool {
	if requests != s.requests {
		s.requests, s.since, s.done = requests, now, false
	}
	idle := !s.done && requests > 0 && now.Sub(s.since) >= idleWait
	s.done = s.done || idle
	return idle
}

// giveBack gives back garbage, and what is in memory of the files. The dynamic linker has read most of it, once, to relocate them.
func giveBack(files map[string]bool) {
	if pays(measured()) {
		debug.FreeOSMemory()
	}
	forget(files)
}

// forget gives back the pages of the files that are in memory as they are on disk. One that is needed again is found in the
// page cache.
func forget(files map[string]bool) {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	for _, m := range clean(f, files) {
		syscall.Syscall(syscall.SYS_MADVISE, m.From, m.To-m.From, syscall.MADV_DONTNEED)
	}
}

// pays reports whether a collection is likely to give more than it costs: there were so many, the last has found so many bytes in
// use, and there are so many by now.
func pays(collections, live, now uint64) bool {
	return live <= small && (collections > 0 || now > little)
}

// measured is what pays wants to know.
func measured() (collections, live, now uint64) {
	s := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	for i, v := range []*uint64{&collections, &live, &now} {
		if s[i].Value.Kind() == metrics.KindUint64 {
			*v = s[i].Value.Uint64()
		}
	}
	return collections, live, now
}

// clean returns the mappings of the files, out of what proc_pid_smaps(5) describes, that
// hold what is in the file alone: those that can be written to may hold something else,
// and so may those that could be, before the dynamic linker was done with them.
func clean(smaps io.Reader, files map[string]bool) (all []mapped.Range) {
	var m mapped.Range
	ours := false
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		// One of proc_pid_maps(5), and below it each "Key: 12 kB". There are
		// thousands of lines: few are worth a string, which may stay as garbage.
		switch line := lines.Bytes(); {
		case len(line) > 0 && (line[0] < 'A' || line[0] > 'Z'):
			r, perms, path, ok := mapped.Parse(string(line))
			if !ok {
				continue
			}
			m, ours = r, files[path] && !strings.Contains(perms, "w")
		case ours && bytes.HasPrefix(line, []byte("Anonymous:")):
			if fields := bytes.Fields(line); len(fields) > 1 && string(fields[1]) == "0" {
				all = append(all, m)
			}
		}
	}
	return all
}
