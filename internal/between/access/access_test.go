package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/counter"
)

var began = time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.FixedZone("", 3600))

func TestLines(t *testing.T) {
	full := Entry{
		Began: began, Took: 1234567 * time.Microsecond, Client: "[2001:db8::1]:4711", Handler: "users", Version: "0123456789ab", Pattern: "GET /users/{id}",
		Asked:  Asked{"GET", "/users/7?q=a", "HTTP/1.1", "http://x/", "curl/8", "abc", "00-aa-bb-01"},
		Status: 200, Bytes: 12,
	}
	gate := Entry{Began: began, Client: "127.0.0.1:1", Asked: Asked{Method: "GET", Target: "/", Proto: "HTTP/1.0"}, Status: 404, Bytes: 19}
	for _, tt := range []struct {
		e              Entry
		combined, json string
	}{
		{full, `2001:db8::1 - - [04/Mar/2026:04:06:07 +0000] "GET /users/7?q=a HTTP/1.1" 200 12 "http://x/" "curl/8"`,
			`{"time":"2026-03-04T04:06:07.089Z","client":"2001:db8::1","handler":"users","version":"0123456789ab","pattern":"GET /users/{id}","method":"GET","path":"/users/7","query":"q=a","protocol":"HTTP/1.1","status":200,"bytes":12,"duration":1.234567,"referer":"http://x/","user_agent":"curl/8","request_id":"abc","traceparent":"00-aa-bb-01"}`},
		{gate, `127.0.0.1 - - [04/Mar/2026:04:06:07 +0000] "GET / HTTP/1.0" 404 19 "-" "-"`,
			`{"time":"2026-03-04T04:06:07.089Z","client":"127.0.0.1","method":"GET","path":"/","protocol":"HTTP/1.0","status":404,"bytes":19,"duration":0.000000}`},
		{Entry{Began: began, Asked: Asked{Method: "GET", Target: "/ws", Proto: "HTTP/1.1"}, Client: "@", Status: counter.Hijacked}, `unix: - - [04/Mar/2026:04:06:07 +0000] "GET /ws HTTP/1.1" 101 0 "-" "-"`,
			`{"time":"2026-03-04T04:06:07.089Z","client":"unix:","method":"GET","path":"/ws","protocol":"HTTP/1.1","status":101,"hijacked":true,"bytes":0,"duration":0.000000}`},
		{Entry{Began: began, Client: "x", Asked: Asked{Target: "\x16\x03\"", Proto: ""}}, `x - - [04/Mar/2026:04:06:07 +0000] "\x16\x03\x22" 000 0 "-" "-"`,
			`{"time":"2026-03-04T04:06:07.089Z","client":"x","path":"\u0016\u0003\"","status":0,"bytes":0,"duration":0.000000}`},
	} {
		if got := string(tt.e.append(nil, Combined)); got != tt.combined+"\n" {
			t.Errorf("got  %swant %s", got, tt.combined)
		}
		if got := string(tt.e.append(nil, JSON)); got != tt.json+"\n" {
			t.Errorf("got  %swant %s", got, tt.json)
		}
	}
}

var combinedLine = regexp.MustCompile(`^[!-~]+ - - \[[^\]"]+\] "[ -!#-~]*" [0-9]{3} [0-9]+ "[ -!#-~]*" "[ -!#-~]*"\n$`)

// Whatever a client sends, a line stays one, and what is quoted stays so.
func FuzzLine(f *testing.F) {
	f.Add("GET", "/\n\"\\", "a\r\nb", "\xff\u2028\u0085", 200)
	f.Add(strings.Repeat("\n", 9000), strings.Repeat("é", 9000), "", "", -1)
	f.Fuzz(func(t *testing.T, method, target, referer, agent string, status int) {
		e := Entry{Began: began, Client: "1.2.3.4:5", Handler: agent, Asked: Asked{Method: method, Target: target, Referer: referer, UserAgent: agent, TraceParent: method}, Status: status % 600}
		if line := e.append(nil, Combined); !combinedLine.Match(line) {
			t.Errorf("%q", line)
		}
		line := e.append(nil, JSON)
		var got map[string]any
		if err := json.Unmarshal(line, &got); err != nil || bytes.Count(line, []byte("\n")) != 1 || bytes.ContainsAny(line, "\r\x00\u2028\u0085") {
			t.Fatalf("%v: %q", err, line)
		}
		if len(agent) <= mostField && got["user_agent"] != nil && got["user_agent"] != strings.ToValidUTF8(strings.Map(func(r rune) rune { return r }, agent), "\uFFFD") {
			t.Errorf("%q, want %q", got["user_agent"], agent)
		}
	})
}

// lines are those of a file, of which each has come once.
func lines(t *testing.T, paths ...string) (n int) {
	t.Helper()
	seen := make(map[string]bool)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.SplitAfter(string(text), "\n") {
			switch {
			case line == "":
			case seen[line]:
				t.Errorf("twice: %q", line)
			case !combinedLine.MatchString(line):
				t.Errorf("not a line: %q", line)
			default:
				seen[line] = true
				n++
			}
		}
	}
	return n
}

func openAppend(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func entry(i int) *Entry {
	return &Entry{Began: began, Client: "1.2.3.4:5", Asked: Asked{Method: "GET", Target: fmt.Sprintf("/%d/%s", i, strings.Repeat("x", i%300)), Proto: "HTTP/1.1"}, Status: 200}
}

// Two processes write to one file, which is renamed meanwhile, as fast as they can: each
// line is there once, and whole.
func TestRotated(t *testing.T) {
	dir := t.TempDir()
	path, old := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	fail := func(err error) { t.Error(err) }
	logs := []*Log{New(Combined, nil, fail), New(Combined, nil, fail)}
	for _, l := range logs {
		l.Put(openAppend(t, path))
	}
	const each = 5_000
	var all sync.WaitGroup
	for k := range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range each {
				logs[k%2].Add(entry(k*each + i))
				if k == 0 && i == each/2 {
					os.Rename(path, old)
					for _, l := range logs {
						l.Put(openAppend(t, path))
					}
				}
			}
		}()
	}
	all.Wait()
	for _, l := range logs {
		l.Flush(time.Minute)
		if n := l.ring.Lost(); n != 0 {
			t.Errorf("%d lost", n)
		}
	}
	if n := lines(t, path, old); n != 4*each {
		t.Errorf("%d lines, want %d", n, 4*each)
	}
}

// A line is in the file soon, though no other follows.
func TestDelay(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := New(Combined, nil, func(error) {})
	l.Add(entry(1)) // before there is a file
	l.Put(w)
	b := make([]byte, 4096)
	for i := 1; i <= 2; i++ {
		if n, err := r.Read(b); err != nil || !bytes.HasPrefix(b[:n], []byte("1.2.3.4 - - ")) || bytes.Count(b[:n], []byte("\n")) != 1 {
			t.Fatalf("%q, %v", b[:n], err)
		}
		l.Add(entry(2))
	}
}

// What a process has gathered that is dead, whoever has its memory can write.
func TestLeft(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "ring"))
	if err == nil {
		err = f.Truncate(Size)
	}
	if err != nil {
		t.Fatal(err)
	}
	seen, err := MapRing(f, false)
	if err != nil {
		t.Fatal(err)
	}
	defer seen.Unmap()
	l := New(Combined, f, func(error) {})
	for i := range 3 {
		l.Add(entry(i))
	}
	if left := seen.Left(); bytes.Count(left, []byte("\n")) != 3 || seen.Lost() != 0 {
		t.Errorf("%q, %d lost", left, seen.Lost())
	}
	l.ring.head.ends.Store(7<<32 | 3) // whatever stands there
	if left := seen.Left(); len(left) > room {
		t.Errorf("%d bytes", len(left))
	}
}

// A full disk costs lines, which are counted, and once there is room they come again, each
// whole.
func TestFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var told atomic.Int64
	l := New(Combined, nil, func(err error) {
		if told.Add(1); !errors.Is(err, syscall.ENOSPC) {
			t.Error(err)
		}
	})
	l.Put(full)
	for i := range 3000 { // more than there is room for
		l.Add(entry(i))
	}
	l.Flush(time.Minute)
	if n := l.ring.Lost(); n != 3000 || told.Load() != 1 {
		t.Errorf("%d lost, told %d times", n, told.Load())
	}
	path := filepath.Join(t.TempDir(), "a")
	l.Put(openAppend(t, path))
	l.Flush(time.Minute)
	l.Add(entry(1))
	l.Flush(time.Minute)
	if n := lines(t, path); n != 1 {
		t.Errorf("%d lines", n)
	}
}

// What is cut by a disk that fills up is a line of its own, of those that are lost.
func TestTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	l := New(Combined, nil, func(error) {})
	l.file = openAppend(t, path)
	l.torn, l.fails = true, true
	if n := l.writeOut([]byte("x\n")); n != 0 || l.torn || l.fails {
		t.Errorf("%d lost", n)
	}
	if b, _ := os.ReadFile(path); string(b) != "\nx\n" {
		t.Errorf("%q", b)
	}
	l.torn = true
	l.file, _ = os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if n := l.writeOut([]byte("x\ny\n")); n != 2 {
		t.Errorf("%d lost, want 2", n)
	}
}

// A reader that stands still holds up nobody twice; and gets whole lines.
func TestStalled(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := New(Combined, nil, func(err error) { t.Error(err) })
	l.Put(w)
	held := 0
	const most = 20_000
	for i := range most {
		began := time.Now()
		l.Add(entry(i))
		if time.Since(began) >= patience {
			held++
		}
	}
	if held > 2 || l.ring.Lost() == 0 {
		t.Errorf("%d were held up, %d lost", held, l.ring.Lost())
	}
	lost := int(l.ring.Lost())
	done := make(chan int)
	go func() {
		b, _ := io.ReadAll(r)
		done <- bytes.Count(b, []byte("\n"))
	}()
	l.Flush(time.Minute)
	l.Flush(time.Minute)
	w.Close()
	if n := <-done; n != most-lost {
		t.Errorf("%d lines, %d lost, of %d", n, lost, most)
	}
}

func BenchmarkAdd(b *testing.B) {
	l := New(JSON, nil, func(err error) { b.Error(err) })
	f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	l.Put(f)
	r := &http.Request{Method: "GET", RequestURI: "/users/7", Proto: "HTTP/1.1", Header: http.Header{"User-Agent": {"load"}}}
	b.ReportAllocs()
	for range b.N {
		e := Entry{Began: began, Took: time.Millisecond, Client: "127.0.0.1:4711", Handler: "users", Version: "0123456789ab", Pattern: "/users/{id}", Asked: AskedBy(r), Status: 200, Bytes: 12}
		l.Add(&e)
	}
}
