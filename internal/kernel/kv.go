package kernel

import (
	"fmt"
	"unsafe"

	"github.com/penstock-llm/penstock/internal/quant"
)

// Limits of the attention family.
const (
	BlockTokens = 16  // positions in a KV block
	MaxHeadDim  = 256 // largest head size; head sizes are even
)

// KV is the cache of one kv head of one layer: the keys and the values of all
// blocks, each kind in a run of its own. A block's inside is the kernels'
// business; whoever owns the memory only needs KVBlockBytes.
//
//	F16   K [hd][16] halves (transposed: one vector holds 16 tokens' scores)
//	      V [16][hd] halves
type KV struct {
	Type    quant.Type // F16
	HeadDim int
	Stride  int    // bytes from block b to b+1, KVBlockBytes(Type, HeadDim)
	K, V    []byte // block b is [b*Stride, (b+1)*Stride); 64-byte aligned base
}

// KVBlockBytes is the size of one K block, and of one V block.
func KVBlockBytes(t quant.Type, headDim int) (int, error) {
	if headDim <= 0 || headDim > MaxHeadDim || headDim%2 != 0 {
		return 0, fmt.Errorf("kernel: head size %d: want an even number up to %d", headDim, MaxHeadDim)
	}
	switch t {
	case quant.F16:
		return 2 * BlockTokens * headDim, nil
	}
	return 0, fmt.Errorf("kernel: no KV cache of type %v", t)
}

// StoreK writes k: [hd] as the key of position 16*block+slot of kv. What a half
// cannot hold is clamped to ±65504, NaN becomes 0: the cache is always finite.
func (s Set) StoreK(kv *KV, block int32, slot int, k []float32) {
	s.storeK(kv, kv.block(kv.K, block, slot, k), slot, k)
}

// StoreV writes v: [hd] as the value of position 16*block+slot of kv, clamped as
// keys are.
func (s Set) StoreV(kv *KV, block int32, slot int, v []float32) {
	s.storeV(kv, kv.block(kv.V, block, slot, v), slot, v)
}

// block returns one block of data after checking what a store needs.
func (kv *KV) block(data []byte, block int32, slot int, x []float32) []byte {
	if len(x) != kv.HeadDim || uint(slot) >= BlockTokens || kv.HeadDim > MaxHeadDim {
		panic(fmt.Sprintf("kernel: store of %d values at slot %d, head size %d", len(x), slot, kv.HeadDim))
	}
	at := int(block) * kv.Stride
	return data[at : at+kv.Stride : at+kv.Stride]
}

// halves views a block's bytes as 16-bit numbers.
func halves(b []byte) []uint16 {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/2)
}
