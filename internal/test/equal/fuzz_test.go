package equal

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// The same holds for random requests, whole and damaged, cut at random places:
// those of -args -seed, -n of them.
func TestFuzzedScripts(t *testing.T) {
	n := *nFlag
	if testing.Short() {
		n = min(n, 50)
	}
	var list []script
	for i := range n {
		list = append(list, fuzzed(*seedFlag, uint64(i)))
	}
	normal := startPair(t, patientLimits(t), patientFlags...)
	both(t, chosen(t, list, false), normal, "", "", replaced)
}

// parts of requests that a random script is made of.
var (
	someFields = []string{
		"X: y", "X:", "Connection: close", "Connection: keep-alive", "Connection: X", "Expect: 100-continue", "TE: trailers", "Accept-Encoding: gzip", "Upgrade: x", "Proxy-Connection: x", "X-Forwarded-For: 1",
		"X: y\r\n z", "X : y", "X", "Content-Length: 3", "Transfer-Encoding: chunked", "Host: f", "User-Agent: u", "Range: bytes=0-1",
	}
	someTargets = []string{
		"/%s/echo?q", "/%s/head", "/%s/half?n=3", "/%s/nothing", "/%s/stream?n=3", "/%s/big?n=7000", "/%s/trailers", "/%s/informs", "/%s/tree/x", "/%s/tree", "/%s/get", "/%s/id/7", "/%s/early", "/%s/flush", "/%s/closebody",
		"/%s/max?n=100", "/%s/status?code=204", "/%s/fields?X=1", "/%s/file", "/%s/rest/a%%2fb", "/%s//echo", "/none/%s", "http://%s.example/host", "*%.0s", "/m/one?%s", "/m/tree/deep/%s",
	}
	someMethods  = []string{"GET", "GET", "GET", "GET", "POST", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "get", "CONNECT"}
	someVersions = []string{"HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0"}
)

func pick(rnd *rand.Rand, list []string) string { return list[rnd.IntN(len(list))] }

// randomRequest is a request with its body; one in ten is damaged.
func randomRequest(rnd *rand.Rand) string {
	method := pick(rnd, someMethods)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\r\nHost: e\r\n", method, fmt.Sprintf(pick(rnd, someTargets), pick(rnd, names)), pick(rnd, someVersions))
	for range rnd.IntN(3) {
		if rnd.IntN(2) == 0 {
			b.WriteString(pick(rnd, someFields) + "\r\n")
		}
	}
	if rnd.IntN(20) == 0 {
		fmt.Fprintf(&b, "L: %s\r\n", strings.Repeat("l", 1+rnd.IntN(9000)))
	}
	body := strings.Repeat("0123456789", 1000)[:rnd.IntN([]int{1, 10, 5000}[rnd.IntN(3)]+1)]
	switch k := rnd.IntN(6); {
	case method == "POST" && k < 2 || k == 5:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for len(body) > 0 {
			n := 1 + rnd.IntN(len(body))
			fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		b.WriteString("0\r\n" + []string{"", "", "T: 1\r\n"}[rnd.IntN(3)] + "\r\n")
	case method == "POST" || k == 4:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	default:
		b.WriteString("\r\n")
	}
	text := []byte(b.String())
	if rnd.IntN(10) == 0 {
		i := rnd.IntN(len(text))
		switch rnd.IntN(4) {
		case 0:
			text[i] = byte(rnd.IntN(256))
		case 1:
			text = slices.Delete(text, i, i+1)
		case 2:
			text = slices.Insert(text, i, byte(rnd.IntN(256)))
		case 3:
			text = slices.Insert(text, i, '\r', '\n')
		}
	}
	return string(text)
}

// fuzzed is the i-th random script of the seed. The requests go out in segments
// of random sizes, which do not care where one ends.
func fuzzed(seed, i uint64) script {
	rnd := rand.New(rand.NewPCG(seed, i))
	s := script{name: fmt.Sprintf("fuzz/%d-%d", seed, i)}
	var all strings.Builder
	for range 1 + rnd.IntN(6) {
		all.WriteString(randomRequest(rnd))
	}
	text := all.String()
	half := rnd.IntN(4) == 0
	if !half {
		text += tail
	}
	largest := []int{1, 10, 100, 1000, 100000}[rnd.IntN(5)]
	if len(text) > 600 {
		largest = max(largest, len(text)/100)
	}
	for len(text) > 0 {
		n := min(1+rnd.IntN(largest), len(text))
		s.steps = append(s.steps, send(text[:n]))
		text = text[n:]
		if rnd.IntN(2) == 0 {
			s.steps = append(s.steps, pause(time.Duration(rnd.IntN(4))*time.Millisecond))
		}
	}
	if half {
		s.steps = append(s.steps, only(doHalf))
	}
	return s
}
