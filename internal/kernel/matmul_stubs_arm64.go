//go:build !purego

package kernel

import "github.com/penstock-llm/penstock/internal/quant"

// neonFunc multiplies groups of packed weights, one after the other from quants and
// scales on, with 1, 2, 4 or 8 columns of a panel of width columns; x and fields point
// to the first. sums is neonSums bytes of memory. A call can't be preempted: the
// caller bounds groups.
type neonFunc func(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

// neonSums is for the float sums of half a group and as many of the first halves of
// blocks, of each column of a panel.
const neonSums = 2 * PanelCols * 4 * Lanes / 2

var sdotFuncs = [...]neonFunc{
	quant.Q8_0:    sdotQ8_0,
	quant.Q4_0:    sdotQ4_0,
	quant.Q4_1:    sdotQ4_1,
	quant.Q5_0:    sdotQ5_0,
	quant.Q5_1:    sdotQ5_1,
	quant.Q2_K:    sdotQ2_K,
	quant.Q3_K:    sdotQ3_K,
	quant.Q4_K:    sdotQ4_K,
	quant.Q5_K:    sdotQ5_K,
	quant.Q6_K:    sdotQ6_K,
	quant.IQ4_NL:  sdotIQ4_NL,
	quant.IQ4_XS:  sdotIQ4_XS,
	quant.MXFP4:   sdotMXFP4,
	quant.IQ2_XXS: sdotIQ2_XXS,
	quant.IQ2_XS:  sdotIQ2_XS,
	quant.IQ2_S:   sdotIQ2_XS, // packed alike
	quant.IQ3_XXS: sdotIQ3_XXS,
	quant.IQ3_S:   sdotIQ3_S,
	quant.TQ1_0:   sdotTQ2_0, // packed alike
	quant.TQ2_0:   sdotTQ2_0,
	quant.Q2_0:    sdotQ2_0,
	quant.Q1_0:    sdotQ1_0,
}

// smmlaFuncs multiply 8 columns with SMMLA, and fewer with SDOT.
var smmlaFuncs = [...]neonFunc{
	quant.Q8_0:    smmlaQ8_0,
	quant.Q4_0:    smmlaQ4_0,
	quant.Q4_1:    smmlaQ4_1,
	quant.Q5_0:    smmlaQ5_0,
	quant.Q5_1:    smmlaQ5_1,
	quant.Q2_K:    smmlaQ2_K,
	quant.Q3_K:    smmlaQ3_K,
	quant.Q4_K:    smmlaQ4_K,
	quant.Q5_K:    smmlaQ5_K,
	quant.Q6_K:    smmlaQ6_K,
	quant.IQ4_NL:  smmlaIQ4_NL,
	quant.IQ4_XS:  smmlaIQ4_XS,
	quant.MXFP4:   smmlaMXFP4,
	quant.IQ2_XXS: smmlaIQ2_XXS,
	quant.IQ2_XS:  smmlaIQ2_XS,
	quant.IQ2_S:   smmlaIQ2_XS, // packed alike
	quant.IQ3_XXS: smmlaIQ3_XXS,
	quant.IQ3_S:   smmlaIQ3_S,
	quant.TQ1_0:   smmlaTQ2_0, // packed alike
	quant.TQ2_0:   smmlaTQ2_0,
	quant.Q2_0:    smmlaQ2_0,
	quant.Q1_0:    smmlaQ1_0,
}

// floatFunc multiplies float weights with 1, 2 or 4 columns of the float copy of a panel
// of width columns.
type floatFunc func(weights *byte, x, y *float32, k, groups, ldy, cols, width, add int)

var floatFuncs = [...]floatFunc{
	quant.F32:  floatF32NEON,
	quant.F16:  floatF16NEON,
	quant.BF16: floatBF16NEON,
}

//go:noescape
func floatF32NEON(weights *byte, x, y *float32, k, groups, ldy, cols, width, add int)

//go:noescape
func floatF16NEON(weights *byte, x, y *float32, k, groups, ldy, cols, width, add int)

//go:noescape
func floatBF16NEON(weights *byte, x, y *float32, k, groups, ldy, cols, width, add int)

//go:noescape
func sdotQ8_0(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotQ4_0(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotQ4_1(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotQ5_0(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotQ5_1(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotQ2_K(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotQ3_K(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotQ4_K(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotQ5_K(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotQ6_K(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotIQ4_NL(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotIQ4_XS(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotMXFP4(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotIQ2_XXS(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotIQ2_XS(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotIQ3_XXS(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotIQ3_S(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotTQ2_0(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotQ2_0(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func sdotQ1_0(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaQ8_0(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaQ4_0(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaQ4_1(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaQ5_0(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaQ5_1(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaQ2_K(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaQ3_K(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaQ4_K(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaQ5_K(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaQ6_K(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaIQ4_NL(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaIQ4_XS(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaMXFP4(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaIQ2_XXS(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaIQ2_XS(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaIQ3_XXS(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaIQ3_S(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaTQ2_0(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaQ2_0(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)

//go:noescape
func smmlaQ1_0(quants, scales, x, fields *byte, y, sums *float32, blocks, groups, ldy, cols, width, add int)
