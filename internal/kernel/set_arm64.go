//go:build !purego

package kernel

import "github.com/penstock-llm/penstock/internal/cpu"

// available are the tiers that have kernels in this build and that the processor
// has, the best last.
var available = cpu.Tiers()

// twoDotPorts is never asked: it is about a tier of another architecture.
func twoDotPorts() bool { return false }

//go:noinline
func pause(n int) {
	for range n {
		spin()
	}
}

//go:noinline
func spin() {}
