package nn

import (
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/kernel"
)

// sharing is a step of a row each for sequences, which begin with prefix[i] tokens that they share with the one before.
func sharing(positions int, prefix ...int) *batch.Batch {
	b := &batch.Batch{}
	next := int32(0)
	for i, n := range prefix {
		table := make([]int32, positions/kernel.BlockTokens+1)
		for j := range table {
			if j < n/kernel.BlockTokens {
				table[j] = b.Blocks[i-1][j]
				continue
			}
			table[j] = next
			next++
		}
		b.Blocks, b.Positions, b.Start = append(b.Blocks, table), append(b.Positions, int32(positions)), append(b.Start, int32(i))
		b.Tokens = append(b.Tokens, 0)
	}
	b.Start = append(b.Start, int32(len(prefix)))
	return b
}

// TestBands checks who shares a tile.
func TestBands(t *testing.T) {
	for _, c := range []struct {
		what                    string
		group, kvHeads, workers int
		step                    *batch.Batch
		want                    []band
	}{
		{"nothing is shared", 3, 2, 2, sharing(600, 0, 0), []band{{0, 1, 0}, {1, 1, 0}}},
		{"too little is", 3, 2, 2, sharing(600, 0, 511), []band{{0, 1, 0}, {1, 1, 0}}},
		{"two chunks and something", 3, 2, 2, sharing(1000, 0, 700), []band{{0, 2, 512}}},
		{"a chunk is enough for three", 2, 2, 2, sharing(600, 0, 256, 256), []band{{0, 3, 256}}},
		{"all but the block at work", 3, 2, 2, sharing(520, 0, 528), []band{{0, 2, 512}}},
		{"all, and what is written is part of it", 3, 2, 2, sharing(767, 0, 768), []band{{0, 2, 512}}},
		{"as many as a tile takes", 3, 2, 2, sharing(600, 0, 512, 512, 512, 512), []band{{0, 2, 512}, {2, 2, 512}, {4, 1, 0}}},
		{"four groups of two", 2, 2, 2, sharing(600, 0, 512, 512, 512, 512), []band{{0, 4, 512}, {4, 1, 0}}},
		{"a group alone fills the tile", 6, 2, 2, sharing(600, 0, 512), []band{{0, 1, 0}, {1, 1, 0}}},
		{"the third would cost the others more", 2, 2, 2, sharing(1100, 0, 1024, 256), []band{{0, 2, 1024}, {2, 1, 0}}},
		{"the third is worth it", 2, 2, 2, sharing(1100, 0, 1024, 768), []band{{0, 3, 768}}},
		{"a worker would be idle", 2, 1, 2, sharing(600, 0, 512), []band{{0, 1, 0}, {1, 1, 0}}},
	} {
		p := newTiling(Limits{Rows: 8, Seqs: 8, Group: c.group, KVHeads: c.kvHeads})
		p.reset(c.step, c.workers)
		if !slices.Equal(p.bands, c.want) {
			t.Errorf("%s: %v, want %v", c.what, p.bands, c.want)
		}
		if len(p.each) != c.step.Seqs() {
			t.Errorf("%s: %d sequences for themselves", c.what, len(p.each))
		}
	}
}
