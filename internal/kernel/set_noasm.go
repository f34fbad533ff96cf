//go:build (!amd64 && !arm64) || purego

package kernel

import "github.com/penstock-llm/penstock/internal/cpu"

// available are the tiers that have kernels in this build.
var available = []cpu.Tier{cpu.Generic}

// twoDotPorts is never asked: the generic tier has no products of its own.
func twoDotPorts() bool { return false }

//go:noinline
func pause(n int) {
	for range n {
		spin()
	}
}

//go:noinline
func spin() {}
