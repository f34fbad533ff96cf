//go:build !unix

package load

import "time"

// ProcessCPU is not known here; reports leave the client's cost out.
func ProcessCPU() time.Duration { return 0 }
