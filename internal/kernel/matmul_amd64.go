//go:build amd64 && !purego

package kernel

import (
	"github.com/penstock-llm/penstock/internal/cpu"
)

func (s Set) matmul(m *Matrix, y []float32, ldy int, p *Panels, g0, g1 int, add bool) {
	if s.tier == cpu.Generic {
		matmulGeneric(m, y, ldy, p, g0, g1, add)
		return
	}
	t := tiling{m: m, p: p, y: y, ldy: ldy}
	if add {
		t.add = 1
	}
	t.run(s, g0, g1)
}

// tiling is the loop over groups and panels of one call of Mul.
type tiling struct {
	m        *Matrix
	p        *Panels
	y        []float32
	ldy, add int
}

// run visits groups and panels. With several panels, a few groups at a time meet
// all panels, so that their weights come from memory once; the last panel
// prefetches the groups that follow.
func (t *tiling) run(s Set, g0, g1 int) {
	const (
		lookahead = 4096      // bytes
		tileBytes = 128 << 10 // of quants, to stay in the second-level cache
	)
	panels := t.p.panels()
	step := groupsPerCall(t.m, min(t.p.Cols, PanelCols))
	if panels > 1 {
		step = max(1, min(step, tileBytes/t.m.quantBytes))
	}
	for g := g0; g < g1; g += step {
		n := min(step, g1-g)
		for i := range panels {
			ahead := lookahead
			if panels > 1 {
				ahead = 0
				if i == panels-1 {
					ahead = n * t.m.quantBytes
				}
			}
			t.call(s, g, n, i, ahead)
		}
	}
}

// call multiplies n groups from g on with panel i, in as many columns at a time
// as the kernel takes.
func (t *tiling) call(s Set, g, n, i, ahead int) {
	m, p := t.m, t.p
	nb, panel, cols := m.Cols/BlockLen, p.panel(i), p.cols(i)
	fields := panel[streamOffset(m.format.stream, nb, p.Width):]
	steps := s.columnSteps(m.format)
	for c, step := 0, 0; c < cols; c += step {
		step = steps[cols-c]
		arg := step
		if p.Width == 1 {
			arg = 0
		}
		w, out := &m.Data[g*m.quantBytes], &t.y[(i*p.Width+c)*t.ldy+g*Lanes]
		switch {
		case m.format.float && s.tier == cpu.AVX2:
			floatAVX2[m.Type](w, &p.floats(i)[c], out, m.Cols, n, t.ldy, arg, t.add)
		case m.format.float:
			floatAVX512[m.Type](w, &p.floats(i)[c], out, m.Cols, n, t.ldy, arg, t.add)
		case s.tier == cpu.AVX2:
			avx2Funcs[m.Type](w, &m.Scales[g*m.scaleBytes], &panel[4*c], &fields[4*c], out, nb, n, t.ldy, arg, t.add)
		default:
			vnniFuncs[m.Type](w, &m.Scales[g*m.scaleBytes], &panel[4*c], &fields[4*c], out, nb, n, t.ldy, arg, ahead, t.add)
		}
	}
}

// columnSteps says how many of the columns left a kernel takes: with VNNI it may
// take 1, 2, 3, 4 or 8, with AVX2 1, 2 or 4, and in the halves formats 1 or 2.
func (s Set) columnSteps(f *format) *[PanelCols + 1]int {
	switch {
	case s.tier == cpu.AVX512VNNI:
		return &[...]int{0, 1, 2, 3, 4, 3, 3, 4, 8}
	case f.stream == halvesStream:
		return &[...]int{0, 1, 2, 2, 2, 2, 2, 2, 2}
	}
	return &[...]int{0, 1, 2, 2, 4, 4, 4, 4, 4}
}

// groupsPerCall keeps a call below about 50 µs, by rough speeds of memory and of
// arithmetic.
func groupsPerCall(m *Matrix, cols int) int {
	const (
		bytesPerCall = 500_000
		macsPerCall  = 5_000_000
	)
	macs := Lanes * m.Cols * cols
	if m.format.float {
		macs *= 4
	}
	return max(1, min(bytesPerCall/m.quantBytes, macsPerCall/macs))
}
