//go:build amd64 && !purego

package kernel

import "github.com/penstock-llm/penstock/internal/quant"

// Pairs of groups with AVX2, see _asm/matmul/avx2_pair.go. Formats that are multiplied and
// scaled alike share a kernel: the number of products that are added in 16 bits and the
// gain are part of its name. Formats that a shift and a mask take apart have none.
var avx2Pairs = [len(formats)]pairKernels{
	quant.Q5_0:    {avx2UnfoldQ5_0, avx2PairOffsetRun4Gain8},
	quant.Q5_1:    {avx2UnfoldQ5_1, avx2PairAffineRun4},
	quant.Q2_K:    {avx2UnfoldQ2_K, avx2PairMinimaRun4Gain64},
	quant.Q3_K:    {avx2UnfoldQ3_K, avx2PairHalvesRun4Gain32},
	quant.Q4_K:    {avx2UnfoldQ4_K, avx2PairAffineRun8},
	quant.Q5_K:    {avx2UnfoldQ5_K, avx2PairAffineRun4},
	quant.Q6_K:    {avx2UnfoldQ6_K, avx2PairHalvesRun2Gain4},
	quant.IQ4_XS:  {avx2UnfoldIQ4_XS, avx2PairOffsetWide},
	quant.MXFP4:   {avx2UnfoldMXFP4, avx2PairOffsetSigned8},
	quant.IQ2_XXS: {avx2UnfoldIQ2_XXS, avx2PairOffsetSigned2},
	quant.IQ2_XS:  {avx2UnfoldIQ2_XS, avx2PairHalvesSigned2},
	quant.IQ2_S:   {avx2UnfoldIQ2_XS, avx2PairHalvesSigned2}, // packed alike
	quant.IQ3_XXS: {avx2UnfoldIQ3_XXS, avx2PairOffsetSigned2},
	quant.IQ3_S:   {avx2UnfoldIQ3_S, avx2PairOffsetRun4Gain8},
}

//go:noescape
func avx2PairAffineRun4(weights, x, fields, next *byte, sums, y *float32, blocks, panels, apart, ldy, first, add int)

//go:noescape
func avx2PairAffineRun8(weights, x, fields, next *byte, sums, y *float32, blocks, panels, apart, ldy, first, add int)

//go:noescape
func avx2PairHalvesRun2Gain4(weights, x, fields, next *byte, sums, y *float32, blocks, panels, apart, ldy, first, add int)

//go:noescape
func avx2PairHalvesRun4Gain32(weights, x, fields, next *byte, sums, y *float32, blocks, panels, apart, ldy, first, add int)

//go:noescape
func avx2PairHalvesSigned2(weights, x, fields, next *byte, sums, y *float32, blocks, panels, apart, ldy, first, add int)

//go:noescape
func avx2PairMinimaRun4Gain64(weights, x, fields, next *byte, sums, y *float32, blocks, panels, apart, ldy, first, add int)

//go:noescape
func avx2PairOffsetRun4Gain8(weights, x, fields, next *byte, sums, y *float32, blocks, panels, apart, ldy, first, add int)

//go:noescape
func avx2PairOffsetSigned2(weights, x, fields, next *byte, sums, y *float32, blocks, panels, apart, ldy, first, add int)

//go:noescape
func avx2PairOffsetSigned8(weights, x, fields, next *byte, sums, y *float32, blocks, panels, apart, ldy, first, add int)

//go:noescape
func avx2PairOffsetWide(weights, x, fields, next *byte, sums, y *float32, blocks, panels, apart, ldy, first, add int)

//go:noescape
func avx2UnfoldQ5_0(quants, scales, to *byte, blocks int)

//go:noescape
func avx2UnfoldQ5_1(quants, scales, to *byte, blocks int)

//go:noescape
func avx2UnfoldQ2_K(quants, scales, to *byte, blocks int)

//go:noescape
func avx2UnfoldQ3_K(quants, scales, to *byte, blocks int)

//go:noescape
func avx2UnfoldQ4_K(quants, scales, to *byte, blocks int)

//go:noescape
func avx2UnfoldQ5_K(quants, scales, to *byte, blocks int)

//go:noescape
func avx2UnfoldQ6_K(quants, scales, to *byte, blocks int)

//go:noescape
func avx2UnfoldIQ4_XS(quants, scales, to *byte, blocks int)

//go:noescape
func avx2UnfoldMXFP4(quants, scales, to *byte, blocks int)

//go:noescape
func avx2UnfoldIQ2_XXS(quants, scales, to *byte, blocks int)

//go:noescape
func avx2UnfoldIQ2_XS(quants, scales, to *byte, blocks int)

//go:noescape
func avx2UnfoldIQ3_XXS(quants, scales, to *byte, blocks int)

//go:noescape
func avx2UnfoldIQ3_S(quants, scales, to *byte, blocks int)
