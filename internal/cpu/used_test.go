package cpu

import (
	"testing"
	"time"
)

// TestUsed: the time goes on while the process works, and stands still while it
// sleeps.
func TestUsed(t *testing.T) {
	before, deadline := Used(), time.Now().Add(2*time.Minute)
	for Used()-before < 100*time.Millisecond {
		if time.Now().After(deadline) {
			t.Fatalf("%v of processor time after two minutes of work", Used()-before)
		}
	}
	start := Used()
	time.Sleep(100 * time.Millisecond)
	if took := Used() - start; took > 60*time.Millisecond {
		t.Errorf("%v of processor time in 100 ms of sleep", took)
	}
}
