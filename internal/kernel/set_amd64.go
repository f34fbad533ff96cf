//go:build amd64 && !purego

package kernel

import (
	"sync"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// available are the tiers that have kernels in this build and that the processor
// has, the best last. They never change while the process runs.
var available = cpu.Tiers()

// twoDotPorts reports whether this processor starts more than one VPDPBUSD of 64
// bytes a cycle. It is measured once, in about a millisecond, against a chain of
// additions, which does one a cycle at whatever clock the core has. Of several passes
// the fastest counts: the others were interrupted. A neighbour on the same core takes
// ports away but does not slow the chain, and may stay for longer than that: what
// looks like one port is measured for a hundredth of a second.
var twoDotPorts = sync.OnceValue(func() bool {
	const rounds, passes, morePasses = 500, 40, 500
	const perCycle = 1.5 // between one port and two
	dots, chain := time.Hour, time.Hour
	for pass := 0; pass < passes || pass < morePasses && float64(chain) <= perCycle*float64(dots); pass++ {
		start := time.Now()
		ceilingDotAVX512(rounds)
		between := time.Now()
		ceilingChain(rounds)
		dots, chain = min(dots, between.Sub(start)), min(chain, time.Since(between))
	}
	return float64(chain) > perCycle*float64(dots)
})

//go:noescape
func pause(n int)
