package nn

import (
	"slices"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/kernel"
)

// tiling is how a step's attention is cut into tasks. It depends on the batch
// alone, so it is made once per step.
type tiling struct {
	group   int
	kvHeads int
	workers int

	seqOf  []int32 // [rows] sequence of each row
	wanted []int32 // rows of the batch that attend: all, or after Narrow those that are wanted
	all    []int32 // [rows] 0, 1, 2, …
	stores []store
	stacks []stack // of one kv head; the longest context last

	single bool // every sequence has one row
	whole  int  // single: units, which are one kv head of one sequence each, whose query heads stay together
	parts  int  // single: tasks that share the query heads of each of the other units

	longest int32 // single: positions of the longest context

	each  []band // single: [seqs] the sequences, each for itself
	bands []band // single: the same sequences, of which some share a tile
}

// store is rows of one sequence that share a block of the cache.
type store struct{ seq, first, last int32 }

// stack is queries of one sequence and kv head, for up to kernel.StackTiles tiles. The
// queries of a sequence are numbered row by row, within a row by head.
type stack struct {
	seq   int32
	base  int32 // index in wanted of the sequence's first row
	first int32 // first query
	n     int32
}

func newTiling(l Limits) tiling {
	p := tiling{group: l.Group, kvHeads: l.KVHeads}
	p.seqOf = make([]int32, l.Rows)
	p.all = make([]int32, l.Rows)
	for i := range p.all {
		p.all[i] = int32(i)
	}
	p.stores = make([]store, 0, l.Rows+l.Seqs)
	p.stacks = make([]stack, 0, l.Rows*l.Group/kernel.TileQueries+l.Rows+l.Seqs)
	p.each, p.bands = make([]band, 0, l.Seqs), make([]band, 0, l.Seqs)
	return p
}

func (p *tiling) reset(b *batch.Batch, workers int) {
	p.stores = p.stores[:0]
	for s := range b.Seqs() {
		first, end := b.Start[s], b.Start[s+1]
		for r := first; r < end; r++ {
			p.seqOf[r] = int32(s)
			if r == first || b.Positions[r]%kernel.BlockTokens == 0 {
				p.stores = append(p.stores, store{seq: int32(s), first: r, last: r})
			}
			p.stores[len(p.stores)-1].last = r + 1
		}
	}
	p.wanted, p.workers = p.all[:b.Rows()], workers
	p.single = b.Rows() == b.Seqs()
	if p.single {
		p.whole, p.parts = p.split(b.Seqs()*p.kvHeads, workers)
		p.longest = slices.Max(b.Positions) + 1
		p.gather(b, workers)
	}
	p.cut()
}

// narrow keeps only the rows in wanted.
func (p *tiling) narrow(wanted []int32) {
	p.wanted, p.single = wanted, false
	p.cut()
}

// cut makes the stacks of the wanted rows, of as many tiles as leave no worker without one.
func (p *tiling) cut() {
	for tiles := int32(kernel.StackTiles); tiles > 0; tiles /= 2 {
		p.cutInto(tiles * kernel.TileQueries)
		if busy(len(p.stacks)*p.kvHeads, p.workers) >= 0.9 {
			return
		}
	}
}

// cutInto makes stacks of so many queries.
func (p *tiling) cutInto(most int32) {
	p.stacks = p.stacks[:0]
	for base := 0; base < len(p.wanted); {
		seq := p.seqOf[p.wanted[base]]
		end := base
		for end < len(p.wanted) && p.seqOf[p.wanted[end]] == seq {
			end++
		}
		queries := int32((end - base) * p.group)
		for q := int32(0); q < queries; q += most {
			p.stacks = append(p.stacks, stack{seq, int32(base), q, min(most, queries-q)})
		}
		base = end
	}
}

// split says how many of so many units are worked on whole, and into how many parts
// to cut the query heads of the others so that all workers are busy: no more than
// needed, since each part reads the unit's keys and values again.
func (p *tiling) split(units, workers int) (whole, parts int) {
	least := (p.group + kernel.TileQueries - 1) / kernel.TileQueries
	if least == 1 {
		if busy(units, workers) >= 0.9 {
			return units, 1
		}
		whole = units / workers * workers
	}
	best, bestShare := least, 0.0
	for parts := least; parts <= p.group; parts++ {
		if share := busy((units-whole)*parts, workers); share > bestShare+0.1 {
			best, bestShare = parts, share
		}
	}
	return whole, best
}

// pieces is the number of tasks of a layer's attention.
func (p *tiling) pieces() int {
	if p.single {
		return len(p.wanted) * p.kvHeads * p.group // one query head at the finest
	}
	return len(p.stacks) * p.kvHeads
}

// busy is the share of their time for which workers are busy with so many equal tasks.
func busy(tasks, workers int) float64 {
	rounds := (tasks + workers - 1) / workers
	return float64(tasks) / float64(rounds*workers)
}

// heads returns the query heads [lo, hi) of a group that part of a unit works on.
func (p *tiling) heads(unit, part int) (lo, hi int) {
	if unit < p.whole {
		return 0, p.group
	}
	return p.group * part / p.parts, p.group * (part + 1) / p.parts
}
