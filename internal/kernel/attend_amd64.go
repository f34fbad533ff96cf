//go:build amd64 && !purego

package kernel

import (
	"unsafe"

	"github.com/penstock-llm/penstock/internal/cpu"
)

//go:generate go run -C _asm ./attention -out ../attend_amd64.s -stubs ../attend_stubs_amd64.go -pkg kernel

// Assembly does head sizes that fill whole AVX-512 registers, on both tiers; the
// generic code does the others.
func (s Set) assembled(headDim int) bool { return s.tier != cpu.Generic && headDim%16 == 0 }

// base is the address of a slice's first byte.
func base(b []byte) *byte { return unsafe.SliceData(b) }

func (s Set) attendScores(st *attendState) {
	if !s.assembled(st.kv.HeadDim) {
		attendScoresGeneric(st)
		return
	}
	n, count, at, ids := st.call()
	if s.tier == cpu.AVX512VNNI {
		attendScoresF16AVX512(n, ptr(st.q), at, base(st.kv.K), ids, count, st.kv.Stride, st.kv.HeadDim)
	} else {
		attendScoresF16AVX2(n, ptr(st.q), at, base(st.kv.K), ids, count, st.kv.Stride, st.kv.HeadDim)
	}
}

func (s Set) attendValues(st *attendState) {
	if !s.assembled(st.kv.HeadDim) {
		attendValuesGeneric(st)
		return
	}
	n, count, at, ids := st.call()
	if s.tier == cpu.AVX512VNNI {
		attendValuesF16AVX512(n, at, ptr(st.o), base(st.kv.V), ids, count, st.kv.Stride, st.kv.HeadDim)
	} else {
		attendValuesF16AVX2(n, at, ptr(st.o), base(st.kv.V), ids, count, st.kv.Stride, st.kv.HeadDim)
	}
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
// computed score and the first block id.
func (st *attendState) call() (n, count int, scores *float32, ids *int32) {
	return st.tile.N, st.hi - st.lo, &st.s[st.lo*BlockTokens-st.chunk], &st.blocks[st.lo]
}

func (s Set) storeK(kv *KV, block []byte, slot int, k []float32) {
	n, done := s.registers(len(k))
	if n == 0 {
		storeKGeneric(block, slot, k, 0)
		return
	}
	if s.tier == cpu.AVX512VNNI {
		attendStoreKAVX512(&block[2*slot], ptr(k), n)
	} else {
		attendStoreKAVX2(&block[2*slot], ptr(k), n)
	}
	storeKGeneric(block, slot, k, done)
}

func (s Set) storeV(kv *KV, block []byte, slot int, v []float32) {
	n, done := s.registers(len(v))
	if n == 0 {
		storeVGeneric(block, slot, v, 0)
		return
	}
	if s.tier == cpu.AVX512VNNI {
		attendStoreVAVX512(&block[2*slot*len(v)], ptr(v), n)
	} else {
		attendStoreVAVX2(&block[2*slot*len(v)], ptr(v), n)
	}
	storeVGeneric(block, slot, v, done)
}
