//go:build amd64 && !purego

package kernel

import "github.com/penstock-llm/penstock/internal/quant"

// pairFunc multiplies pairs of groups of packed weights, one after the other from
// quants and scales on, with a panel of 8 columns, and gives the bits that the
// vnniFunc of the format gives. sums is pairSums bytes of memory, aligned to a cache
// line; the other arguments are as there. The weights should be in the caches.
type pairFunc func(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

// pairSums is for the float sums of two groups and as many of the first halves of
// blocks, of each column of a panel.
const pairSums = 2 * 2 * PanelCols * 4 * Lanes

// pairFuncs has no entry for the formats without a pair kernel.
var pairFuncs = [len(formats)]pairFunc{
	quant.Q8_0:    vnniPairQ8_0,
	quant.Q4_0:    vnniPairQ4_0,
	quant.Q4_1:    vnniPairQ4_1,
	quant.Q5_0:    vnniPairQ5_0,
	quant.Q5_1:    vnniPairQ5_1,
	quant.Q3_K:    vnniPairQ3_K,
	quant.Q4_K:    vnniPairQ4_K,
	quant.Q5_K:    vnniPairQ5_K,
	quant.Q6_K:    vnniPairQ6_K,
	quant.IQ4_NL:  vnniPairIQ4_NL,
	quant.IQ4_XS:  vnniPairIQ4_XS,
	quant.MXFP4:   vnniPairMXFP4,
	quant.IQ2_XXS: vnniPairIQ2_XXS,
	quant.IQ2_XS:  vnniPairIQ2_XS,
	quant.IQ2_S:   vnniPairIQ2_XS, // packed alike
	quant.IQ3_XXS: vnniPairIQ3_XXS,
	quant.IQ3_S:   vnniPairIQ3_S,
	quant.TQ1_0:   vnniPairTQ2_0, // packed alike
	quant.TQ2_0:   vnniPairTQ2_0,
	quant.Q2_0:    vnniPairQ2_0,
	quant.Q1_0:    vnniPairQ1_0,
}

//go:noescape
func vnniPairQ8_0(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairQ4_0(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairQ4_1(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairQ5_0(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairQ5_1(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairQ3_K(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairQ4_K(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairQ5_K(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairQ6_K(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairIQ4_NL(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairIQ4_XS(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairMXFP4(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairIQ2_XXS(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairIQ2_XS(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairIQ3_XXS(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairIQ3_S(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairTQ2_0(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairQ2_0(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)

//go:noescape
func vnniPairQ1_0(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)
