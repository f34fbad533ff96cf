//go:build amd64 && !purego

package kernel

import "github.com/penstock-llm/penstock/internal/quant"

//go:generate go -C _asm run ./matmul -dir ..

// vnniFunc multiplies groups of packed weights, one after the other from quants
// and scales on, with a panel of 1 to 8 columns. x and fields are the panel's
// quants and the stream that the format reads. Quants are prefetched at the
// distance ahead, by two streams if apart says how far from each other. A call can't be
// preempted: the caller bounds groups.
type vnniFunc func(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

// avx2Func multiplies with 1, 2 or 4 columns (1 or 2 in the halves formats) of a
// panel of width columns; x and fields point to the first.
type avx2Func func(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

// floatFunc multiplies float weights with the float copy of the columns.
type floatFunc func(weights *byte, x, y *float32, k, groups, ldy, cols, add int)

// floatAVX2Func does so with 1, 2 or 4 columns of a panel of width columns.
type floatAVX2Func func(weights *byte, x, y *float32, k, groups, ldy, cols, width, add int)

var vnniFuncs = [...]vnniFunc{
	quant.Q8_0:    vnniQ8_0,
	quant.Q4_0:    vnniQ4_0,
	quant.Q4_1:    vnniQ4_1,
	quant.Q5_0:    vnniQ5_0,
	quant.Q5_1:    vnniQ5_1,
	quant.Q2_K:    vnniQ2_K,
	quant.Q3_K:    vnniQ3_K,
	quant.Q4_K:    vnniQ4_K,
	quant.Q5_K:    vnniQ5_K,
	quant.Q6_K:    vnniQ6_K,
	quant.IQ4_NL:  vnniIQ4_NL,
	quant.IQ4_XS:  vnniIQ4_XS,
	quant.MXFP4:   vnniMXFP4,
	quant.IQ2_XXS: vnniIQ2_XXS,
	quant.IQ2_XS:  vnniIQ2_XS,
	quant.IQ2_S:   vnniIQ2_XS, // packed alike
	quant.IQ3_XXS: vnniIQ3_XXS,
	quant.IQ3_S:   vnniIQ3_S,
	quant.TQ1_0:   vnniTQ2_0, // packed alike
	quant.TQ2_0:   vnniTQ2_0,
	quant.Q2_0:    vnniQ2_0,
	quant.Q1_0:    vnniQ1_0,
}

var avx2Funcs = [...]avx2Func{
	quant.Q8_0:    avx2Q8_0,
	quant.Q4_0:    avx2Q4_0,
	quant.Q4_1:    avx2Q4_1,
	quant.Q5_0:    avx2Q5_0,
	quant.Q5_1:    avx2Q5_1,
	quant.Q2_K:    avx2Q2_K,
	quant.Q3_K:    avx2Q3_K,
	quant.Q4_K:    avx2Q4_K,
	quant.Q5_K:    avx2Q5_K,
	quant.Q6_K:    avx2Q6_K,
	quant.IQ4_NL:  avx2IQ4_NL,
	quant.IQ4_XS:  avx2IQ4_XS,
	quant.MXFP4:   avx2MXFP4,
	quant.IQ2_XXS: avx2IQ2_XXS,
	quant.IQ2_XS:  avx2IQ2_XS,
	quant.IQ2_S:   avx2IQ2_XS, // packed alike
	quant.IQ3_XXS: avx2IQ3_XXS,
	quant.IQ3_S:   avx2IQ3_S,
	quant.TQ1_0:   avx2TQ2_0, // packed alike
	quant.TQ2_0:   avx2TQ2_0,
	quant.Q2_0:    avx2Q2_0,
	quant.Q1_0:    avx2Q1_0,
}

var floatAVX512 = [...]floatFunc{
	quant.F32:  floatF32AVX512,
	quant.F16:  floatF16AVX512,
	quant.BF16: floatBF16AVX512,
}

var floatAVX2 = [...]floatAVX2Func{
	quant.F32:  floatF32AVX2,
	quant.F16:  floatF16AVX2,
	quant.BF16: floatBF16AVX2,
}

//go:noescape
func vnniQ8_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniQ4_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniQ4_1(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniQ5_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniQ5_1(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniQ2_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniQ3_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniQ4_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniQ5_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniQ6_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniIQ4_NL(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniIQ4_XS(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniMXFP4(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniIQ2_XXS(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniIQ2_XS(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniIQ3_XXS(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniIQ3_S(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniTQ2_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniQ2_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func vnniQ1_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)

//go:noescape
func avx2Q8_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2Q4_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2Q4_1(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2Q5_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2Q5_1(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2Q2_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2Q3_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2Q4_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2Q5_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2Q6_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2IQ4_NL(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2IQ4_XS(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2MXFP4(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2IQ2_XXS(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2IQ2_XS(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2IQ3_XXS(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2IQ3_S(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2TQ2_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2Q2_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func avx2Q1_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, ahead, add int)

//go:noescape
func floatF32AVX512(weights *byte, x, y *float32, k, groups, ldy, cols, add int)

//go:noescape
func floatF16AVX512(weights *byte, x, y *float32, k, groups, ldy, cols, add int)

//go:noescape
func floatBF16AVX512(weights *byte, x, y *float32, k, groups, ldy, cols, add int)

//go:noescape
func floatF32AVX2(weights *byte, x, y *float32, k, groups, ldy, cols, width, add int)

//go:noescape
func floatF16AVX2(weights *byte, x, y *float32, k, groups, ldy, cols, width, add int)

//go:noescape
func floatBF16AVX2(weights *byte, x, y *float32, k, groups, ldy, cols, width, add int)
