//go:build !purego

package kernel

import (
	"math/bits"
	"unsafe"

	"github.com/penstock-llm/penstock/internal/cpu"
)

func (s Set) matmul(m *Matrix, p *Panels, g0, g1 int, out Output) {
	if s.tier == cpu.Generic {
		matmulGeneric(m, p, g0, g1, out)
		return
	}
	t := tiling{m: m, p: p, y: out.Y, ldy: out.LD}
	switch {
	case m.format.float:
	case s.products == cpu.I8MM:
		t.multiply = smmlaFuncs[m.Type]
	default:
		t.multiply = sdotFuncs[m.Type]
	}
	if out.Add {
		t.add = 1
	}
	t.run(g0, g1)
}

// tiling is the loop over groups and panels of one call of Mul.
type tiling struct {
	m        *Matrix
	p        *Panels
	y        []float32
	ldy, add int
	multiply neonFunc
	sums     [neonSums/4 + 16/4]float32
}

// run visits groups and panels. With several panels, a few groups at a time meet
// all panels, so that their weights come from memory once: with the first.
func (t *tiling) run(g0, g1 int) {
	const (
		tileBytes    = 128 << 10 // of quants, to stay in the second-level cache
		bytesPerCall = 500_000   // to stay below about 50 µs
		macsPerCall  = 2_500_000
	)
	panels, macs := t.p.panels(), Lanes*t.m.Cols*min(t.p.Cols, PanelCols)
	if t.m.format.float {
		macs *= 4
	}
	step := max(1, min(bytesPerCall/t.m.quantBytes, macsPerCall/macs))
	if panels > 1 {
		step = max(1, min(step, tileBytes/t.m.quantBytes))
	}
	for g := g0; g < g1; g += step {
		for i := range panels {
			t.call(g, min(step, g1-g), t.p.panel(i))
		}
	}
}

// call multiplies n groups from g on with panel q.
func (t *tiling) call(g, n int, q panel) {
	m, panel, out := t.m, t.p.streams(q), t.y[q.first*t.ldy+g*Lanes:]
	if m.format.float {
		x := t.p.floats(q)
		for c, step := 0, 0; c < q.width; c += step {
			step = min(4, 1<<(bits.Len(uint(q.width-c))-1))
			floatFuncs[m.Type](&m.Data[g*m.quantBytes], &x[c], &out[c*t.ldy], m.Cols, n, t.ldy, step, q.width, t.add)
		}
		return
	}
	x, fields := panel.quants(0, 0), panel.fields(m.format.stream, 0, 0)
	for c, step := 0, 0; c < q.width; c += step {
		step = 1 << (bits.Len(uint(q.width-c)) - 1)
		t.multiply(&m.Data[g*m.quantBytes], &m.Scales[g*m.scaleBytes], &x[4*c], &fields[4*c], &out[c*t.ldy], t.scratch(), m.Cols/BlockLen, n, t.ldy, step, q.width, t.add)
	}
}

// scratch is sums. The compiler must not see that it points into t: what is handed to
// a function out of a table is believed to outlive the call, and t would be allocated
// for every product. The assembly keeps nothing.
func (t *tiling) scratch() *float32 {
	address := (uintptr(unsafe.Pointer(&t.sums)) + 15) &^ 15
	return *(**float32)(unsafe.Pointer(&address))
}
