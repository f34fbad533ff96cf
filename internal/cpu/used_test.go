package cpu

import (
	"runtime"
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

// TestThreadUsed: it counts the work of this thread, and not that of others.
func TestThreadUsed(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, known := ThreadUsed()
	if known != (runtime.GOOS == "linux") {
		t.Fatalf("known: %v", known)
	}
	if !known {
		return
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		if used, _ := ThreadUsed(); used-before > 20*time.Millisecond {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("30 s of work are no processor time")
		}
	}
	before, _ = ThreadUsed()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for start := Used(); Used()-start < 200*time.Millisecond; {
		}
	}()
	<-done
	if used, _ := ThreadUsed(); used-before > 100*time.Millisecond {
		t.Errorf("%v of another thread's 200 ms were counted", used-before)
	}
}
