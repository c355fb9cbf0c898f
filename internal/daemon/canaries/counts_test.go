package canaries

import (
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/daemon/analysis"
	"github.com/andrestc/go-plugserver/internal/daemon/sums"
)

// A canary's requests that are lost with a process, as where its machine runs out of memory once, are not taken for some that hang.
func TestLostDoNotHang(t *testing.T) {
	for end, want := range map[bool]analysis.Verdict{true: analysis.Open, false: analysis.Withdraw} {
		book := sums.New()
		open := func(cell uint64, name string) *counter.Handler {
			files := book.Open(cell, []link.Plugin{{Name: name}})
			return counter.MapHandlers(files, 1)[0]
		}
		serve := func(h *counter.Handler, begun, ended int, at time.Time) {
			for range begun {
				h.Begin("GET", at)
			}
			for range ended {
				h.End("GET", at, 200, time.Millisecond, 0, 0)
			}
		}
		canary, incumbent := open(1, "c"), open(2, "i")
		start := time.Unix(1_000_000, 0)
		j := analysis.New(analysis.Rules{For: time.Hour, MinRequests: 1, MaxSlowdown: 2}, start, counted(book, "c", false), counted(book, "i", false))
		got, why := analysis.Open, ""
		for s := 1; s < 120 && got == analysis.Open; s++ {
			at := start.Add(time.Duration(s) * time.Second)
			serve(incumbent, 380, 380, at)
			if s == 20 {
				serve(canary, 20, 0, at)
				if end {
					book.Close(1)
					canary = open(3, "c")
				}
			} else {
				serve(canary, 20, 20, at)
			}
			got, why = j.Look(at.Add(900*time.Millisecond), counted(book, "c", false), counted(book, "i", false))
		}
		if got != want {
			t.Errorf("its process ends, %t: verdict %v, want %v: %s", end, got, want, why)
		}
	}
}
