// Package kvcache owns the memory of the attention cache: for every layer and
// kv head a run of equally large blocks of 16 positions, keys and values in runs
// of their own, outside the garbage collector's heap.
//
// It does not know what is inside a block (package kernel does), nor which block
// belongs to whom (package sched does): it turns (layer, head, block id) into
// bytes. Package model creates a cache, nn hands its runs to the kernels.
package kvcache

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/penstock-llm/penstock/internal/quant"
)

// BlockTokens is the number of positions in a block.
const BlockTokens = 16

// Config is the shape of a cache.
type Config struct {
	Layers  int
	KVHeads int
	HeadDim int
	Blocks  int        // blocks of every layer and head; ids are 0..Blocks-1
	Type    quant.Type // F16, I16 or Q8_0
}

// ErrTooLarge is wrapped by New's error when the size overflows or the system
// refuses the memory.
var ErrTooLarge = errors.New("kv cache too large")

// Stride is the size in bytes of one block of keys (or values) of one head, as
// kernel.KVBlockBytes lays it out.
func (c Config) Stride() (int, error) {
	if c.HeadDim <= 0 || c.HeadDim%2 != 0 || c.HeadDim > 1<<16 {
		return 0, fmt.Errorf("kvcache: head size %d: want a positive even number", c.HeadDim)
	}
	switch c.Type {
	case quant.F16:
		return 2 * BlockTokens * c.HeadDim, nil
	case quant.I16: // and a float32 scale per position
		return 2*BlockTokens*c.HeadDim + 4*BlockTokens, nil
	case quant.Q8_0:
		return BlockTokens*c.HeadDim + 4*BlockTokens, nil
	}
	return 0, fmt.Errorf("kvcache: type %v: want F16, I16 or Q8_0", c.Type)
}

// BytesPerBlock is what one block id costs: keys and values of all layers and
// heads.
func BytesPerBlock(c Config) (int, error) {
	stride, err := c.Stride()
	if err != nil {
		return 0, err
	}
	return product(2, c.Layers, c.KVHeads, stride)
}

// Cache is the blocks of all layers. The layout is [keys, values][layer][head][block],
// so that consecutive ids of one head are one contiguous stream.
// Its methods may be called from several goroutines; who writes which block is
// the callers' agreement.
type Cache struct {
	config Config
	stride int
	run    int // bytes of one head's blocks
	keys   []byte
	values []byte
	free   func() error
}

// New maps a zeroed cache. The system provides the pages when they are first
// written.
func New(c Config) (*Cache, error) {
	stride, err := c.Stride()
	if err != nil {
		return nil, err
	}
	run, err := product(stride, c.Blocks)
	if err != nil {
		return nil, err
	}
	half, err := product(run, c.Layers, c.KVHeads)
	if err != nil {
		return nil, err
	}
	size, err := product(2, half)
	if err != nil {
		return nil, err
	}
	mem, free, err := mapMemory(size)
	if err != nil {
		return nil, fmt.Errorf("kvcache: %d blocks of %d bytes: %w: %w", c.Blocks, size/c.Blocks, ErrTooLarge, err)
	}
	return &Cache{config: c, stride: stride, run: run, keys: mem[:half:half], values: mem[half:], free: free}, nil
}

// product multiplies positive sizes, or says that they are not or overflow.
func product(factors ...int) (int, error) {
	n := uint64(1)
	for _, f := range factors {
		if f <= 0 {
			return 0, fmt.Errorf("kvcache: size %d: want a positive number", f)
		}
		hi, lo := bits.Mul64(n, uint64(f))
		if hi != 0 || lo > 1<<46 {
			return 0, fmt.Errorf("kvcache: %w: more than 64 TiB", ErrTooLarge)
		}
		n = lo
	}
	return int(n), nil
}

// Config is what the cache was made with.
func (c *Cache) Config() Config { return c.config }

// Stride is the distance in bytes from block b to b+1 of one head.
func (c *Cache) Stride() int { return c.stride }

// Keys is the run of key blocks of one head: block b at [b*Stride, (b+1)*Stride).
func (c *Cache) Keys(layer, head int) []byte { return c.part(c.keys, layer, head) }

// Values is the run of value blocks of one head, laid out like Keys.
func (c *Cache) Values(layer, head int) []byte { return c.part(c.values, layer, head) }

func (c *Cache) part(all []byte, layer, head int) []byte {
	if uint(layer) >= uint(c.config.Layers) || uint(head) >= uint(c.config.KVHeads) {
		panic(fmt.Sprintf("kvcache: layer %d head %d of %d layers and %d heads", layer, head, c.config.Layers, c.config.KVHeads))
	}
	at := (layer*c.config.KVHeads + head) * c.run
	return all[at : at+c.run : at+c.run]
}

// Bytes is the size of the whole cache.
func (c *Cache) Bytes() int { return len(c.keys) + len(c.values) }

// Close gives the memory back; no slice of it may be used afterwards. A second
// Close does nothing.
func (c *Cache) Close() error {
	free := c.free
	c.keys, c.values, c.free = nil, nil, nil
	if free == nil {
		return nil
	}
	return free()
}
