//go:build amd64 && !purego

package kernel

import "github.com/penstock-llm/penstock/internal/cpu"

// detected is the tier that CPUID reports. It never changes while the process
// runs.
var detected = cpu.Detect()

// best is the highest tier that has kernels in this build.
func best() cpu.Tier { return detected }

//go:noescape
func pause(n int)
