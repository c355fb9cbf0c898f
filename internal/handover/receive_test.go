package handover

import "testing"

// The watch may find a request that lasts and come to its decision when that has
// ended, or when it has made another goroutine read by itself.
func TestPassedOnce(t *testing.T) {
	r := &receiver{} // would crash if it read
	step := r.step.Add(1)
	if !r.step.CompareAndSwap(step, step+1) {
		t.Fatal("the request has not ended")
	}
	if r.pass(step) {
		t.Error("passed on after its end")
	}
	r.step.Add(1)
	if r.pass(step) {
		t.Error("the next request was passed on in its place")
	}
}
