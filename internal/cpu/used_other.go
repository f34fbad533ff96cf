//go:build !unix && !windows

package cpu

import "time"

// Used is not known on this system: it is always 0.
func Used() time.Duration { return 0 }
