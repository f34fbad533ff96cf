//go:build amd64 && !purego

package kernel

import (
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/quant"
)

//go:generate go -C _asm run ./matmul -dir ..

// mulFunc multiplies groups of packed weights, one after the other from quants
// and scales on,
// with up to 8 columns of one panel. x and fields are the panel's quants and
// the stream that the format reads; cols is the number of columns, or 0 for a
// panel of width 1. It is not preemptible: the caller bounds groups.
type mulFunc func(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, add int)

var vnniFuncs = [...]mulFunc{
	quant.Q8_0:   vnniQ8_0,
	quant.Q4_0:   vnniQ4_0,
	quant.Q4_1:   vnniQ4_1,
	quant.Q5_0:   vnniQ5_0,
	quant.Q5_1:   vnniQ5_1,
	quant.Q2_K:   vnniQ2_K,
	quant.Q3_K:   vnniQ3_K,
	quant.Q4_K:   vnniQ4_K,
	quant.Q5_K:   vnniQ5_K,
	quant.Q6_K:   vnniQ6_K,
	quant.IQ4_NL: vnniIQ4_NL,
	quant.IQ4_XS: vnniIQ4_XS,
}

// floatFunc is a mulFunc for float weights and the float copy of the columns.
type floatFunc func(weights *byte, x, y *float32, k, groups, ldy, cols, add int)

var floatAVX512 = [...]floatFunc{
	quant.F32:  floatF32AVX512,
	quant.F16:  floatF16AVX512,
	quant.BF16: floatBF16AVX512,
}

func (s Set) matmul(m *Matrix, y []float32, ldy int, p *Panels, g0, g1 int, add bool) {
	if s.tier < cpu.AVX512VNNI {
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
	const lookahead = 4096 // bytes
	panels := t.p.panels()
	step := groupsPerCall(t.m, min(t.p.Cols, PanelCols))
	if panels > 1 {
		step = min(step, tileGroups)
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

// call multiplies n groups from g on with panel i.
func (t *tiling) call(s Set, g, n, i, ahead int) {
	m, p := t.m, t.p
	cols := p.cols(i)
	if p.Width == 1 {
		cols = 0
	}
	w, out := &m.Data[g*m.quantBytes], &t.y[i*p.Width*t.ldy+g*Lanes]
	if m.format.float {
		floatAVX512[m.Type](w, &p.floats(i)[0], out, m.Cols, n, t.ldy, cols, t.add)
		return
	}
	nb, panel := m.Cols/BlockLen, p.panel(i)
	fields := &panel[streamOffset(m.format.stream, nb, p.Width)]
	vnniFuncs[m.Type](w, &m.Scales[g*m.scaleBytes], &panel[0], fields, out, nb, n, t.ldy, cols, ahead, t.add)
}

var tileGroups = 1

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
