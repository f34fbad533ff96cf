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

func (s Set) matmul(m *Matrix, y []float32, ldy int, p *Panels, g0, g1 int, add bool) {
	if s.tier != cpu.AVX512VNNI || m.format.float {
		matmulGeneric(m, y, ldy, p, g0, g1, add)
		return
	}
	matmulTiled(vnniFuncs[m.Type], m, y, ldy, p, g0, g1, add)
}

// matmulTiled runs f over groups and panels. With several panels, a few groups
// at a time meet all panels, so that their weights come from memory once; the
// last panel prefetches the groups that follow.
func matmulTiled(f mulFunc, m *Matrix, y []float32, ldy int, p *Panels, g0, g1 int, add bool) {
	const lookahead = 4096 // bytes
	nb := m.Cols / BlockLen
	addInt := 0
	if add {
		addInt = 1
	}
	step := groupsPerCall(m, min(p.Cols, PanelCols))
	if p.panels() > 1 {
		step = min(step, tileGroups)
	}
	for g := g0; g < g1; g += step {
		n := min(step, g1-g)
		quants, scales := &m.Data[g*m.quantBytes], &m.Scales[g*m.scaleBytes]
		ahead := lookahead
		for i := range p.panels() {
			panel := p.panel(i)
			cols := p.cols(i)
			if p.Width == 1 {
				cols = 0
			}
			if p.panels() > 1 {
				ahead = 0
				if i == p.panels()-1 {
					ahead = n * m.quantBytes
				}
			}
			out := &y[i*p.Width*ldy+g*Lanes]
			f(quants, scales, &panel[0], &panel[streamOffset(m.format.stream, nb, p.Width)], out, nb, n, ldy, cols, ahead, addInt)
		}
	}
}

var tileGroups = 1

// groupsPerCall keeps a call below about 50 µs, by rough speeds of memory and of
// arithmetic.
func groupsPerCall(m *Matrix, cols int) int {
	const (
		bytesPerCall = 500_000
		macsPerCall  = 5_000_000
	)
	return max(1, min(bytesPerCall/m.quantBytes, macsPerCall/(Lanes*m.Cols*cols)))
}

func (s Set) quantize(panel []byte, nb, w, c, b0 int, x []float32) {
	quantizeGeneric(panel, nb, w, c, b0, x)
}
