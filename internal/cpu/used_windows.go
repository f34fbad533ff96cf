package cpu

import (
	"syscall"
	"time"
)

// Used is the processor time that this process has taken so far, in user and in
// system mode, of all its threads together.
func Used() time.Duration {
	process, err := syscall.GetCurrentProcess()
	if err != nil {
		return 0
	}
	var created, exited, kernel, user syscall.Filetime
	if syscall.GetProcessTimes(process, &created, &exited, &kernel, &user) != nil {
		return 0
	}
	return time.Duration(ticks(kernel)+ticks(user)) * 100
}

// ticks converts a Filetime that holds a duration, in units of 100 ns. Its own
// method Nanoseconds is for dates: it subtracts the years from 1601 to 1970.
func ticks(t syscall.Filetime) int64 { return int64(t.HighDateTime)<<32 | int64(t.LowDateTime) }
