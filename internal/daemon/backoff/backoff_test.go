package backoff

import (
	"fmt"
	"testing"
	"time"
)

func TestPauses(t *testing.T) {
	var r Restarts
	var retries Retries
	var restarts, passing []time.Duration
	last := 0
	for range 10 {
		pause, number := r.Begin()
		if !r.Is(number) || r.Is(last) || !r.Pausing() {
			t.Errorf("pause %d is not under way, or %d is", number, last)
		}
		restarts, passing, last = append(restarts, pause), append(passing, retries.Next()), number
	}
	if want := "[0s 100ms 200ms 400ms 800ms 1.6s 3.2s 6.4s 10s 10s]"; fmt.Sprint(restarts) != want {
		t.Errorf("restarts after %v", restarts)
	}
	if want := "[1s 2s 4s 8s 16s 30s 30s 30s 30s 30s]"; fmt.Sprint(passing) != want {
		t.Errorf("retries after %v", passing)
	}
	if r.End(); r.Pausing() || r.Is(last) || r.Is(0) {
		t.Error("the pause goes on")
	}
	r.Lived(restartReset)
	if pause, _ := r.Begin(); pause == 0 {
		t.Error("it has not lived for long enough")
	}
	r.Lived(restartReset + 1)
	if pause, _ := r.Begin(); pause != 0 {
		t.Error("it has lived for long enough")
	}
	if retries.Forget(); retries.Next() != PassingMin {
		t.Error("the retries go on")
	}
}

func TestTooOften(t *testing.T) {
	begin := time.Unix(0, 0)
	for _, tt := range []struct {
		limit int
		at    []int // seconds
		want  string
	}{
		{0, []int{0, 0, 0, 0}, "[false false false false]"},
		{1, []int{0}, "[true]"},
		{3, []int{0, 1, 2}, "[false false true]"},
		{3, []int{0, 31, 62, 93}, "[false false false false]"},
		{3, []int{0, 31, 60}, "[false false true]"},
	} {
		var r Restarts
		var got []bool
		for _, at := range tt.at {
			got = append(got, r.TooOften(begin.Add(time.Duration(at)*time.Second), tt.limit, time.Minute))
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("%d within a minute, at %v: %v", tt.limit, tt.at, got)
		}
		if r.Forget(); r.Failures() != 0 {
			t.Error("they are not forgotten")
		}
	}
}
