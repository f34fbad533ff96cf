package sched

import (
	"fmt"
	"math/bits"
)

const none = -1

// pool hands out the blocks of one group of layers. A block is in one of three
// states: held (refs > 0), cached (no holder, but content that can be found, in the
// LRU list) or clean (no holder, no content worth keeping). Everything but the search
// for a run of clean blocks is O(1).
//
// What is in the blocks its owner knows: blocks, the index of what is computed, and
// windows, which hangs on that index.
type pool struct {
	refs []int32 // [blocks] sequences that hold it

	older, newer   []int32 // [blocks] LRU list of the cached
	oldest, newest int32
	cached         int

	clean   []uint64 // [blocks/64] bitmap
	nclean  int
	room    []int32 // [blocks] clean blocks after this one that its sequence is expected to take
	reach   int     // blocks below it have been handed out at some time
	batch   int     // cached blocks evicted at once
	evicted uint64
}

func newPool(n int) pool {
	p := pool{
		refs:   make([]int32, n),
		older:  make([]int32, n),
		newer:  make([]int32, n),
		oldest: none,
		newest: none,
		clean:  make([]uint64, (n+63)/64),
		room:   make([]int32, n),
		// Evicting a few at once restores runs of consecutive ids, because a
		// sequence releases its blocks from the last to the first.
		batch: max(1, min(8, n/64)),
	}
	for i := range n {
		p.setClean(int32(i))
	}
	return p
}

// free is the number of blocks that can be allocated.
func (p *pool) free() int { return p.nclean + p.cached }

func (p *pool) total() int { return len(p.refs) }

// shortage is the number of cached blocks that have to go before take finds one.
func (p *pool) shortage() int {
	if p.nclean > 0 {
		return 0
	}
	return min(p.batch, p.cached)
}

// take gives a clean block, if possible the one after prev (none: the start of a
// sequence that will want about expect blocks). The caller sees to it that there is
// one.
func (p *pool) take(prev int32, expect int) int32 {
	next := int(prev) + 1
	if prev == none || next >= p.total() || !p.isClean(next) {
		next = p.run(expect)
	}
	if prev != none {
		p.room[prev] = 0
	}
	p.room[next] = int32(expect) - 1
	p.reach = max(p.reach, next+1)
	p.clean[next/64] &^= 1 << (next % 64)
	p.nclean--
	p.refs[next] = 1
	return int32(next)
}

// run finds n consecutive clean blocks that no other sequence is expected to grow
// into, and returns the first. Of several such runs it takes the one with the
// lowest ids, because memory that was used before has its pages already. Where no
// run is long enough, it chooses a place in the longest one.
func (p *pool) run(n int) int {
	total := p.total()
	best, length := none, 0
	for i := p.nextClean(0, total); i < total; {
		end, from := p.nextHeld(i, total), i
		if i > 0 {
			from += int(p.room[i-1])
		}
		if end-from >= n {
			return from
		}
		if end-i > length {
			// Start in the middle of the run at the latest, so that the sequence
			// whose blocks end before it can go on into its front half.
			best, length = min(from, (i+end)/2), end-i
		}
		i = p.nextClean(end, total)
	}
	return best
}

func (p *pool) nextClean(from, to int) int {
	for i := from; i < to; i = (i | 63) + 1 {
		if w := p.clean[i/64] >> (i % 64); w != 0 {
			return min(to, i+bits.TrailingZeros64(w))
		}
	}
	return to
}

func (p *pool) nextHeld(from, to int) int {
	for i := from; i < to; i = (i | 63) + 1 {
		if w := ^p.clean[i/64] >> (i % 64); w != 0 {
			return min(to, i+bits.TrailingZeros64(w))
		}
	}
	return to
}

func (p *pool) isClean(i int) bool { return p.clean[i/64]>>(i%64)&1 != 0 }

func (p *pool) setClean(i int32) {
	p.clean[i/64] |= 1 << (i % 64)
	p.nclean++
}

// hold adds a holder to a block whose content was found.
func (p *pool) hold(i int32) {
	if p.refs[i] == 0 {
		p.unlinkLRU(i)
	}
	p.refs[i]++
}

// release drops a holder. The last one leaves the block cached if its content can be
// found, clean otherwise.
func (p *pool) release(i int32, found bool) {
	p.refs[i]--
	p.room[i] = 0
	switch {
	case p.refs[i] > 0:
	case !found:
		p.setClean(i)
	default:
		p.older[i], p.newer[i] = p.newest, none
		if p.newest == none {
			p.oldest = i
		} else {
			p.newer[p.newest] = i
		}
		p.newest = i
		p.cached++
	}
}

func (p *pool) unlinkLRU(i int32) {
	o, n := p.older[i], p.newer[i]
	if o == none {
		p.oldest = n
	} else {
		p.newer[o] = n
	}
	if n == none {
		p.newest = o
	} else {
		p.older[n] = o
	}
	p.cached--
}

// drop makes a cached block clean.
func (p *pool) drop(i int32) {
	p.unlinkLRU(i)
	p.setClean(i)
}

// check verifies that every block is in exactly one state. held[i] is the number of
// sequences that list block i, found whether its content can be found.
func (p *pool) check(held []int32, found func(i int32) bool) error {
	var clean, cached int
	for i, refs := range p.refs {
		if refs != held[i] {
			return fmt.Errorf("block %d: refs %d, held by %d sequences", i, refs, held[i])
		}
		found := found(int32(i))
		switch isClean := p.isClean(i); {
		case isClean && (refs > 0 || found || p.room[i] != 0):
			return fmt.Errorf("block %d: clean with refs %d, found %v, room %d", i, refs, found, p.room[i])
		case isClean:
			clean++
		case refs == 0 && p.room[i] != 0:
			return fmt.Errorf("block %d: room for %d more, held by nobody", i, p.room[i])
		case refs == 0 && !found:
			return fmt.Errorf("block %d: leaked", i)
		case refs == 0:
			cached++
		}
	}
	listed := 0
	for i := p.oldest; i != none; i = p.newer[i] {
		if listed++; p.refs[i] != 0 || !found(i) || listed > p.total() {
			return fmt.Errorf("block %d: in the LRU list with refs %d, found %v", i, p.refs[i], found(i))
		}
	}
	if clean != p.nclean || cached != p.cached || listed != cached {
		return fmt.Errorf("counts: clean %d/%d, cached %d/%d/%d", clean, p.nclean, cached, p.cached, listed)
	}
	return nil
}
