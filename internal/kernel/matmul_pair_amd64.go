//go:build amd64 && !purego

package kernel

import (
	"unsafe"

	"github.com/penstock-llm/penstock/internal/quant"
)

// Pairs of groups against full panels, for processors that start two VPDPBUSD a cycle.
// The weights of a pair are unfolded once to bytes and float32 factors, in memory
// that the caller lends, and then meet one panel after the other.

// unfoldFunc unfolds a pair of groups, from quants and scales on, to records from to
// on, one for each block of 32 values; _asm/matmul/unfold.go says what they are.
type unfoldFunc func(quants, scales, to *byte, blocks int)

// pairFunc multiplies an unfolded pair with a panel of 8 columns and gives the bits
// that the vnniFunc of the format gives. sums is spaceSums bytes of memory, aligned to
// a cache line. Each block asks for nextBytes of memory, from next on.
type pairFunc func(weights, x, fields, next *byte, y, sums *float32, blocks, ldy, add int)

// nextBytes is what a pair kernel asks for with each block.
const nextBytes = 2 * 64

// pairFunc is the pair kernel of a format.
func (g geometry) pairFunc() pairFunc {
	switch {
	case g.stream == halvesStream && g.minimum:
		return vnniPairMinima
	case g.stream == halvesStream:
		return vnniPairHalves
	case g.stream == affineStream:
		return vnniPairAffine
	}
	return vnniPairOffset
}

// pairPanels is the number of full panels from which unfolding the weights pays, by
// measurement on Emerald Rapids. It takes nearly as long as one panel does.
func (g geometry) pairPanels() int {
	switch {
	case g.planes[0] == 8: // nothing is saved but loads
		return 16
	case g.stream == halvesStream:
		return 3
	}
	return 5
}

// paired reports whether the product is one for pairs of groups.
func (t *tiling) paired(p pairing) bool {
	least := 1
	if p == pairsOfMany {
		least = t.m.format.pairPanels()
	}
	return p != noPairs && t.p.Cols >= least*PanelCols && unfoldFuncs[t.m.Type] != nil && len(t.space) >= SpaceBytes(t.m.Cols)
}

// pairs multiplies n groups from g on, an even number, with the full panels. While a
// pair meets them, the next pair is fetched from memory.
func (t *tiling) pairs(g, n int) {
	m, multiply := t.m, t.m.format.pairFunc()
	blocks := m.Cols / BlockLen
	sums, weights := (*float32)(unsafe.Pointer(&t.space[0])), &t.space[spaceSums]
	for end := g + n; g < end; g += 2 {
		unfoldFuncs[m.Type](&m.Data[g*m.quantBytes], &m.Scales[g*m.scaleBytes], weights, blocks)
		following := m.Data[min(g+2, m.Groups()-1)*m.quantBytes:]
		following = following[:min(len(following), 2*m.quantBytes)]
		for i := range t.p.Cols / PanelCols {
			q := t.p.panel(i)
			panel := t.p.streams(q)
			next := &following[min(i*blocks*nextBytes, len(following)-1)]
			multiply(weights, &panel.quants(0, 0)[0], &panel.fields(m.format.stream, 0, 0)[0], next,
				&t.y[q.first*t.ldy+g*Lanes], sums, blocks, t.ldy, t.add)
		}
	}
}

var unfoldFuncs = [len(formats)]unfoldFunc{
	quant.Q8_0:    vnniUnfoldQ8_0,
	quant.Q4_0:    vnniUnfoldQ4_0,
	quant.Q4_1:    vnniUnfoldQ4_1,
	quant.Q5_0:    vnniUnfoldQ5_0,
	quant.Q5_1:    vnniUnfoldQ5_1,
	quant.Q2_K:    vnniUnfoldQ2_K,
	quant.Q3_K:    vnniUnfoldQ3_K,
	quant.Q4_K:    vnniUnfoldQ4_K,
	quant.Q5_K:    vnniUnfoldQ5_K,
	quant.Q6_K:    vnniUnfoldQ6_K,
	quant.IQ4_NL:  vnniUnfoldIQ4_NL,
	quant.IQ4_XS:  vnniUnfoldIQ4_XS,
	quant.MXFP4:   vnniUnfoldMXFP4,
	quant.IQ2_XXS: vnniUnfoldIQ2_XXS,
	quant.IQ2_XS:  vnniUnfoldIQ2_XS,
	quant.IQ2_S:   vnniUnfoldIQ2_XS, // packed alike
	quant.IQ3_XXS: vnniUnfoldIQ3_XXS,
	quant.IQ3_S:   vnniUnfoldIQ3_S,
	quant.TQ1_0:   vnniUnfoldTQ2_0, // packed alike
	quant.TQ2_0:   vnniUnfoldTQ2_0,
	quant.Q2_0:    vnniUnfoldQ2_0,
	quant.Q1_0:    vnniUnfoldQ1_0,
}

//go:noescape
func vnniPairOffset(weights, x, fields, next *byte, y, sums *float32, blocks, ldy, add int)

//go:noescape
func vnniPairAffine(weights, x, fields, next *byte, y, sums *float32, blocks, ldy, add int)

//go:noescape
func vnniPairHalves(weights, x, fields, next *byte, y, sums *float32, blocks, ldy, add int)

//go:noescape
func vnniPairMinima(weights, x, fields, next *byte, y, sums *float32, blocks, ldy, add int)

//go:noescape
func vnniUnfoldQ8_0(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldQ4_0(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldQ4_1(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldQ5_0(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldQ5_1(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldQ2_K(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldQ3_K(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldQ4_K(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldQ5_K(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldQ6_K(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldIQ4_NL(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldIQ4_XS(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldMXFP4(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldIQ2_XXS(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldIQ2_XS(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldIQ3_XXS(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldIQ3_S(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldTQ2_0(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldQ2_0(quants, scales, to *byte, blocks int)

//go:noescape
func vnniUnfoldQ1_0(quants, scales, to *byte, blocks int)
