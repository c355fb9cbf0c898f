package lifecycle_test

import (
	"fmt"
	"time"

	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

// A handler's file is admitted, its version is started and proved, gets its patterns,
// and dies. Each event says what is to be done.
func Example() {
	now := lifecycle.Now{Time: time.Unix(0, 0)}
	h := lifecycle.New("users", store.Record{}, false, lifecycle.Rules{CrashLimit: 3, CrashWindow: time.Minute}, now.Time)
	tell := func(e lifecycle.Event) {
		fmt.Printf("%T:", e)
		for _, a := range h.Handle(now, e) {
			fmt.Printf(" %T", a)
		}
		fmt.Println()
	}
	tell(lifecycle.FileSettled{Name: "users.so", ID: handlerdir.ID{Ino: 1}})
	tell(lifecycle.Admitted{Version: store.Version{Sum: "abc"}})
	tell(lifecycle.IsReady{Seat: h.Next, Patterns: []string{"/users"}})
	tell(lifecycle.Granted{Seat: h.Next, Seq: 1})
	tell(lifecycle.Died{Seat: h.Live, How: "exit status 2"})
	// Output:
	// lifecycle.FileSettled: lifecycle.Admit
	// lifecycle.Admitted: lifecycle.Start
	// lifecycle.IsReady: lifecycle.Claim
	// lifecycle.Granted: lifecycle.Publish lifecycle.Save lifecycle.Decided
	// lifecycle.Died: lifecycle.Wake
}
