package kernel

import (
	"math"

	"github.com/penstock-llm/penstock/internal/quant"
)

// storeKGeneric stores the elements from the given one on.
func storeKGeneric(block []byte, slot int, k []float32, from int) {
	dst := halves(block)[:BlockTokens*len(k)] // [hd][16]
	for i := from; i < len(k); i++ {
		dst[i*BlockTokens+slot] = finiteHalf(k[i])
	}
}

func storeVGeneric(block []byte, slot int, v []float32, from int) {
	dst := halves(block)[slot*len(v):][:len(v)] // [16][hd]
	for i := from; i < len(v); i++ {
		dst[i] = finiteHalf(v[i])
	}
}

// finiteHalf rounds x to the nearest half that is a number.
func finiteHalf(x float32) uint16 { return quant.F32ToF16(finite(x)) }

// finite clamps x to what a half can hold; NaN becomes 0.
func finite(x float32) float32 {
	if x != x {
		return 0
	}
	return max(-65504, min(65504, x))
}

// widen is quant.F16ToF32 for finite halves, without its branches: the bits of
// the magnitude, shifted into place, are a float32 that is 2^112 too small.
func widen(h uint16) float32 {
	x := math.Float32frombits(uint32(h&0x7fff)<<13) * 0x1p112
	return math.Float32frombits(math.Float32bits(x) | uint32(h&0x8000)<<16)
}
