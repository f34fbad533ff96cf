//go:build !purego

package kernel

import (
	"math"
	"math/bits"
	"unsafe"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/quant"
)

//go:noescape
func attendScoresF16NEON(n int, q, s *float32, k *byte, hd int)

//go:noescape
func attendScoresI16NEON(n int, q, s *float32, k *byte, hd int, scales *float32)

//go:noescape
func attendScoresI8NEON(n int, q, s *float32, k *byte, hd int, scales *float32)

//go:noescape
func attendValuesF16NEON(n int, w, o *float32, v *byte, hd int)

//go:noescape
func attendValuesI16NEON(n int, w, o *float32, v0, v1 *byte, hd int, grid *float32)

//go:noescape
func attendValuesI8NEON(n int, w, o *float32, v0, v1 *byte, hd int, grid *float32)

//go:noescape
func attendGridNEON(w *float32, ints *int16, scales0, scales1 *float32) float32

// The assembly handles head sizes that are a multiple of 16; the generic code handles
// all others.
func (s Set) assembled(headDim int) bool { return s.tier != cpu.Generic && headDim%16 == 0 }

// queriesFrom cuts the queries of a tile into fours, a two and a one, as the assembly
// takes them: how many there are from query i on.
func (st *attendState) queriesFrom(i int) int {
	return min(4, 1<<(bits.Len(uint(st.tile.N-i))-1))
}

func (s Set) attendScores(st *attendState) {
	hd := st.kv.HeadDim
	if !s.assembled(hd) {
		attendScoresGeneric(st)
		return
	}
	for b := st.lo; b < st.hi; b++ {
		k, at := &st.block(st.kv.K, b-st.chunk/BlockTokens)[0], b*BlockTokens-st.chunk
		for i, n := 0, 0; i < st.tile.N; i += n {
			n = st.queriesFrom(i)
			q, to := &st.q[i*MaxHeadDim], &st.s[i*attendChunk+at]
			switch st.kv.Type {
			case quant.F16:
				attendScoresF16NEON(n, q, to, k, hd)
			case quant.I16:
				attendScoresI16NEON(n, q, to, k, hd, &st.scale[i])
			default:
				attendScoresI8NEON(n, q, to, k, hd, &st.scale[i])
			}
		}
	}
}

func (s Set) attendValues(st *attendState) {
	switch {
	case !s.assembled(st.kv.HeadDim):
		attendValuesGeneric(st)
	case st.kv.Type == quant.F16:
		st.valuesF16()
	default:
		st.valuesInt()
	}
}

func (st *attendState) valuesF16() {
	for b := st.lo; b < st.hi; b++ {
		v, at := &st.block(st.kv.V, b-st.chunk/BlockTokens)[0], b*BlockTokens-st.chunk
		for i, n := 0, 0; i < st.tile.N; i += n {
			n = st.queriesFrom(i)
			attendValuesF16NEON(n, &st.s[i*attendChunk+at], &st.o[i*MaxHeadDim], v, st.kv.HeadDim)
		}
	}
}

func (st *attendState) valuesInt() {
	for g := st.firstGroup(); g < st.lastGroup(); g++ {
		v0, v1 := &st.block(st.kv.V, 2*g)[0], &st.block(st.kv.V, 2*g+1)[0]
		for i, n := 0, 0; i < st.tile.N; i += n {
			n = st.queriesFrom(i)
			w, o, grid := &st.s[i*attendChunk+g*groupTokens/2], &st.o[i*MaxHeadDim], &st.grid[g*TileQueries+i]
			if st.kv.small() {
				attendValuesI8NEON(n, w, o, v0, v1, st.kv.HeadDim, grid)
			} else {
				attendValuesI16NEON(n, w, o, v0, v1, st.kv.HeadDim, grid)
			}
		}
	}
}

func (s Set) attendGrid(st *attendState) {
	if s.tier == cpu.Generic {
		attendGridGeneric(st)
		return
	}
	for g := st.firstGroup(); g < st.lastGroup(); g++ {
		scales0, scales1 := &st.kv.scales(st.block(st.kv.V, 2*g))[0], &st.kv.scales(st.block(st.kv.V, 2*g+1))[0]
		for i := range st.tile.N {
			row := st.s[i*attendChunk:][:attendChunk]
			st.grid[g*TileQueries+i] = attendGridNEON(&row[g*groupTokens], &int16s(row)[g*groupTokens], scales0, scales1)
		}
	}
}

func (s Set) attendWeights(st *attendState) {
	if s.tier == cpu.Generic {
		attendWeightsGeneric(st)
		return
	}
	first, last := st.lo*BlockTokens-st.chunk, st.hi*BlockTokens-st.chunk
	for i := range st.tile.N {
		row := st.s[i*attendChunk:][first:last]
		peak := vecMaxNEON(ptr(row), len(row)/16, st.peak[i])
		st.alpha[i] = exp32(st.peak[i] - peak)
		st.peak[i] = peak
		st.sum[i] = st.sum[i]*st.alpha[i] + vecExpSumNEON(ptr(row), len(row)/16, peak, 1)
	}
}

func (s Set) attendSoftcap(st *attendState) {
	if s.tier == cpu.Generic {
		attendSoftcapGeneric(st)
		return
	}
	c := st.tile.Softcap
	first, last := st.lo*BlockTokens-st.chunk, st.hi*BlockTokens-st.chunk
	for i := range st.tile.N {
		attendSoftcapNEON(&st.s[i*attendChunk+first], (last-first)/16, c, 2*c, 2/c)
	}
}

func (Set) storeK(block []byte, slot int, k []float32) { storeKGeneric(block, slot, k, 0) }
func (Set) storeV(block []byte, slot int, v []float32) { storeVGeneric(block, slot, v, 0) }

// keyInts makes the integers of a key or a query. What has to be clamped is left to
// keyIntsGeneric, which also defines the result. Rotated elements are converted in
// place: toInts writes to places that it has read already.
func (s Set) keyInts(kv *KV, row, x []float32, perPeak float32) (scale float32, allFinite bool) {
	if !s.plain(x) {
		return keyIntsGeneric(kv, row, x, perPeak)
	}
	from := x
	if kv.small() {
		from = row[:len(x)]
		rotateGeneric(from, x)
	}
	return s.toInts(int16s(row)[:len(x)], from, perPeak, 1.0/normMax), true
}

// valueInts makes the integers of a value.
func (s Set) valueInts(dst []int16, x []float32, perPeak float32) (scale float32, allFinite bool) {
	if !s.plain(x) {
		return valueIntsGeneric(dst, x, perPeak)
	}
	return s.toInts(dst, x, perPeak, 0), true
}

// plain reports whether the assembly takes x: no element needs to be clamped.
func (s Set) plain(x []float32) bool {
	return s.assembled(len(x)) && vecPeakNEON(ptr(x), len(x)/16) <= intLimit
}

// toInts is toIntsGeneric.
func (s Set) toInts(dst []int16, x []float32, perPeak, perNorm float32) float32 {
	n := len(x) / 16
	norm := float32(math.Sqrt(float64(s.dot(x, x))))
	scale := max(vecPeakNEON(ptr(x), n)*perPeak, norm*perNorm, tiny)
	vecIntsNEON(unsafe.SliceData(dst), ptr(x), n, 1/scale)
	return scale
}

// No assembly stores the integers of keys and values.
func (Set) storeKeyInts(kv *KV, block []byte, slot int, k []float32) float32 { return -1 }

func (Set) storeValueInts(kv *KV, block []byte, at int, v []float32) float32 { return -1 }
