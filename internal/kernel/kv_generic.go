package kernel

import (
	"math"
	"unsafe"

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

const (
	halfLimit = 65504 // the largest half
	intLimit  = 1e15  // the largest element of integer types: squares and products stay finite
)

// finiteHalf rounds x to the nearest half that is a number.
func finiteHalf(x float32) uint16 { return quant.F32ToF16(finite(x, halfLimit)) }

// finite clamps x; NaN becomes 0.
func finite(x, limit float32) float32 {
	if x != x {
		return 0
	}
	return max(-limit, min(limit, x))
}

// widen is quant.F16ToF32 for finite halves, without its branches: the bits of
// the magnitude, shifted into place, are a float32 that is 2^112 too small.
func widen(h uint16) float32 {
	x := math.Float32frombits(uint32(h&0x7fff)<<13) * 0x1p112
	return math.Float32frombits(math.Float32bits(x) | uint32(h&0x8000)<<16)
}

// scatterPairs writes the pairs of a token's key, which lie 16 pairs apart.
func scatterPairs(kv *KV, block []byte, slot int, ints []int16) {
	if kv.small() {
		dst := halves(block)[:len(ints)/2*BlockTokens]
		for i := 0; i+1 < len(ints); i += 2 {
			dst[i/2*BlockTokens+slot] = uint16(uint8(ints[i])) | uint16(ints[i+1])<<8
		}
		return
	}
	// Two int16 at a time; a pair lies in memory as it does in ints.
	src := unsafe.Slice((*uint32)(unsafe.Pointer(&ints[0])), len(ints)/2)
	dst := unsafe.Slice((*uint32)(unsafe.Pointer(&block[0])), len(src)*BlockTokens)
	for i, pair := range src {
		dst[i*BlockTokens+slot] = pair
	}
}

// spreadPairs writes ints to every other element from index at on: the others
// belong to another token.
func spreadPairs(kv *KV, block []byte, at int, ints []int16) {
	if kv.small() {
		dst := block[at:]
		for d, x := range ints {
			dst[2*d] = byte(x)
		}
		return
	}
	dst := halves(block)[at:]
	for d, x := range ints {
		dst[2*d] = uint16(x)
	}
}
