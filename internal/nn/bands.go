package nn

import (
	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/kernel"
)

// band is consecutive sequences of a step of single rows. If there are several, their
// contexts begin with the same blocks, up to fork at least, and the queries of a kv head of
// all of them fit in a tile, which goes over these blocks once (kernel.Branch).
type band struct{ first, n, fork int32 }

// leastSaved is how many positions a band must save its sequences altogether. A tile that
// goes on in branches costs some time: with two sequences of three query heads each, those
// of one chunk did not make up for it, and those of two gave 20 to 36 %.
const leastSaved = 2 * kernel.ForkTokens

// gather makes bands of neighbours, unless that left workers without any.
func (p *tiling) gather(b *batch.Batch, workers int) {
	p.each, p.bands = p.each[:0], p.bands[:0]
	for seq := range int32(b.Seqs()) {
		p.each = append(p.each, band{first: seq, n: 1})
	}
	for at := int32(0); at < int32(b.Seqs()); {
		next := p.bandFrom(b, at)
		p.bands = append(p.bands, next)
		at += next.n
	}
	if busy(len(p.bands)*p.kvHeads, workers) < 0.9 {
		p.bands = append(p.bands[:0], p.each...)
	}
}

// bandFrom is the band that begins with a sequence. A sequence joins if the positions that
// all can share then are more than without it, counted for each that shares them.
func (p *tiling) bandFrom(b *batch.Batch, first int32) band {
	most := min(int32(kernel.TileQueries/p.group), int32(b.Seqs())-first)
	got := band{first: first, n: 1}
	for n := int32(2); n <= most; n++ {
		fork := forkOf(b, first, first+n-1)
		if got.n > 1 {
			fork = min(fork, got.fork)
		}
		if n*fork <= got.n*got.fork {
			break
		}
		got.n, got.fork = n, fork
	}
	if (got.n-1)*got.fork < leastSaved {
		return band{first: first, n: 1}
	}
	return got
}

// forkOf is the position at which the contexts of two sequences part, as far as kernels can
// tell: a multiple of kernel.ForkTokens. The block that either writes to is not shared.
func forkOf(b *batch.Batch, one, other int32) int32 {
	x, y := b.Blocks[one], b.Blocks[other]
	most := int(min(b.Positions[one], b.Positions[other])) / kernel.BlockTokens
	same := 0
	for same < min(most, len(x), len(y)) && x[same] == y[same] {
		same++
	}
	return int32(same * kernel.BlockTokens / kernel.ForkTokens * kernel.ForkTokens)
}

// bands are those of a layer's step. Where a window slides, hardly anything is shared.
func (h *heading) bands() []band {
	if h.a.Window > 0 {
		return h.f.tiling.each
	}
	return h.f.tiling.bands
}

// askBand puts the query heads [lo, hi) of a kv head's group into a worker's tile, those of
// one sequence after the other. It returns their number, and the block table of the first.
func (h *heading) askBand(own *private, b band, kvHead, lo, hi int) (queries int, blocks []int32) {
	own.branches = own.branches[:0]
	for row := int(b.first); row < int(b.first+b.n); row++ {
		for head := lo; head < hi; head++ {
			h.ask(own, queries, row, kvHead*h.f.tiling.group+head)
			queries++
		}
		own.branches = append(own.branches, kernel.Branch{N: hi - lo, Blocks: h.f.batch.Table(h.a.Group, row)})
	}
	blocks = own.branches[0].Blocks
	if t := &own.tiles[0]; b.n > 1 {
		t.Branches, t.Fork = own.branches, b.fork
	} else {
		t.Branches = nil
	}
	return queries, blocks
}
