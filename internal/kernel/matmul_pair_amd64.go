//go:build amd64 && !purego

package kernel

import (
	"unsafe"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/quant"
)

// Pairs of groups against full panels, for processors that start two VPDPBUSD a cycle, and
// for those with AVX2 only, where taking some weights apart is a third of the work.
// A piece of a pair's weights, some blocks long, is unfolded to bytes and float32 factors,
// in memory that the caller lends, and then meets one panel after the other. A piece is
// short enough to stay in the first-level cache: written to the second level, unfolding
// takes three times as long. Between pieces the sums of all panels are in that memory, too.

// unfoldFunc unfolds blocks of a group, from quants and scales on, to a pair's records, of
// which the group's part begins at to; _asm/matmul/unfold.go says what they are.
type unfoldFunc func(quants, scales, to *byte, blocks int)

// pairFunc multiplies an unfolded piece with panels of 8 columns, apart bytes from each
// other, and adds what the vnniFunc of the format would to their sums, pairSums bytes for
// each. The sums begin at zero if first is 1. Those of the last piece go to y, column by
// column, each ldy after the one before: they replace what is there if add is 0, and are
// added to it if it is 1. Those of the pieces before it, where add is keepSums, stay. Each
// block of a panel asks for nextBytes of memory, from next on, and for as much of y.
type pairFunc func(weights, x, fields, next *byte, sums, y *float32, blocks, panels, apart, ldy, first, add int)

// keepSums is a pairFunc's add for all pieces but the last.
const keepSums = -1

// nextBytes is what a pair kernel asks for with each block.
const nextBytes = 2 * 64

// pairKernels are what a tier has for pairs of a format.
type pairKernels struct {
	unfold   unfoldFunc
	multiply pairFunc
}

// pairKernels are those of a type of weights, none if it has no pairs.
func (s Set) pairKernels(t quant.Type) pairKernels {
	if s.tier == cpu.AVX512VNNI {
		return vnniPairs[t]
	}
	return avx2Pairs[t]
}

// pairPanels is the number of full panels from which unfolding the weights pays, by
// measurement on Emerald Rapids, and on Zen 3 for AVX2. It takes from a third to half as
// long as one panel does.
func (g geometry) pairPanels(t cpu.Tier) int {
	switch {
	case g.planes[0] == 8: // nothing is saved but loads
		return 8
	case g.stream == halvesStream, t == cpu.AVX2:
		return 2
	}
	return 3
}

// paired reports whether the product is one for pairs of groups.
func (t *tiling) paired(s Set) bool {
	least := 1
	if s.pairs == pairsOfMany {
		least = t.m.format.pairPanels(s.tier)
	}
	return s.pairs != noPairs && t.p.Cols >= least*PanelCols && s.pairKernels(t.m.Type).unfold != nil && len(t.space) >= SpaceBytes
}

// pairs multiplies n groups from g on, an even number, with the full panels.
func (t *tiling) pairs(s Set, g, n int) {
	full := t.p.Cols / PanelCols
	for first := 0; first < full; first += spacePanels {
		for at := g; at < g+n; at += 2 {
			t.pair(s, at, first, min(spacePanels, full-first))
		}
	}
}

// pair multiplies two groups from g on with panels from the first on. While they meet,
// the next pair is fetched from memory.
func (t *tiling) pair(s Set, g, first, panels int) {
	m, k := t.m, s.pairKernels(t.m.Type)
	sums, weights := (*float32)(unsafe.Pointer(&t.space[0])), t.space[spaceSums:]
	following := m.Data[min(g+2, m.Groups()-1)*m.quantBytes:]
	following = following[:min(len(following), 2*m.quantBytes)]
	q := t.p.panel(first)
	panel := t.p.streams(q)
	blocks, piece := panel.blocks, m.format.pieceBlocks(panel.blocks)
	for b := 0; b < blocks; b += piece {
		n := min(piece, blocks-b)
		for i := range 2 {
			quants, scales := m.piece(g+i, b)
			k.unfold(quants, scales, &weights[i*4*Lanes], n)
		}
		next := &following[min(b*panels*nextBytes, len(following)-1)]
		begin, y, ldy, add := 0, sums, 2*Lanes, keepSums // what is asked for as y are the sums
		if b == 0 {
			begin = 1
		}
		if b+n == blocks {
			y, ldy, add = &t.y[q.first*t.ldy+g*Lanes], t.ldy, t.add
		}
		k.multiply(&weights[0], &panel.quants(b, 0)[0], &panel.fields(m.format.stream, b, 0)[0], next, sums, y, n, panels, len(panel.data), ldy, begin, add)
	}
}

// piece is where block b of group g begins.
func (m *Matrix) piece(g, b int) (quants, scales *byte) {
	q, s := m.group(g)
	return &q[b*m.format.quants], &s[b*BlockLen/m.format.unit*m.format.scales]
}

// pieceBlocks is the length of pieces of a row of so many blocks: whole units, about
// equally many for each piece.
func (f *format) pieceBlocks(blocks int) int {
	pieces := (blocks + maxPiece - 1) / maxPiece
	unit := f.unit / BlockLen
	return ((blocks+pieces-1)/pieces + unit - 1) / unit * unit
}

var vnniPairs = [len(formats)]pairKernels{
	quant.Q8_0:    {vnniUnfoldQ8_0, vnniPairOffset},
	quant.Q4_0:    {vnniUnfoldQ4_0, vnniPairOffset},
	quant.Q4_1:    {vnniUnfoldQ4_1, vnniPairAffine},
	quant.Q5_0:    {vnniUnfoldQ5_0, vnniPairOffset},
	quant.Q5_1:    {vnniUnfoldQ5_1, vnniPairAffine},
	quant.Q2_K:    {vnniUnfoldQ2_K, vnniPairMinima},
	quant.Q3_K:    {vnniUnfoldQ3_K, vnniPairHalves},
	quant.Q4_K:    {vnniUnfoldQ4_K, vnniPairAffine},
	quant.Q5_K:    {vnniUnfoldQ5_K, vnniPairAffine},
	quant.Q6_K:    {vnniUnfoldQ6_K, vnniPairHalves},
	quant.IQ4_NL:  {vnniUnfoldIQ4_NL, vnniPairOffset},
	quant.IQ4_XS:  {vnniUnfoldIQ4_XS, vnniPairOffset},
	quant.MXFP4:   {vnniUnfoldMXFP4, vnniPairOffset},
	quant.IQ2_XXS: {vnniUnfoldIQ2_XXS, vnniPairOffset},
	quant.IQ2_XS:  {vnniUnfoldIQ2_XS, vnniPairHalves},
	quant.IQ2_S:   {vnniUnfoldIQ2_XS, vnniPairHalves}, // packed alike
	quant.IQ3_XXS: {vnniUnfoldIQ3_XXS, vnniPairOffset},
	quant.IQ3_S:   {vnniUnfoldIQ3_S, vnniPairOffset},
	quant.TQ1_0:   {vnniUnfoldTQ2_0, vnniPairOffset}, // packed alike
	quant.TQ2_0:   {vnniUnfoldTQ2_0, vnniPairOffset},
	quant.Q2_0:    {vnniUnfoldQ2_0, vnniPairOffset},
	quant.Q1_0:    {vnniUnfoldQ1_0, vnniPairOffset},
}

//go:noescape
func vnniPairOffset(weights, x, fields, next *byte, sums, y *float32, blocks, panels, apart, ldy, first, add int)

//go:noescape
func vnniPairAffine(weights, x, fields, next *byte, sums, y *float32, blocks, panels, apart, ldy, first, add int)

//go:noescape
func vnniPairHalves(weights, x, fields, next *byte, sums, y *float32, blocks, panels, apart, ldy, first, add int)

//go:noescape
func vnniPairMinima(weights, x, fields, next *byte, sums, y *float32, blocks, panels, apart, ldy, first, add int)

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
