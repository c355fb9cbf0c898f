//go:build systemd

package systemd

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// shop is the walk of docs/fleet.md: three boxes of two rings, of both Debians, which follow a registry by their timers.
type shop struct {
	page
	*laptop
	shelf *shelf
	boxes []*box // the first is in the ring canary
}

// fleet takes releases through the rings, under load on all boxes: a good one, one that fails one request in ten, which the
// first box withdraws by itself, and a mended one; then the registry dies, a box that was off for a week is switched on, and the
// registry comes again. No request fails but by the bad release.
func fleet(t *testing.T, deb string) {
	lap := laps(t)
	s := openShop(t, deb)
	lap("three boxes have booted, and have the package")
	s.run(t, s.block(t, "plugserverctl promote registry.example.com/shop:canary"), "")
	for n := range s.boxes {
		s.boxes[n].run(t, "sh", "-ec", s.block(t, "sudo systemctl enable --now plugserver-sync@shop.timer"))
	}
	s.live(t, 1, 0, 1, 2)
	lap("they follow")

	clients := make([]func() counts, len(s.boxes))
	begin := func(n int) {
		clients[n] = party{Address: boxAddr(n+1) + ":8080", Path: "/users", Keepers: 6, Callers: 2, Pause: 5 * time.Millisecond}.begin(t, s.wires.path(""))
	}
	for n := range s.boxes {
		begin(n)
	}
	began := time.Now()

	s.release(t, 2)
	out, err := s.promote("1m")
	if err != nil {
		t.Fatalf("a good release is not promoted: %v\n%s", err, out)
	}
	t.Log(out)
	s.live(t, 2, 0, 1, 2)
	third := clients[2]()
	s.boxes[2].powerOff(t)
	lap("a good release")

	s.release(t, 3)
	within(t, time.Minute, "the first box has withdrawn the bad release", func() bool {
		return strings.Contains(s.boxes[0].said(t), "was withdrawn: ")
	})
	out, err = s.promote("2s")
	if err == nil || !strings.Contains(out, "plugserver_sync_last_success_timestamp_seconds") {
		t.Errorf("a bad release is promoted, or it is not said why not: %v\n%s", err, out)
	}
	t.Log(out)
	if said := s.boxes[0].said(t); !strings.Contains(said, "was withdrawn: ") || !strings.Contains(said, "failed, of the incumbent's in the same time 0 of") {
		t.Errorf("the first box does not say why it has withdrawn it: %s", said)
	}
	t.Log(s.boxes[0].run(t, "plugserverctl", "status"))
	lap("a bad one")
	s.release(t, 4)
	if out, err := s.promote("1m"); err != nil {
		t.Fatalf("the mended release is not promoted: %v\n%s", err, out)
	}
	s.live(t, 4, 0, 1)
	lap("the mended one")

	back := s.away(t)
	lap("the registry is away")
	// What the third box serves until it has asked is to be seen: it boots while nobody answers it.
	s.age(t, 2, 7*24*time.Hour)
	s.boxes[2].start(t)
	begin(2)
	s.boxes[2].booted(t)
	s.serves(t, 2, 2)
	lap("the third box boots again")
	back()
	t.Logf("of the third box: live %v after the registry was back", s.live(t, 4, 2))
	s.agreed(t, 0, 1)
	lap("the registry is back")

	s.told(t, 0, clients[0](), 0, 1, 2, 3, 4)
	s.told(t, 1, clients[1](), 0, 1, 2, 4)
	s.told(t, 2, third, 0, 1, 2)
	// Until it has booted, nobody listens.
	s.told(t, 2, clients[2](), -1, 2, 4)
	t.Logf("under load for %v", time.Since(began).Round(time.Second))
	t.Log(s.run(t, "plugserverctl fleet history registry.example.com/shop:prod", ""))
}

// openShop has all but the timers.
func openShop(t *testing.T, deb string) *shop {
	dir := t.TempDir()
	w := wire(t, dir)
	ca := testbed.NewAuthority(t, "shop")
	certificate, key := ca.Issue(t, time.Hour, "registry.example.com").Write(t, dir, "registry")
	authority := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(authority, ca.PEM, 0o644); err != nil {
		t.Fatal(err)
	}
	s := &shop{page: readPage(t), shelf: newShelf(t, w, dir, certificate, key), laptop: newLaptop(t, w, deb, dir, authority)}
	for n := range boxes {
		s.boxes = append(s.boxes, assemble(t, []string{"bookworm", "trixie", "trixie"}[n], []string{"", compiler, compiler}[n], w.path(fmt.Sprint("-box", n+1))))
		s.boxes[n].start(t)
	}

	if err := os.WriteFile(filepath.Join(s.dir, "password"), []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	login := "--username " + testbed.RegistryUser + " --password-stdin"
	s.run(t, strings.ReplaceAll(s.block(t, "skopeo login"), "skopeo login", "echo "+testbed.RegistryPassword+" | skopeo login "+login), "")
	s.run(t, s.block(t, "plugserverctl new users"), "")
	s.dir = filepath.Join(s.dir, "users")
	s.run(t, strings.ReplaceAll(s.block(t, "minisign -G"), "sign --key", "sign --password-file ../password --key"), "secret\nsecret\n")

	for n, b := range s.boxes {
		b.booted(t)
		s.furnish(t, n, deb, authority)
	}
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte("global: {scrape_interval: 1s}\n"+s.block(t, "scrape_configs:")), 0o644); err != nil {
		t.Fatal(err)
	}
	w.daemon(config+".log", "prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "prometheus"), "--web.listen-address="+hub+":9090")
	return s
}

// furnish makes a box one of its ring.
func (s *shop) furnish(t *testing.T, n int, deb, authority string) {
	t.Helper()
	b := s.boxes[n]
	for from, to := range map[string]string{deb: "plugserver_1.deb", s.dir + "/minisign.pub": "minisign.pub", filepath.Dir(s.dir) + "/shop.json": "shop.json", authority: "ca.pem"} {
		b.put(t, from, to)
	}
	b.write(t, "/etc/hosts", s.text)
	b.run(t, "sh", "-ec", "mkdir -p /etc/ssl/certs; cp /root/ca.pem /etc/ssl/certs/ca-certificates.crt")
	// As root, without asking.
	b.run(t, "sh", "-ec", "cd /root; "+strings.ReplaceAll(s.block(t, "sudo apt install ./plugserver"), "apt install", "apt-get install -y"))
	settings := s.block(t, "[Trust]")
	entry := s.block(t, "[Sync]")
	if n == 0 {
		settings += "[Handler users]\nCanaryWeight=50%\nCanaryFor=3s\nCanaryMinRequests=200\nCanaryMaxSlowdown=infinity\n" // which a busy machine may take for slow
		entry = strings.Replace(entry, "shop:prod", "shop:canary", 1) + "Canary=yes\n"
	}
	b.write(t, "/etc/plugserver/plugserverd.conf", settings)
	b.write(t, "/etc/plugserver/sync.d/shop.conf", entry+"Interval=1min\n")
	b.run(t, "sh", "-ec", "cd /root; "+s.block(t, "sudo install -m 600 shop.json"))
	for unit, text := range map[string]string{
		"plugserverd-admin.socket":   s.block(t, "[Socket]"),
		"plugserver-sync@shop.timer": "[Timer]\nOnCalendar=\nOnCalendar=*:*:0/2\nRandomizedDelaySec=0\nAccuracySec=1ms\n", // each other second, in the place of each minute
	} {
		b.run(t, "mkdir", "-p", "/etc/systemd/system/"+unit+".d")
		b.write(t, "/etc/systemd/system/"+unit+".d/override.conf", text)
	}
	b.run(t, "systemctl", "daemon-reload")
	b.run(t, "sh", "-ec", s.block(t, "sudo systemctl stop plugserverd.socket"))
}

// release pushes a release to the first ring; the third fails one request in ten.
func (s *shop) release(t *testing.T, n int) {
	t.Helper()
	source := filepath.Join(s.dir, "handler.go")
	fails := ""
	if n == 3 {
		fails = "if rand.IntN(10) == 0 {\n\t\thttp.Error(w, \"release 3 fails\", http.StatusInternalServerError)\n\t\treturn\n\t}\n"
	}
	text := "package main\n\nimport (\n\t\"fmt\"\n\t\"math/rand/v2\"\n\t\"net/http\"\n)\n\nvar _ = rand.IntN\n\nfunc Handler() (string, func(http.ResponseWriter, *http.Request)) {\n\treturn \"GET /users\", func(w http.ResponseWriter, r *http.Request) {\n\t\t" +
		fails + fmt.Sprintf("fmt.Fprintln(w, \"release %d\")\n\t}\n}\n\nfunc main() {}\n", n)
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	typed := strings.NewReplacer("--version 2", fmt.Sprint("--version ", n), "sign --key", "sign --password-file ../password --key").Replace(s.block(t, "plugserverctl build"))
	s.run(t, typed, "")
}

// promote promotes what the first ring has, in shorter times.
func (s *shop) promote(wait string) (string, error) {
	for _, b := range s.page {
		if strings.HasPrefix(b, "plugserverctl promote --prometheus") {
			return s.try(strings.NewReplacer("--wait 30m --soak 10m", "--wait "+wait+" --soak 3s --every 1s", "[5m]", "[5s]").Replace(b), "")
		}
	}
	return "", os.ErrNotExist
}

// answer is what a release answers.
func answer(release int) string {
	if release == 1 {
		return "Hello from users!"
	}
	return fmt.Sprintf("release %d", release)
}

// said is what the status of a box says, in one line.
func (b *box) said(t *testing.T) string {
	t.Helper()
	return strings.Join(strings.Fields(b.run(t, "plugserverctl", "status")), " ")
}

// serves waits until a box serves a release.
func (s *shop) serves(t *testing.T, release, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("box-%d serves release %d", n+1, release), func() bool {
		_, body := s.boxes[n].get("/users")
		return strings.TrimSpace(body) == answer(release)
	})
}

// live waits until boxes serve a release, and are in agreement with their rings.
func (s *shop) live(t *testing.T, release int, of ...int) time.Duration {
	t.Helper()
	began := time.Now()
	for _, n := range of {
		s.serves(t, release, n)
	}
	took := time.Since(began).Round(10 * time.Millisecond)
	s.agreed(t, of...)
	return took
}

// agreed waits until boxes are in agreement.
func (s *shop) agreed(t *testing.T, of ...int) {
	t.Helper()
	for _, n := range of {
		eventually(t, fmt.Sprintf("box-%d is in agreement", n+1), func() bool {
			syncs := s.boxes[n].status(t).Daemon.Syncs
			return len(syncs) == 1 && syncs[0].OK
		})
	}
}

// away kills the registry, and back has it come again without what no tag names.
func (s *shop) away(t *testing.T) (back func()) {
	t.Helper()
	var history struct {
		Digest  string
		Records []struct{ Digest string }
	}
	if err := json.Unmarshal([]byte(s.run(t, "plugserverctl fleet history --json registry.example.com/shop:prod", "")), &history); err != nil {
		t.Fatal(err)
	}
	for _, r := range history.Records {
		if r.Digest != history.Digest {
			s.shelf.forget(t, r.Digest, history.Digest)
		}
	}
	s.shelf.kill()
	killed := time.Now()
	for _, b := range s.boxes[:2] {
		eventually(t, "a box tells that the registry is away", func() bool {
			syncs := b.status(t).Daemon.Syncs
			return !syncs[0].OK && syncs[0].Tried.After(killed) && syncs[0].Agreed.Before(killed.Add(time.Second)) && syncs[0].Problem != ""
		})
		t.Log(strings.Split(b.run(t, "plugserverctl", "status"), "\n\n")[0])
	}
	before := s.shelf.size(t)
	host(t, "docker-registry", "garbage-collect", s.shelf.config)
	after := s.shelf.size(t)
	t.Logf("the registry had %d bytes, and has %d without what %d releases of before had", before, after, len(history.Records)-1)
	if after > before*3/4 {
		t.Error("nothing was deleted in it")
	}
	return func() {
		t.Helper()
		s.shelf.start(t)
		t.Logf("the registry was away for %v", time.Since(killed).Round(time.Millisecond))
	}
}

// age makes what a box that is off remembers older.
func (s *shop) age(t *testing.T, n int, by time.Duration) {
	t.Helper()
	path := filepath.Join(s.boxes[n].root, "var/lib/plugserver/sync/shop.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	record := make(map[string]any)
	if err := json.Unmarshal(text, &record); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"tried", "agreed"} {
		when, err := time.Parse(time.RFC3339Nano, fmt.Sprint(record[field]))
		if err != nil {
			t.Fatal(err)
		}
		record[field] = when.Add(-by)
	}
	if text, err = json.Marshal(record); err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// told tells what the clients of a box saw, and fails where that is not these releases alone, or a request failed other than by
// an answer of the third's. refused are the connections that may be, -1 for any number.
func (s *shop) told(t *testing.T, n int, c counts, refused int, releases ...int) {
	t.Helper()
	bad := c.Bodies["release 3 fails"]
	t.Logf("box-%d: %d requests, %d of them failed by the bad release itself, %d otherwise; %d connections refused, %d closed after a pause; longest %v; %v",
		n+1, c.Sent, bad, c.failed()-bad, c.Refused, c.Late, c.Longest.Round(time.Millisecond), c.Bodies)
	if c.failed() != bad || c.Late > 0 || refused >= 0 && c.Refused != refused {
		t.Errorf("box-%d: %v", n+1, c)
	}
	if (bad > 0) != slices.Contains(releases, 3) {
		t.Errorf("box-%d: %d answers failed by the bad release", n+1, bad)
	}
	for release := 1; release <= 4; release++ {
		if got := c.Bodies[answer(release)]; (got > 0) != slices.Contains(releases, release) {
			t.Errorf("box-%d: %d answers of release %d", n+1, got, release)
		}
	}
}
