package kernel

import "math"

// The integer cache types (I16, Q8_0) hold a vector x as integers x' and a scale:
// x ≈ x'·scale. Queries become int16 of the same kind, so that a score is an
// exact sum of integer products, times two scales. Weights become int16 too, a
// group of two blocks at a time, so that a group's sum of weighted values is
// exact as well.
//
// No sum can leave an int32. For scores that is the Cauchy-Schwarz inequality:
// |Σ q'k'| <= |q'|·|k'|, and the scales are such that neither norm exceeds
// normMax, 46000² < 2³¹. For values, Σ w' <= weightSum (and the rounding of 32
// weights) while |v'| <= intMax: 32716·32767 < 2³⁰.
const (
	intMax    = 32767 // largest integer of I16 and of queries
	byteMax   = 127   // largest integer of Q8_0
	normMax   = 46000
	weightSum = 32700
	tiny      = 1e-30 // the least scale, so that a vector of zeros is not divided by 0
)

// groupTokens is the number of positions whose weights share a scale; groups
// begin at multiples of it.
const groupTokens = 2 * BlockTokens

// toIntsGeneric rounds x to multiples of the scale that it returns: the peak times
// perPeak or the norm times perNorm, whichever is larger.
func toIntsGeneric(dst []int16, x []float32, perPeak, perNorm float32) float32 {
	var peak, square float32
	for _, v := range x {
		peak = max(peak, v, -v)
		square += v * v
	}
	scale := max(peak*perPeak, float32(math.Sqrt(float64(square)))*perNorm, tiny)
	inverse := 1 / scale
	for i, v := range x {
		dst[i] = int16(round(v * inverse))
	}
	return scale
}

// rotateGeneric multiplies x by the orthonormal Walsh-Hadamard matrix, in blocks of
// the largest power of two that divides its length. Applied to queries and keys
// it changes no score, but spreads a few large elements over the whole vector.
// Without it, those would make the scale of int8 keys too coarse for all others.
// The matrix is its own inverse.
func rotateGeneric(dst, x []float32) {
	block := len(x) & -len(x)
	scale := rotateScale(block)
	for i, v := range x {
		dst[i] = v * scale
	}
	for h := 1; h < block; h *= 2 {
		for i := 0; i < len(dst); i += 2 * h {
			for j := i; j < i+h; j++ {
				dst[j], dst[j+h] = dst[j]+dst[j+h], dst[j]-dst[j+h]
			}
		}
	}
}

func rotateScale(block int) float32 { return float32(1 / math.Sqrt(float64(block))) }

// keyIntsGeneric makes the integers of a key or a query, rotated if keys are
// bytes. They fill the beginning of row, which has room for len(x)/2 floats, or
// for len(x) where keys are rotated. allFinite says whether all of x is finite.
func keyIntsGeneric(kv *KV, row, x []float32, perPeak float32) (scale float32, allFinite bool) {
	var copied [MaxHeadDim]float32
	clamped, allFinite := clamp(&copied, x)
	if kv.small() {
		rotateGeneric(clamped, clamped)
	}
	return toIntsGeneric(int16s(row)[:len(x)], clamped, perPeak, 1.0/normMax), allFinite
}

// valueIntsGeneric makes the integers of a value.
func valueIntsGeneric(dst []int16, x []float32, perPeak float32) (scale float32, allFinite bool) {
	var row [MaxHeadDim]float32
	clamped, allFinite := clamp(&row, x)
	return toIntsGeneric(dst, clamped, perPeak, 0), allFinite
}

// clamp copies x, each element clamped, and says whether all were finite.
func clamp(dst *[MaxHeadDim]float32, x []float32) (clamped []float32, allFinite bool) {
	allFinite = true
	for i, v := range x {
		dst[i] = finite(v, intLimit)
		allFinite = allFinite && v-v == 0
	}
	return dst[:len(x)], allFinite
}

// round returns the integer nearest to x, ties to even, for |x| < 2^22. It adds
// 1.5·2^23, because float32 numbers of that size have no fraction.
func round(x float32) int32 {
	const shift = 3 << 22
	return int32(x + shift - shift)
}

// attendScoresIntGeneric fills s[i][t] = Σ q'k' · (scale of k · scale of q) for
// the blocks [lo, hi).
func attendScoresIntGeneric(st *attendState) {
	hd, n := st.tile.HeadDim, st.tile.N
	for b := st.lo; b < st.hi; b++ {
		k := st.block(st.kv.K, b-st.chunk/BlockTokens)
		var sums [TileQueries][BlockTokens]int32
		var pairs [2 * BlockTokens]int32
		for d := 0; d < hd; d += 2 {
			st.kv.pairs(pairs[:], k, d*BlockTokens)
			for i := range n {
				q0, q1 := int32(st.queries(i)[d]), int32(st.queries(i)[d+1])
				for t := range sums[i] {
					sums[i][t] += q0*pairs[2*t] + q1*pairs[2*t+1]
				}
			}
		}
		scales := st.kv.scales(k)
		for i := range n {
			s := st.s[i*attendChunk+b*BlockTokens-st.chunk:][:BlockTokens]
			for t := range s {
				s[t] = float32(sums[i][t]) * (scales[t] * st.scale[i])
			}
		}
	}
}

// attendGridGeneric multiplies the chunk's weights by their values' scales and
// rounds each group to int16, in place; grid is what the integers are multiples
// of. Blocks outside [lo, hi) have weight 0.
func attendGridGeneric(st *attendState) {
	for g := st.firstGroup(); g < st.lastGroup(); g++ {
		var scales [groupTokens]float32
		for j := range 2 {
			copy(scales[j*BlockTokens:], st.kv.scales(st.block(st.kv.V, 2*g+j)))
		}
		for i := range st.tile.N {
			row, w := st.s[i*attendChunk:][:attendChunk], [groupTokens]float32{}
			sum := float32(0)
			for t := range w {
				w[t] = row[g*groupTokens+t] * scales[t]
				sum += w[t]
			}
			sum = max(sum, tiny)
			st.grid[g*TileQueries+i] = sum * (1.0 / weightSum)
			inverse, ints := weightSum/sum, int16s(row)[g*groupTokens:]
			for t := range w {
				ints[t] = int16(round(w[t] * inverse))
			}
		}
	}
}

// attendValuesIntGeneric adds the weighted values: o_i += Σ_t w'v' · grid_i,
// group by group.
func attendValuesIntGeneric(st *attendState) {
	hd := st.tile.HeadDim
	var row [2 * MaxHeadDim]int32
	for g := st.firstGroup(); g < st.lastGroup(); g++ {
		var sums [TileQueries][MaxHeadDim]int32
		for p := range groupTokens / 2 {
			v := st.block(st.kv.V, 2*g+p/8)
			st.kv.pairs(row[:2*hd], v, p%8*2*hd)
			for i := range st.tile.N {
				w := int16s(st.s[i*attendChunk:])[g*groupTokens+2*p:]
				w0, w1 := int32(w[0]), int32(w[1])
				if w0|w1 == 0 {
					continue
				}
				for d := range hd {
					sums[i][d] += w0*row[2*d] + w1*row[2*d+1]
				}
			}
		}
		for i := range st.tile.N {
			o, grid := st.o[i*MaxHeadDim:][:hd], st.grid[g*TileQueries+i]
			for d := range o {
				o[d] += float32(sums[i][d]) * grid
			}
		}
	}
}

// pairs widens the integers of a block from index at on.
func (kv *KV) pairs(dst []int32, block []byte, at int) {
	if kv.small() {
		for i := range dst {
			dst[i] = int32(int8(block[at+i]))
		}
		return
	}
	src := halves(block)[at:]
	for i := range dst {
		dst[i] = int32(int16(src[i]))
	}
}
