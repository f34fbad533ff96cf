package kernel

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/quant"
)

// Limits of the attention family.
const (
	BlockTokens = batch.BlockTokens // positions in a KV block
	MaxHeadDim  = 256               // largest head size; head sizes are even
)

// KV is the cache of one kv head of one layer: the keys and the values of all
// blocks, in runs of consecutive ids with other heads' memory between them. Only
// the kernels know the inside of a block; package kvcache, which owns the memory,
// only knows a block's size:
//
//	F16   K [hd][16] halves (transposed: a register holds 16 tokens)
//	      V [16][hd] halves
//	I16   K [hd/2][16][2] int16, 16 float32 scales (in pairs, because one
//	      V [8][hd][2] int16, 16 float32 scales    instruction multiplies pairs)
//	Q8_0  K [hd/2][16][2] int8, 16 float32 scales    of rotated keys
//	      V [8][hd][2] int8, 16 float32 scales
//
// I16 costs as much memory as F16, is nearer to float32 and twice as fast where
// memory is not the limit (attend_int_generic.go).
type KV struct {
	Type    quant.Type // F16, I16 or Q8_0
	HeadDim int
	Stride  int    // bytes of a block, kvBlockBytes(Type, HeadDim)
	Run     int    // blocks of a run; 0: there is only one
	Pitch   int    // strides from the beginning of a run to the next one's
	K, V    []byte // block b is Stride bytes from place(b)*Stride on; 64-byte aligned base
}

// kvBlockBytes is the size of one K block, and of one V block.
func kvBlockBytes(t quant.Type, headDim int) (int, error) {
	if headDim <= 0 || headDim > MaxHeadDim || headDim%2 != 0 {
		return 0, fmt.Errorf("head size %d: want an even number up to %d", headDim, MaxHeadDim)
	}
	switch t {
	case quant.F16:
		return 2 * BlockTokens * headDim, nil
	case quant.I16:
		return 2*BlockTokens*headDim + 4*BlockTokens, nil
	case quant.Q8_0:
		return BlockTokens*headDim + 4*BlockTokens, nil
	}
	return 0, fmt.Errorf("no KV cache of type %v", t)
}

// StoreK writes k: [hd] as the key at one slot of a block, and reports whether
// its elements are finite. A cache is always finite: elements are clamped to what
// the type can hold (F16 ±65504, integers ±1e15) and NaN becomes 0.
func (s Set) StoreK(kv *KV, block int32, slot int, k []float32) (finite bool) {
	b := kv.block(kv.K, block, slot, k)
	if kv.Type == quant.F16 {
		s.storeK(b, slot, k)
		return s.Finite(k)
	}
	scale := s.storeKeyInts(kv, b, slot, k)
	if finite = scale > 0; !finite {
		var row [MaxHeadDim]float32
		scale, finite = s.keyInts(kv, row[:len(k)], k, 1/kv.intMax())
		scatterPairs(kv, b, slot, int16s(row[:])[:len(k)])
	}
	kv.scales(b)[slot] = scale
	return finite
}

// StoreV writes v: [hd] as the value at one slot of a block, clamped as keys are,
// and reports whether its elements are finite. Several goroutines may store
// different slots of a block at a time.
func (s Set) StoreV(kv *KV, block int32, slot int, v []float32) (finite bool) {
	b := kv.block(kv.V, block, slot, v)
	if kv.Type == quant.F16 {
		s.storeV(b, slot, v)
		return s.Finite(v)
	}
	at := slot/2*2*len(v) + slot%2
	scale := s.storeValueInts(kv, b, at, v)
	if finite = scale > 0; !finite {
		var ints [MaxHeadDim]int16
		scale, finite = s.valueInts(ints[:len(v)], v, 1/kv.intMax())
		spreadPairs(kv, b, at, ints[:len(v)])
	}
	kv.scales(b)[slot] = scale
	return finite
}

// Finite reports whether the sum of the squares of x is finite. An infinite sum
// minus itself is NaN.
func (s Set) Finite(x []float32) bool {
	sum := s.dot(x, x)
	return sum-sum == 0
}

// block returns one block of data after checking what a store needs.
func (kv *KV) block(data []byte, block int32, slot int, x []float32) []byte {
	if len(x) != kv.HeadDim || uint(slot) >= BlockTokens || kv.HeadDim > MaxHeadDim {
		panic(fmt.Sprintf("kernel: store of %d values at slot %d, head size %d", len(x), slot, kv.HeadDim))
	}
	at := kv.place(block) * kv.Stride
	return data[at : at+kv.Stride : at+kv.Stride]
}

// place is where a block is, in strides from the base. It grows with the id, so an
// id that is too high gives a place beyond the memory, which is noticed.
func (kv *KV) place(block int32) int {
	if kv.Run == 0 {
		return int(block)
	}
	b, run := uint32(block), uint32(kv.Run)
	return int(b/run)*kv.Pitch + int(b%run)
}

// locate sets places to where the first blocks are. Most follow the one before them in its
// run, which takes no division.
func (kv *KV) locate(places, blocks []int32) {
	run, base := uint32(0), 0 // of the block before, and where that run begins
	for i := range places {
		b := uint32(blocks[i])
		if n := uint32(kv.Run); n > 0 && (i == 0 || b-run >= n) {
			run = b / n * n
			base = int(b/n) * kv.Pitch
		}
		places[i] = int32(base + int(b-run))
	}
}

// blocks is the number of blocks that are inside the memory and whose places fit
// into the int32 that the assembly reads.
func (kv *KV) blocks() int {
	n := min(min(len(kv.K), len(kv.V))/kv.Stride, math.MaxInt32)
	if kv.Run == 0 {
		return n
	}
	return n/kv.Pitch*kv.Run + min(n%kv.Pitch, kv.Run)
}

// small reports whether the integers are bytes, not int16.
func (kv *KV) small() bool { return kv.Type == quant.Q8_0 }

// intMax is the largest integer of an integer type.
func (kv *KV) intMax() float32 {
	if kv.small() {
		return byteMax
	}
	return intMax
}

// scales are the 16 scales at the end of an integer block.
func (kv *KV) scales(block []byte) []float32 {
	at := unsafe.Pointer(&block[kv.Stride-4*BlockTokens])
	return unsafe.Slice((*float32)(at), BlockTokens)
}

// halves views a block's bytes as 16-bit numbers.
func halves(b []byte) []uint16 {
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/2)
}

// int16s views the memory of floats as twice as many int16.
func int16s(x []float32) []int16 {
	return unsafe.Slice((*int16)(unsafe.Pointer(unsafe.SliceData(x))), 2*len(x))
}
