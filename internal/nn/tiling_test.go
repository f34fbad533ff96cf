package nn

import (
	"testing"

	"github.com/penstock-llm/penstock/internal/batch"
)

// TestSplit checks who works on what when every sequence has one row.
func TestSplit(t *testing.T) {
	for _, c := range []struct{ group, units, workers, whole, parts int }{
		{3, 24, 2, 24, 1}, // SmolLM2, eight sequences
		{3, 3, 2, 2, 2},   // one: only the odd unit's heads are shared out
		{3, 15, 2, 15, 1}, // hardly anybody waits
		{6, 2, 2, 2, 1},   // Qwen2.5 1.5B
		{6, 2, 8, 0, 4},   // more workers than units
		{6, 10, 8, 8, 4},  // all are busy with one, then with the parts of two
		{16, 1, 2, 0, 2},  // more heads than a tile takes
		{16, 3, 2, 0, 2},
		{1, 3, 2, 2, 1}, // nothing to share out
	} {
		p := tiling{group: c.group}
		whole, parts := p.split(c.units, c.workers)
		if whole != c.whole || parts != c.parts {
			t.Errorf("group %d, %d units, %d workers: %d whole, %d parts; want %d, %d", c.group, c.units, c.workers, whole, parts, c.whole, c.parts)
		}
		// Each unit's heads are worked on exactly once.
		p.whole, p.parts = whole, parts
		for unit := range c.units {
			n, at := parts, 0
			if unit < whole {
				n = 1
			}
			for part := range n {
				lo, hi := p.heads(unit, part)
				if lo != at || hi < lo {
					t.Errorf("group %d: part %d of unit %d has heads %d to %d, want them from %d", c.group, part, unit, lo, hi, at)
				}
				at = hi
			}
			if at != c.group {
				t.Errorf("group %d: the parts of unit %d end at head %d", c.group, unit, at)
			}
		}
	}
}

// TestCut: stacks are as large as leaves no worker without one, and have each query once.
func TestCut(t *testing.T) {
	for _, c := range []struct {
		what                    string
		group, kvHeads, workers int
		rows                    []int // of each sequence
		stacks, most            int   // of a kv head; queries of the largest
	}{
		{"a chunk of a prompt", 3, 3, 2, []int{256}, 24, 32},
		{"a chunk of a prompt and others' tokens", 3, 3, 2, []int{1, 250, 1}, 26, 32},
		{"a few rows", 6, 2, 2, []int{5}, 1, 30},
		{"a worker would have nothing", 6, 1, 2, []int{5}, 2, 16},
		{"nor have many", 6, 2, 8, []int{5}, 4, 8},
		{"there is not enough for all", 1, 1, 8, []int{9}, 2, 8},
	} {
		p := newTiling(Limits{Rows: 256, Seqs: 8, Group: c.group, KVHeads: c.kvHeads})
		b := &batch.Batch{Start: []int32{0}}
		for _, n := range c.rows {
			for pos := range n {
				b.Tokens, b.Positions = append(b.Tokens, 0), append(b.Positions, int32(pos))
			}
			b.Start, b.Blocks = append(b.Start, int32(b.Rows())), append(b.Blocks, make([]int32, 16))
		}
		p.reset(b, c.workers)
		most, base, next := 0, int32(-1), int32(0)
		for _, s := range p.stacks {
			if s.base != base {
				base, next = s.base, 0
			}
			if s.first != next {
				t.Errorf("%s: a stack begins with query %d, want %d", c.what, s.first, next)
			}
			next += s.n
			most = max(most, int(s.n))
			if row := int(s.base) + int(s.first+s.n-1)/c.group; p.seqOf[row] != s.seq {
				t.Errorf("%s: a stack of sequence %d ends with a row of %d", c.what, s.seq, p.seqOf[row])
			}
		}
		if len(p.stacks) != c.stacks || most != c.most {
			t.Errorf("%s: %d stacks of up to %d queries, want %d of %d", c.what, len(p.stacks), most, c.stacks, c.most)
		}
	}
}
