package rates

import (
	"reflect"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/daemon/sums"
)

// Steps tell what was counted between them, for as long as they are remembered; who has
// had no request in that time takes no memory.
func TestLook(t *testing.T) {
	users := new(sums.Sum)
	now := map[string]*sums.Sum{"users": users, "idle": new(sums.Sum)}
	b := New(func() map[string]*sums.Sum { return now })
	count := func(code, n int, took time.Duration) {
		users.Requests[0][code][0] += uint64(n)
		users.Nanos[code] += uint64(n) * uint64(took)
	}
	if b.Handlers() != nil {
		t.Error("there are points before the first look")
	}
	count(2, 100, time.Second) // before anybody looked: no step's
	b.Look()
	b.Look()
	count(2, 3, time.Millisecond)
	count(5, 1, 5*time.Millisecond)
	users.Lost, users.InFlight = 2, 7
	b.Look()
	b.Look()
	want := Handler{Requests: 104, InFlight: 7, Points: []Point{{}, {Requests: 4, Errors: 3, Mean: 2 * time.Millisecond}, {}}}
	if got := b.Handlers()["users"]; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := b.Handlers()["idle"]; got.Points != nil {
		t.Errorf("idle: %+v", got)
	}
	for range Kept - 2 {
		b.Look()
	}
	if got := b.Handlers()["users"].Points; len(got) != Kept || got[0].Requests != 4 {
		t.Errorf("%d points, the first is %+v", len(got), got[0])
	}
	b.Look()
	if got := b.Handlers()["users"].Points; got != nil {
		t.Errorf("what was longer ago is remembered: %+v", got)
	}
	delete(now, "users")
	b.Look()
	if _, there := b.Handlers()["users"]; there {
		t.Error("one that is forgotten by the sums is remembered")
	}
}

// A request that is answered on the connection itself, and lasts for an hour, makes no other slow.
func TestHijacked(t *testing.T) {
	chat := new(sums.Sum)
	b := New(func() map[string]*sums.Sum { return map[string]*sums.Sum{"chat": chat} })
	b.Look()
	chat.Requests[0][6][14]++
	chat.Nanos[6] += uint64(time.Hour)
	chat.Requests[0][2][0]++
	chat.Nanos[2] += uint64(time.Millisecond)
	b.Look()
	if got := b.Handlers()["chat"].Points; len(got) != 1 || got[0] != (Point{Requests: 2, Mean: time.Millisecond}) {
		t.Errorf("%+v", got)
	}
}
