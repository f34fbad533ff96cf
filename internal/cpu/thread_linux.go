package cpu

import (
	"time"

	"golang.org/x/sys/unix"
)

// ThreadUsed is the processor time that the calling thread has taken so far. A
// goroutine that compares two readings must be locked to its thread.
func ThreadUsed() (used time.Duration, known bool) {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}
