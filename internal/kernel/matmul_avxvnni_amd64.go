//go:build amd64 && !purego

package kernel

import "github.com/penstock-llm/penstock/internal/quant"

// avxVNNIFuncs take 4 columns of the halves formats, too.
var avxVNNIFuncs = [...]avx2Func{
	quant.Q8_0:    avxVNNIQ8_0,
	quant.Q4_0:    avxVNNIQ4_0,
	quant.Q4_1:    avxVNNIQ4_1,
	quant.Q5_0:    avxVNNIQ5_0,
	quant.Q5_1:    avxVNNIQ5_1,
	quant.Q2_K:    avxVNNIQ2_K,
	quant.Q3_K:    avxVNNIQ3_K,
	quant.Q4_K:    avxVNNIQ4_K,
	quant.Q5_K:    avxVNNIQ5_K,
	quant.Q6_K:    avxVNNIQ6_K,
	quant.IQ4_NL:  avxVNNIIQ4_NL,
	quant.IQ4_XS:  avxVNNIIQ4_XS,
	quant.MXFP4:   avxVNNIMXFP4,
	quant.IQ2_XXS: avxVNNIIQ2_XXS,
	quant.IQ2_XS:  avxVNNIIQ2_XS,
	quant.IQ2_S:   avxVNNIIQ2_XS, // packed alike
	quant.IQ3_XXS: avxVNNIIQ3_XXS,
	quant.IQ3_S:   avxVNNIIQ3_S,
	quant.TQ1_0:   avxVNNITQ2_0, // packed alike
	quant.TQ2_0:   avxVNNITQ2_0,
	quant.Q2_0:    avxVNNIQ2_0,
	quant.Q1_0:    avxVNNIQ1_0,
}

//go:noescape
func avxVNNIQ8_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIQ4_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIQ4_1(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIQ5_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIQ5_1(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIQ2_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIQ3_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIQ4_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIQ5_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIQ6_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIIQ4_NL(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIIQ4_XS(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIMXFP4(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIIQ2_XXS(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIIQ2_XS(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIIQ3_XXS(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIIQ3_S(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNITQ2_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIQ2_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avxVNNIQ1_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)
