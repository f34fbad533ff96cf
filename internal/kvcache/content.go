package kvcache

import (
	"fmt"

	"github.com/penstock-llm/penstock/internal/batch"
)

// BlockBytes is the size of what all heads and layers of a group have in one block; 0:
// there are no such layers.
func (s *Store) BlockBytes(g batch.Group) int {
	if c := s.caches[g]; c != nil {
		return c.Pitch() / c.run * c.stride
	}
	return 0
}

// Copy copies the content of a block of a group to dst, of BlockBytes: head by head, of
// each layer by layer keys and values. Paste brings it back, into the same block or into
// another of a store with the same shapes. Nobody may write the block meanwhile, nor read
// it while it is pasted.
func (s *Store) Copy(dst []byte, g batch.Group, block int32) {
	c := s.caches[g]
	for i := range c.pieces(dst, block) {
		copy(dst[i*c.stride:][:c.stride], c.piece(i, block))
	}
}

// Paste is the reverse of Copy.
func (s *Store) Paste(g batch.Group, block int32, src []byte) {
	c := s.caches[g]
	for i := range c.pieces(src, block) {
		copy(c.piece(i, block), src[i*c.stride:][:c.stride])
	}
}

// pieces is the number of places in which a block's content is. It panics for a content
// of the wrong size, and for a block that there is not.
func (c *Cache) pieces(content []byte, block int32) int {
	n := c.Pitch() / c.run
	if len(content) != n*c.stride || uint(block) >= uint(c.config.Blocks) {
		panic(fmt.Sprintf("kvcache: %d bytes for block %d; a block has %d, and there are %d blocks", len(content), block, n*c.stride, c.config.Blocks))
	}
	return n
}

// piece is the i-th of them.
func (c *Cache) piece(i int, block int32) []byte {
	at := (int(block)/c.run*c.Pitch() + i*c.run + int(block)%c.run) * c.stride
	return c.mem[at:][:c.stride]
}
