package nn

import "testing"

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
