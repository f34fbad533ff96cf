//go:build unix

package cpu

import (
	"syscall"
	"time"
)

// Used is the processor time that this process has taken so far, in user and in
// system mode, of all its threads together.
func Used() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
