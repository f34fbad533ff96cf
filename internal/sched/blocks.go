package sched

import (
	"fmt"
	"math/bits"
	"slices"
)

// blocks is the blocks of the layers that see all positions, with the index of what is
// computed.
//
// The index finds a full block by its content and by the identity of the block
// before it. Hashes only narrow the search: tokens and parent are compared, so
// a collision costs a hit and never serves another prompt's keys.
type blocks struct {
	pool
	size int

	id     []uint64 // [blocks] identity of the indexed content, 0: not indexed; its low bits are the block itself
	parent []uint64 // [blocks] identity of the content before it, or a root: it is the first
	hash   []uint64 // [blocks]
	tokens []int32  // [blocks*size]
	lastID uint64
	idBits int // low bits of an identity that are the block

	forgotten uint64 // contents that were taken out of the index

	bucket   []int32 // [power of two] first block of the hash, or none
	link     []int32 // [blocks] next block of the bucket
	hashMask uint64

	windows *windows // what hangs on the blocks; nil: no layer has a window
}

func newBlocks(n, size int) *blocks {
	b := &blocks{
		pool:     newPool(n),
		size:     size,
		id:       make([]uint64, n),
		parent:   make([]uint64, n),
		hash:     make([]uint64, n),
		tokens:   make([]int32, n*size),
		bucket:   make([]int32, 1<<bits.Len(uint(n))),
		link:     make([]int32, n),
		hashMask: ^uint64(0),
		idBits:   bits.Len(uint(n)),
	}
	for i := range b.bucket {
		b.bucket[i] = none
	}
	return b
}

// alloc gives a block as take does. It evicts the least recently used cached blocks
// when no clean one is left. The caller checks free first.
func (b *blocks) alloc(prev int32, expect int) int32 {
	for range b.shortage() {
		b.evicted++
		b.discard(b.oldest)
	}
	return b.take(prev, expect)
}

// release drops a holder.
func (b *blocks) release(i int32) { b.pool.release(i, b.id[i] != 0) }

// discard forgets the content of a cached block.
func (b *blocks) discard(i int32) {
	b.forget(i)
	b.drop(i)
}

// forgetCached forgets the content of all cached blocks, and returns how many there
// were.
func (b *blocks) forgetCached() int {
	n := b.cached
	for b.cached > 0 {
		b.discard(b.oldest)
	}
	return n
}

// find looks a full block up by its content and the identity of its parent.
func (b *blocks) find(parent, hash uint64, tokens []int32) int32 {
	hash &= b.hashMask
	for i := b.bucket[hash&uint64(len(b.bucket)-1)]; i != none; i = b.link[i] {
		if b.hash[i]&b.hashMask == hash && b.parent[i] == parent && slices.Equal(b.content(i), tokens) {
			return i
		}
	}
	return none
}

func (b *blocks) content(i int32) []int32 {
	return b.tokens[int(i)*b.size : (int(i)+1)*b.size]
}

// salted is a bit that the roots of salted prompts have, and no identity.
const salted = 1 << 63

// rootOf stands for the identity of the content before a prompt's first block. It is 0,
// or another one for each salt. As a block is found by its parent, prompts with different roots
// never share any.
func rootOf(salt uint64) uint64 {
	if salt == 0 {
		return 0
	}
	return salt | salted
}

// index makes a full, computed block findable, and returns the block that is found for
// its content from now on: if the same content is indexed already, that one stays.
func (b *blocks) index(i int32, parent, hash uint64, tokens []int32) int32 {
	if j := b.find(parent, hash, tokens); j != none {
		return j
	}
	b.lastID++
	b.id[i], b.parent[i], b.hash[i] = b.lastID<<b.idBits|uint64(i), parent, hash
	copy(b.content(i), tokens)
	head := b.headOf(i)
	b.link[i] = *head
	*head = i
	return i
}

// headOf is where the list begins that an indexed block is in.
func (b *blocks) headOf(i int32) *int32 {
	return &b.bucket[b.hash[i]&b.hashMask&uint64(len(b.bucket)-1)]
}

// blockOf is the block that has, or had, the content with an identity.
func (b *blocks) blockOf(identity uint64) int32 { return int32(identity & (1<<b.idBits - 1)) }

// hashOf is the hash of the tokens up to the end of the content with an identity, if the
// index has it; that of no content is 0.
func (b *blocks) hashOf(identity uint64) (hash uint64, ok bool) {
	if identity == 0 {
		return 0, true
	}
	i := b.blockOf(identity)
	return b.hash[i], b.id[i] == identity
}

// forget takes a block out of the index, and what hangs on it.
func (b *blocks) forget(i int32) {
	if b.id[i] == 0 {
		return
	}
	if b.windows != nil {
		b.windows.detach(i)
	}
	b.id[i] = 0
	b.forgotten++
	at := b.headOf(i)
	for *at != i {
		at = &b.link[*at]
	}
	*at = b.link[i]
}

// check verifies that every block is in exactly one state, and that the index has all
// that it counts. held[i] is the number of sequences that list block i.
func (b *blocks) check(held []int32) error {
	if err := b.pool.check(held, func(i int32) bool { return b.id[i] != 0 }); err != nil {
		return err
	}
	indexed, chained := 0, 0
	for _, id := range b.id {
		if id != 0 {
			indexed++
		}
	}
	for _, i := range b.bucket {
		for ; i != none && chained <= b.total(); i = b.link[i] {
			chained++
		}
	}
	if chained != indexed {
		return fmt.Errorf("counts: indexed %d/%d", indexed, chained)
	}
	return nil
}
