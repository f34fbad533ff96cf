//go:build !linux

package cpu

import "time"

// ThreadUsed is not known on this system.
func ThreadUsed() (used time.Duration, known bool) { return 0, false }
