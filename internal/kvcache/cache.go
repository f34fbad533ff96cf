// Package kvcache owns the memory of the attention cache: for every layer and
// kv head equally large blocks of 16 positions, keys and values apart, outside
// the garbage collector's heap.
//
// It does not know what is inside a block (package kernel does), nor which block
// belongs to whom (package sched does): it turns (layer, head, block id) into
// bytes. Package model creates a cache, nn hands its memory to the kernels.
package kvcache

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"unsafe"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/quant"
)

// BlockTokens is the number of positions in a block.
const BlockTokens = batch.BlockTokens

// Config is the shape of a cache.
type Config struct {
	Layers  int
	KVHeads int
	HeadDim int
	Blocks  int        // blocks of every layer and head; ids are 0..Blocks-1
	Type    quant.Type // F16, I16 or Q8_0; F32: one vector for each position instead of keys and values, see Row
}

// kinds is what there is of each block: keys and values, or vectors.
func (c Config) kinds() int {
	if c.Type == quant.F32 {
		return 1
	}
	return 2
}

// ErrTooLarge is wrapped by the error of NewStore when the size overflows or the system
// refuses the memory.
var ErrTooLarge = errors.New("kv cache too large")

// Stride is the size in bytes of one block of keys (or values) of one head. A
// test of package kernel checks that it is what the kernels expect.
func (c Config) Stride() (int, error) {
	if c.HeadDim <= 0 || c.HeadDim%2 != 0 || c.HeadDim > 1<<16 {
		return 0, fmt.Errorf("heads of %d elements: want a positive even number", c.HeadDim)
	}
	switch c.Type {
	case quant.F16:
		return 2 * BlockTokens * c.HeadDim, nil
	case quant.I16: // and a float32 scale per position
		return 2*BlockTokens*c.HeadDim + 4*BlockTokens, nil
	case quant.Q8_0:
		return BlockTokens*c.HeadDim + 4*BlockTokens, nil
	case quant.F32:
		return 4 * BlockTokens * c.HeadDim, nil
	}
	return 0, fmt.Errorf("a KV cache of type %v: want F32, F16, I16 or Q8_0", c.Type)
}

// BytesPerBlock is what one block id costs: keys and values of all layers and
// heads.
func BytesPerBlock(c Config) (int, error) {
	stride, err := c.Stride()
	if err != nil {
		return 0, err
	}
	return product(c.kinds(), c.Layers, c.KVHeads, stride)
}

// longest is the most blocks that a run may have, and shortest the fewest that
// Divisible settles for. With shorter runs decoding would read from more places;
// with longer ones the first tokens of a prompt would touch more memory.
const (
	longest  = 32
	shortest = 16
)

// runOf is the length of the runs that n blocks divide into: the largest divisor
// of n up to longest.
func runOf(n int) int {
	run := min(n, longest)
	for n%run != 0 {
		run--
	}
	return run
}

// Divisible is the largest number of blocks up to n that divides into runs of at
// least shortest blocks.
func Divisible(n int) int {
	for n > longest && runOf(n) < shortest {
		n--
	}
	return n
}

// Cache is the blocks of all layers. The layout is
//
//	[chunk][head][layer][keys, values][block of the chunk]
//
// A chunk holds everything for some consecutive block ids, so that the memory in use
// grows with the highest id in use. Within a chunk the blocks of one head are side by
// side: a run of up to 512 tokens. Heads come before layers because the workers share
// out the heads: when a new chunk is first written, each worker then waits for pages
// of its own and not all of them for the same page.
//
// Its methods, except Prepare, may be called from several goroutines. The cache
// does not protect the blocks themselves: the callers agree on who writes which.
type Cache struct {
	config   Config
	stride   int
	run      int    // blocks of a chunk
	mem      []byte // of all chunks
	prepared int    // bytes of mem, from its beginning, that Prepare has been through
	free     func() error
}

// newCache maps a zeroed cache. The system provides the pages when they are first
// written, or when Prepare asks for them.
func newCache(c Config) (*Cache, error) {
	stride, err := c.Stride()
	if err != nil {
		return nil, err
	}
	strides, err := product(c.kinds(), c.Layers, c.KVHeads, c.Blocks)
	if err != nil {
		return nil, err
	}
	size, err := product(strides, stride)
	if err != nil {
		return nil, err
	}
	if strides > math.MaxInt32 { // kernels count them so
		return nil, fmt.Errorf("%w: %d blocks of %d layers and %d heads", ErrTooLarge, c.Blocks, c.Layers, c.KVHeads)
	}
	mem, free, err := mapMemory(size)
	if err != nil {
		return nil, fmt.Errorf("%w: %d blocks of %d bytes: %w", ErrTooLarge, c.Blocks, size/c.Blocks, err)
	}
	return &Cache{config: c, stride: stride, run: runOf(c.Blocks), mem: mem, free: free}, nil
}

// product multiplies sizes. It fails if one is not positive, and if the product
// is more than any machine has.
func product(factors ...int) (int, error) {
	n := uint64(1)
	for _, f := range factors {
		if f <= 0 {
			return 0, fmt.Errorf("a KV cache with a size of %d: want positive numbers", f)
		}
		hi, lo := bits.Mul64(n, uint64(f))
		if hi != 0 || lo > 1<<46 {
			return 0, fmt.Errorf("%w: more than 64 TiB", ErrTooLarge)
		}
		n = lo
	}
	return int(n), nil
}

// Config is what the cache was made with.
func (c *Cache) Config() Config { return c.config }

// Stride is the size in bytes of one block of one head.
func (c *Cache) Stride() int { return c.stride }

// Run is the number of blocks of one head that lie side by side: blocks 0 to
// Run-1, Run to 2*Run-1, and so on. It divides the number of blocks.
func (c *Cache) Run() int { return c.run }

// Pitch is the distance in strides from a run of a head to the next.
func (c *Cache) Pitch() int { return c.config.kinds() * c.config.Layers * c.config.KVHeads * c.run }

// Keys is the memory from the first key block of one head to the cache's end:
// block b is (b/Run*Pitch + b%Run) strides from its beginning.
func (c *Cache) Keys(layer, head int) []byte { return c.from(layer, head, 0) }

// Values is the memory from the first value block of one head on, laid out like
// Keys.
func (c *Cache) Values(layer, head int) []byte { return c.from(layer, head, 1) }

func (c *Cache) from(layer, head, kind int) []byte {
	if uint(layer) >= uint(c.config.Layers) || uint(head) >= uint(c.config.KVHeads) {
		panic(fmt.Sprintf("kvcache: layer %d head %d of %d layers and %d heads", layer, head, c.config.Layers, c.config.KVHeads))
	}
	return c.mem[((head*c.config.Layers+layer)*c.config.kinds()+kind)*c.run*c.stride:]
}

// Row is the vector of a position of a cache of vectors, slot positions after the
// beginning of a block: [HeadDim].
func (c *Cache) Row(layer int, block int32, slot int) []float32 {
	if c.config.Type != quant.F32 {
		panic(fmt.Sprintf("kvcache: a vector of a cache of %v", c.config.Type))
	}
	n := c.config.HeadDim
	at := (int(block)/c.run*c.Pitch()+int(block)%c.run)*c.stride + slot*n*4
	return unsafe.Slice((*float32)(unsafe.Pointer(&c.from(layer, 0, 0)[at : at+4*n][0])), n)
}

// Bytes is the size of the whole cache.
func (c *Cache) Bytes() int { return len(c.mem) }

// piece is how much memory Prepare asks for at once: a huge page.
const piece = 2 << 20

// Prepare has the system provide the next piece of the memory that blocks below n
// need, and reports whether there is more to do. The system clears a page before
// it provides it, which takes milliseconds for a huge one. An idle worker
// therefore calls Prepare ahead of time, so that a step need not wait. Prepare
// changes no content, and may run while other goroutines read and write the
// cache; only one goroutine at a time may call it.
func (c *Cache) Prepare(n int) (more bool) {
	chunks := (min(n, c.config.Blocks) + c.run - 1) / c.run
	end := chunks * c.Pitch() * c.stride
	if c.prepared >= end {
		return false
	}
	next := min(c.prepared+piece, len(c.mem))
	if err := populate(c.mem[c.prepared:next]); err != nil {
		next = len(c.mem) // the pages come when they are written
	}
	c.prepared = next
	return c.prepared < end
}

// Close gives the memory back; no slice of it may be used afterwards. A second
// Close does nothing.
func (c *Cache) Close() error {
	free := c.free
	c.mem, c.free = nil, nil
	if free == nil {
		return nil
	}
	return free()
}
