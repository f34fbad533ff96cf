//go:build amd64 && !purego

package kernel

import (
	"unsafe"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/quant"
)

//go:generate go run -C _asm ./attention -part shared -out ../attend_amd64.s -stubs ../attend_stubs_amd64.go -pkg kernel
//go:generate go run -C _asm ./attention -part f16 -out ../attend_f16_amd64.s -stubs ../attend_f16_stubs_amd64.go -pkg kernel
//go:generate go run -C _asm ./attention -part i16 -out ../attend_i16_amd64.s -stubs ../attend_i16_stubs_amd64.go -pkg kernel
//go:generate go run -C _asm ./attention -part i8 -out ../attend_i8_amd64.s -stubs ../attend_i8_stubs_amd64.go -pkg kernel

// On both tiers the assembly handles head sizes that are a multiple of an AVX-512
// register; the generic code handles all others.
func (s Set) assembled(headDim int) bool { return s.tier != cpu.Generic && headDim%16 == 0 }

// base is the address of a slice's first byte.
func base(b []byte) *byte { return unsafe.SliceData(b) }

func (s Set) attendScores(st *attendState) {
	if !s.assembled(st.kv.HeadDim) {
		attendScoresGeneric(st)
		return
	}
	n, count, at, places := st.call()
	q, k, v, stride, hd, scale := ptr(st.q), base(st.kv.K), base(st.kv.V), st.kv.Stride, st.kv.HeadDim, ptr(st.scale)
	wide := s.tier == cpu.AVX512VNNI
	switch {
	case st.kv.Type == quant.F16 && wide:
		attendScoresF16AVX512(n, q, at, k, places, count, stride, hd)
	case st.kv.Type == quant.F16:
		attendScoresF16AVX2(n, q, at, k, places, count, stride, hd)
	case st.kv.Type == quant.I16 && wide:
		attendScoresI16AVX512(n, q, at, k, v, places, count, stride, hd, scale)
	case st.kv.Type == quant.I16:
		attendScoresI16AVX2(n, q, at, k, v, places, count, stride, hd, scale)
	case wide:
		attendScoresI8AVX512(n, q, at, k, v, places, count, stride, hd, scale)
	default:
		attendScoresI8AVX2(n, q, at, k, v, places, count, stride, hd, scale)
	}
}

func (s Set) attendValues(st *attendState) {
	if !s.assembled(st.kv.HeadDim) {
		attendValuesGeneric(st)
		return
	}
	o, v, stride, hd, wide := ptr(st.o), base(st.kv.V), st.kv.Stride, st.kv.HeadDim, s.tier == cpu.AVX512VNNI
	if st.kv.Type == quant.F16 {
		n, count, at, places := st.call()
		if wide {
			attendValuesF16AVX512(n, at, o, v, places, count, stride, hd)
		} else {
			attendValuesF16AVX2(n, at, o, v, places, count, stride, hd)
		}
		return
	}
	first, _, places := st.groups()
	count := st.hi - st.chunk/BlockTokens - 2*first // the last group may be half
	n, grid, w := st.tile.N, &st.grid[first*TileQueries], &st.s[first*groupTokens/2]
	switch {
	case st.kv.Type == quant.I16 && wide:
		attendValuesI16AVX512(n, w, o, v, base(st.ahead), places, count, stride, hd, grid)
	case st.kv.Type == quant.I16:
		attendValuesI16AVX2(n, w, o, v, base(st.ahead), places, count, stride, hd, grid)
	case wide:
		attendValuesI8AVX512(n, w, o, v, base(st.ahead), places, count, stride, hd, grid)
	default:
		attendValuesI8AVX2(n, w, o, v, base(st.ahead), places, count, stride, hd, grid)
	}
}

func (s Set) attendGrid(st *attendState) {
	first, groups, places := st.groups()
	n, w, v, grid := st.tile.N, &st.s[first*groupTokens], base(st.kv.V), &st.grid[first*TileQueries]
	switch s.tier {
	case cpu.AVX512VNNI:
		attendGridAVX512(n, w, &st.s[first*groupTokens/2], v, places, groups, st.kv.Stride, grid)
	case cpu.AVX2:
		attendGridAVX2(n, w, &st.s[first*groupTokens/2], v, places, groups, st.kv.Stride, grid)
	default:
		attendGridGeneric(st)
	}
}

// groups returns the first group of the chunk, their number and the places of
// the first one's blocks.
func (st *attendState) groups() (first, count int, places *int32) {
	first = st.firstGroup()
	return first, st.lastGroup() - first, &st.places[2*first]
}

func (s Set) attendWeights(st *attendState) {
	n, count, at, _ := st.call()
	switch s.tier {
	case cpu.AVX512VNNI:
		attendWeightsAVX512(at, count, n, ptr(st.peak), ptr(st.sum), ptr(st.alpha))
	case cpu.AVX2:
		attendWeightsAVX2(at, 2*count, n, ptr(st.peak), ptr(st.sum), ptr(st.alpha))
	default:
		attendWeightsGeneric(st)
	}
}

func (s Set) attendSoftcap(st *attendState) {
	n, count, at, _ := st.call()
	switch s.tier {
	case cpu.AVX512VNNI:
		attendSoftcapAVX512(at, count, n, st.tile.Softcap)
	case cpu.AVX2:
		attendSoftcapAVX2(at, 2*count, n, st.tile.Softcap)
	default:
		attendSoftcapGeneric(st)
	}
}

// call returns what the assembly wants to know: queries, blocks, the first
// computed score and the first block's place.
func (st *attendState) call() (n, count int, scores *float32, places *int32) {
	return st.tile.N, st.hi - st.lo, &st.s[st.lo*BlockTokens-st.chunk], &st.places[st.lo-st.chunk/BlockTokens]
}

func (s Set) storeK(block []byte, slot int, k []float32) {
	n, done := s.registers(len(k))
	switch s.tier {
	case cpu.AVX512VNNI:
		attendStoreKAVX512(&block[2*slot], ptr(k), n)
	case cpu.AVX2:
		attendStoreKAVX2(&block[2*slot], ptr(k), n)
	}
	storeKGeneric(block, slot, k, done)
}

func (s Set) storeV(block []byte, slot int, v []float32) {
	n, done := s.registers(len(v))
	switch s.tier {
	case cpu.AVX512VNNI:
		attendStoreVAVX512(&block[2*slot*len(v)], ptr(v), n)
	case cpu.AVX2:
		attendStoreVAVX2(&block[2*slot*len(v)], ptr(v), n)
	}
	storeVGeneric(block, slot, v, done)
}

// keyInts makes the integers of a key or a query. Where the assembly refuses a
// vector, keyIntsGeneric does it, which also defines the result. Rotated elements
// are converted in place: toInts writes to places that it has read already.
func (s Set) keyInts(kv *KV, row, x []float32, perPeak float32) (scale float32, allFinite bool) {
	if s.assembled(len(x)) {
		from := x
		if kv.small() {
			s.rotate(row, x)
			from = row
		}
		if scale := s.toInts(int16s(row)[:len(x)], from, perPeak, 1.0/normMax); scale > 0 {
			return scale, true
		}
	}
	return keyIntsGeneric(kv, row, x, perPeak)
}

// valueInts makes the integers of a value.
func (s Set) valueInts(dst []int16, x []float32, perPeak float32) (scale float32, allFinite bool) {
	if s.assembled(len(x)) {
		if scale := s.toInts(dst, x, perPeak, 0); scale > 0 {
			return scale, true
		}
	}
	return valueIntsGeneric(dst, x, perPeak)
}

func (s Set) rotate(dst, x []float32) {
	block, lanes := len(x)&-len(x), 16
	if s.tier == cpu.AVX512VNNI {
		attendRotateAVX512(ptr(dst), ptr(x), len(x)/lanes, block/lanes, rotateScale(block))
		return
	}
	lanes = 8
	attendRotateAVX2(ptr(dst), ptr(x), len(x)/lanes, block/lanes, rotateScale(block))
}

// toInts returns a negative scale if an element needs clamping.
func (s Set) toInts(dst []int16, x []float32, perPeak, perNorm float32) float32 {
	n, _ := s.registers(len(x))
	if s.tier == cpu.AVX512VNNI {
		return attendQuantizeAVX512(unsafe.SliceData(dst), ptr(x), n, perPeak, perNorm)
	}
	return attendQuantizeAVX2(unsafe.SliceData(dst), ptr(x), n, perPeak, perNorm)
}

// storeKeyInts stores a key at one slot of a block and returns its scale. Where the
// assembly refuses, which stores nothing, the scale is negative.
func (s Set) storeKeyInts(kv *KV, block []byte, slot int, k []float32) float32 {
	n, perPeak := len(k)/16, 1/kv.intMax()
	switch {
	case s.tier != cpu.AVX512VNNI || len(k)%16 != 0:
		return -1
	case kv.small():
		var row [MaxHeadDim]float32
		s.rotate(row[:len(k)], k)
		return attendStoreKeyI8AVX512(&block[2*slot], ptr(row[:]), n, perPeak, 1.0/normMax)
	default:
		return attendStoreKeyI16AVX512(&block[4*slot], ptr(k), n, perPeak, 1.0/normMax)
	}
}

// storeValueInts stores a value, whose first element has the given index in the block, as
// storeKeyInts does a key.
func (s Set) storeValueInts(kv *KV, block []byte, at int, v []float32) float32 {
	n, perPeak := len(v)/16, 1/kv.intMax()
	switch {
	case s.tier != cpu.AVX512VNNI || len(v)%16 != 0:
		return -1
	case kv.small():
		return attendStoreValueI8AVX512(&block[at], ptr(v), n, perPeak, 0)
	default:
		return attendStoreValueI16AVX512(&block[2*at], ptr(v), n, perPeak, 0)
	}
}
