package sched

import "fmt"

// windows is the blocks of the layers that see only the last positions, which have
// keys and values of their own. A sequence gets such a block with every block of the
// other layers, and gives it back when no row to come sees into it.
//
// A block that is computed hangs on the indexed block with the same tokens. There it
// stays when its sequence has gone on, until it is evicted or that block is: whoever
// finds a prefix needs all those that its first row sees.
type windows struct {
	pool
	size   int
	window int     // positions that a row sees, itself included
	on     []int32 // [blocks] indexed block that this one hangs on, or none
	of     []int32 // [indexed blocks] block that hangs on it, or none
}

func newWindows(cfg *Config) *windows {
	w := &windows{
		pool:   newPool(cfg.WindowBlocks),
		size:   cfg.BlockSize,
		window: cfg.Window,
		on:     make([]int32, cfg.WindowBlocks),
		of:     make([]int32, cfg.Blocks),
	}
	for i := range w.on {
		w.on[i] = none
	}
	for i := range w.of {
		w.of[i] = none
	}
	return w
}

// first is the first block that a row at position pos, or one after it, sees into.
func (w *windows) first(pos int) int { return max(0, pos+1-w.window) / w.size }

// WindowBlocks is the number of blocks that the rows of a stream's step can see into,
// and so the most that a stream holds of the layers with a window.
func WindowBlocks(window, size int) int { return (window+together-2+size-1)/size + 1 }

// most is the number of its n blocks that a sequence holds at once between steps.
func (w *windows) most(n int) int { return min(n, WindowBlocks(w.window, w.size)) }

// alloc gives a block as take does, with the same conditions as blocks.alloc.
func (w *windows) alloc(prev int32, expect int) int32 {
	for range w.shortage() {
		w.evicted++
		w.detach(w.on[w.oldest])
	}
	return w.take(prev, expect)
}

// attach hangs a block on the indexed block with the same tokens, unless another does
// already.
func (w *windows) attach(i, indexed int32) {
	if w.of[indexed] == none && w.on[i] == none {
		w.of[indexed], w.on[i] = i, indexed
	}
}

// detach takes what hangs on an indexed block off it. If nobody holds it, its content
// is lost.
func (w *windows) detach(indexed int32) {
	i := w.of[indexed]
	if i == none {
		return
	}
	w.of[indexed], w.on[i] = none, none
	if w.refs[i] == 0 {
		w.drop(i)
	}
}

// release drops a holder.
func (w *windows) release(i int32) { w.pool.release(i, w.on[i] != none) }

// forgetCached takes the cached blocks off what they hang on.
func (w *windows) forgetCached() {
	for w.cached > 0 {
		w.detach(w.on[w.oldest])
	}
}

// resumable is the longest beginning of a list of indexed blocks after which a
// sequence can go on: all blocks that its next row sees into are there.
func (w *windows) resumable(indexed []int32) int {
	best, run := 0, 0 // run: blocks in a row that are there, up to this one
	for k, b := range indexed {
		if run++; w.of[b] == none {
			run = 0
		}
		if n := k + 1; run >= n-w.first(n*w.size) {
			best = n
		}
	}
	return best
}

// check verifies that every block is in exactly one state, and hangs on what it says.
func (w *windows) check(held []int32, indexed func(i int32) bool) error {
	for i, on := range w.on {
		if on != none && (w.of[on] != int32(i) || !indexed(on)) {
			return fmt.Errorf("window block %d: hangs on %d, which has %d", i, on, w.of[on])
		}
	}
	if err := w.pool.check(held, func(i int32) bool { return w.on[i] != none }); err != nil {
		return fmt.Errorf("windows: %w", err)
	}
	return nil
}
