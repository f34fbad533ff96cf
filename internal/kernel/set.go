// Package kernel holds the inner loops of the compute path: matrix products
// over packed quantised weights, attention over KV blocks, elementwise
// operations and the vector part of sampling. Raw slices go in, raw slices come
// out; it knows nothing of models, threads or requests. Packages nn and sample
// call it.
//
// Every function is a method of Set, which carries the tier. The generic tier
// is the specification of the others. A kernel is a family of files: the
// contract (matmul.go), the specification (matmul_generic.go), the dispatch
// (matmul_amd64.go, matmul_noasm.go) and the generated assembly, which comes
// from the nested module _asm.
//
// Wrong lengths are programmer errors and panic, before any assembly runs.
package kernel

import (
	"slices"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// Set is the kernels of one tier. The zero Set is the generic one.
type Set struct {
	tier     cpu.Tier // whose kernels run: a tier that is its own base
	products cpu.Tier // and whose products of matrices: that tier, or one that has it for its base

	// pairs: full panels meet two groups of quantised weights at a time, which are taken
	// apart before. That serves processors that can start two VPDPBUSD a cycle, and those
	// with AVX2 only; the bits are the same.
	pairs pairing
}

// pairing says for which products pairs of groups are taken.
type pairing uint8

const (
	noPairs     pairing = iota
	pairsOfMany         // for as many columns as make up for unfolding the weights
	pairsOfAll          // whenever there is a full panel: for tests
)

// New returns the kernels of tier t, or of the best tier below it that this
// machine can run.
func New(t cpu.Tier) Set {
	s := Set{}
	for _, tier := range available {
		if tier <= t {
			s = Set{tier: tier.Base(), products: tier}
		}
	}
	if s.products == cpu.AVX2 || s.tier == cpu.AVX512VNNI && twoDotPorts() {
		s.pairs = pairsOfMany
	}
	return s
}

// Tier is the tier that s runs.
func (s Set) Tier() cpu.Tier { return s.products }

// Tile is the rows of weights and the columns of a panel that the products of a
// prompt keep in registers at once.
func (s Set) Tile() (rows, cols int) {
	switch {
	case s.tier == cpu.AVX2:
		return Lanes, 4
	case s.pairs != noPairs:
		return 2 * Lanes, PanelCols
	case s.tier == cpu.DotProd:
		return Lanes / 2, PanelCols
	}
	return Lanes, PanelCols
}

// Tiers lists what this machine can run, best first.
func Tiers() []cpu.Tier {
	ts := slices.Clone(available)
	slices.Reverse(ts)
	return ts
}

// best is the highest tier that has kernels in this build.
func best() cpu.Tier { return available[len(available)-1] }

// Pause spins for about n PAUSE instructions without leaving the processor.
func Pause(n int) { pause(n) }
