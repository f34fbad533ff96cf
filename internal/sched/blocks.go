package sched

import (
	"fmt"
	"math/bits"
	"slices"
)

const none = -1

// blocks hands out the blocks of the KV cache. A block is in one of three
// states: held (refs > 0), cached (no holder, content indexed, in the LRU list)
// or clean (no holder, no content worth keeping). Everything but the search for
// a run of clean blocks is O(1).
//
// The index finds a full block by its content and by the identity of the block
// before it. Hashes only narrow the search: tokens and parent are compared, so
// a collision costs a hit and never serves another prompt's keys.
type blocks struct {
	size int
	refs []int32 // [blocks] sequences that hold it

	id     []uint64 // [blocks] identity of the indexed content, 0: not indexed
	parent []uint64 // [blocks] identity of the content before it, 0: it is the first
	hash   []uint64 // [blocks]
	tokens []int32  // [blocks*size]
	lastID uint64

	bucket []int32 // [power of two] first block of the hash, or none
	link   []int32 // [blocks] next block of the bucket

	older, newer   []int32 // [blocks] LRU list of the cached
	oldest, newest int32
	cached         int

	clean    []uint64 // [blocks/64] bitmap
	nclean   int
	room     []int32 // [blocks] clean blocks after this one that its sequence is expected to take
	reach    int     // blocks below it have been handed out at some time
	batch    int     // cached blocks evicted at once
	hashMask uint64
	evicted  uint64
}

func newBlocks(n, size int) *blocks {
	b := &blocks{
		size:   size,
		refs:   make([]int32, n),
		id:     make([]uint64, n),
		parent: make([]uint64, n),
		hash:   make([]uint64, n),
		tokens: make([]int32, n*size),
		bucket: make([]int32, 1<<bits.Len(uint(n))),
		link:   make([]int32, n),
		older:  make([]int32, n),
		newer:  make([]int32, n),
		oldest: none,
		newest: none,
		clean:  make([]uint64, (n+63)/64),
		room:   make([]int32, n),
		// Evicting a few at once restores runs of consecutive ids, because a
		// sequence releases its blocks from the last to the first.
		batch:    max(1, min(8, n/64)),
		hashMask: ^uint64(0),
	}
	for i := range b.bucket {
		b.bucket[i] = none
	}
	for i := range n {
		b.setClean(int32(i))
	}
	return b
}

// free is the number of blocks that can be allocated.
func (b *blocks) free() int { return b.nclean + b.cached }

func (b *blocks) total() int { return len(b.refs) }

// alloc gives a block, if possible the one after prev (none: the start of a
// sequence that will want about expect blocks). It evicts the least recently
// used cached blocks when no clean one is left. The caller checks free first.
func (b *blocks) alloc(prev int32, expect int) int32 {
	if b.nclean == 0 {
		for range min(b.batch, b.cached) {
			b.evict(b.oldest)
		}
	}
	next := int(prev) + 1
	if prev == none || next >= b.total() || !b.isClean(next) {
		next = b.run(expect)
	}
	if prev != none {
		b.room[prev] = 0
	}
	b.room[next] = int32(expect) - 1
	b.reach = max(b.reach, next+1)
	b.clean[next/64] &^= 1 << (next % 64)
	b.nclean--
	b.refs[next] = 1
	return int32(next)
}

// run finds n consecutive clean blocks that no other sequence is expected to grow
// into, and returns the first. Of several such runs it takes the one with the
// lowest ids, because memory that was used before has its pages already. Where no
// run is long enough, it chooses a place in the longest one.
func (b *blocks) run(n int) int {
	total := b.total()
	best, length := none, 0
	for i := b.nextClean(0, total); i < total; {
		end, from := b.nextHeld(i, total), i
		if i > 0 {
			from += int(b.room[i-1])
		}
		if end-from >= n {
			return from
		}
		if end-i > length {
			// Start in the middle of the run at the latest, so that the sequence
			// whose blocks end before it can go on into its front half.
			best, length = min(from, (i+end)/2), end-i
		}
		i = b.nextClean(end, total)
	}
	return best
}

func (b *blocks) nextClean(from, to int) int {
	for i := from; i < to; i = (i | 63) + 1 {
		if w := b.clean[i/64] >> (i % 64); w != 0 {
			return min(to, i+bits.TrailingZeros64(w))
		}
	}
	return to
}

func (b *blocks) nextHeld(from, to int) int {
	for i := from; i < to; i = (i | 63) + 1 {
		if w := ^b.clean[i/64] >> (i % 64); w != 0 {
			return min(to, i+bits.TrailingZeros64(w))
		}
	}
	return to
}

func (b *blocks) isClean(i int) bool { return b.clean[i/64]>>(i%64)&1 != 0 }

func (b *blocks) setClean(i int32) {
	b.clean[i/64] |= 1 << (i % 64)
	b.nclean++
}

// hold adds a holder to a block found by find.
func (b *blocks) hold(i int32) {
	if b.refs[i] == 0 {
		b.unlinkLRU(i)
	}
	b.refs[i]++
}

// release drops a holder. The last one leaves the block cached if its content
// is indexed, clean otherwise.
func (b *blocks) release(i int32) {
	b.refs[i]--
	b.room[i] = 0
	switch {
	case b.refs[i] > 0:
	case b.id[i] == 0:
		b.setClean(i)
	default:
		b.older[i], b.newer[i] = b.newest, none
		if b.newest == none {
			b.oldest = i
		} else {
			b.newer[b.newest] = i
		}
		b.newest = i
		b.cached++
	}
}

func (b *blocks) unlinkLRU(i int32) {
	o, n := b.older[i], b.newer[i]
	if o == none {
		b.oldest = n
	} else {
		b.newer[o] = n
	}
	if n == none {
		b.newest = o
	} else {
		b.older[n] = o
	}
	b.cached--
}

// evict forgets the content of a cached block.
func (b *blocks) evict(i int32) {
	b.unlinkLRU(i)
	b.forget(i)
	b.setClean(i)
	b.evicted++
}

// forgetCached forgets the content of all cached blocks, and returns how many there
// were.
func (b *blocks) forgetCached() int {
	n := b.cached
	for b.cached > 0 {
		i := b.oldest
		b.unlinkLRU(i)
		b.forget(i)
		b.setClean(i)
	}
	return n
}

// find looks a full block up by its content and the identity of its parent.
func (b *blocks) find(parent, hash uint64, tokens []int32) int32 {
	hash &= b.hashMask
	for i := b.bucket[hash&uint64(len(b.bucket)-1)]; i != none; i = b.link[i] {
		if b.hash[i] == hash && b.parent[i] == parent && slices.Equal(b.content(i), tokens) {
			return i
		}
	}
	return none
}

func (b *blocks) content(i int32) []int32 {
	return b.tokens[int(i)*b.size : (int(i)+1)*b.size]
}

// index makes a full, computed block findable and returns the identity of its
// content. If the same content is indexed already, that one stays.
func (b *blocks) index(i int32, parent, hash uint64, tokens []int32) uint64 {
	if j := b.find(parent, hash, tokens); j != none {
		return b.id[j]
	}
	hash &= b.hashMask
	b.lastID++
	b.id[i], b.parent[i], b.hash[i] = b.lastID, parent, hash
	copy(b.content(i), tokens)
	head := &b.bucket[hash&uint64(len(b.bucket)-1)]
	b.link[i] = *head
	*head = i
	return b.lastID
}

// forget takes a block out of the index.
func (b *blocks) forget(i int32) {
	if b.id[i] == 0 {
		return
	}
	b.id[i] = 0
	at := &b.bucket[b.hash[i]&uint64(len(b.bucket)-1)]
	for *at != i {
		at = &b.link[*at]
	}
	*at = b.link[i]
}

// check verifies that every block is in exactly one state. held[i] is the
// number of sequences that list block i.
func (b *blocks) check(held []int32) error {
	var clean, cached, indexed int
	for i, refs := range b.refs {
		if refs != held[i] {
			return fmt.Errorf("block %d: refs %d, held by %d sequences", i, refs, held[i])
		}
		if b.id[i] != 0 {
			indexed++
		}
		switch isClean := b.isClean(i); {
		case isClean && (refs > 0 || b.id[i] != 0 || b.room[i] != 0):
			return fmt.Errorf("block %d: clean with refs %d, id %d, room %d", i, refs, b.id[i], b.room[i])
		case isClean:
			clean++
		case refs == 0 && b.room[i] != 0:
			return fmt.Errorf("block %d: room for %d more, held by nobody", i, b.room[i])
		case refs == 0 && b.id[i] == 0:
			return fmt.Errorf("block %d: leaked", i)
		case refs == 0:
			cached++
		}
	}
	listed := 0
	for i := b.oldest; i != none; i = b.newer[i] {
		if listed++; b.refs[i] != 0 || b.id[i] == 0 || listed > b.total() {
			return fmt.Errorf("block %d: in the LRU list with refs %d, id %d", i, b.refs[i], b.id[i])
		}
	}
	chained := 0
	for _, i := range b.bucket {
		for ; i != none && chained <= b.total(); i = b.link[i] {
			chained++
		}
	}
	if clean != b.nclean || cached != b.cached || listed != cached || chained != indexed {
		return fmt.Errorf("counts: clean %d/%d, cached %d/%d/%d, indexed %d/%d",
			clean, b.nclean, cached, b.cached, listed, indexed, chained)
	}
	return nil
}
