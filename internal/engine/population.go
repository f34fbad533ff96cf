package engine

import "sync/atomic"

// population counts the requests that were accepted and have not ended, and those
// of them that have begun. Both are in one word, so that a reader never sees a
// request in neither place or in both.
type population struct{ word atomic.Uint64 }

// oneLive is an accepted request in the word, whose lower half counts those that
// have begun.
const oneLive = 1 << 32

// enter counts a request that was accepted.
func (p *population) enter() { p.word.Add(oneLive) }

// begin counts a request that takes part in its first step.
func (p *population) begin() { p.word.Add(1) }

// leave takes a request away that has ended, and returns how many are left.
func (p *population) leave(begun bool) (left int) {
	gone := uint64(oneLive)
	if begun {
		gone++
	}
	return int(p.word.Add(-gone) >> 32)
}

// read returns how many requests there are, and how many of them have begun.
func (p *population) read() (live, begun int) {
	w := p.word.Load()
	return int(w >> 32), int(w & (oneLive - 1))
}

// live is how many requests have not ended.
func (p *population) live() int {
	live, _ := p.read()
	return live
}

// places says how many requests run and how many wait. A request runs from its
// first step on, also while it waits to be computed again after a preemption.
// When many come at once, more of them than the queue holds may not have begun:
// they have a place in the batch, which the next steps give them. These count as
// running, so that neither number is ever above its bound.
func (p *population) places(maxBatch, maxQueue int) (running, waiting int) {
	live, begun := p.read()
	waiting = min(max(live-min(begun, maxBatch), 0), maxQueue)
	return live - waiting, waiting
}
