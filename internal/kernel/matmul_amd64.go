//go:build amd64 && !purego

package kernel

import (
	"math/bits"

	"github.com/penstock-llm/penstock/internal/cpu"
)

func (s Set) matmul(m *Matrix, p *Panels, g0, g1 int, out Output) {
	if s.tier == cpu.Generic {
		matmulGeneric(m, p, g0, g1, out)
		return
	}
	t := tiling{m: m, p: p, y: out.Y, ldy: out.LD, space: out.Space}
	if out.Add {
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
	space    []byte // of pairs of groups
}

// run visits groups and panels. With several panels, a few groups at a time meet
// all panels, so that their weights come from memory once: with the first.
func (t *tiling) run(s Set, g0, g1 int) {
	const tileBytes = 128 << 10 // of quants, to stay in the second-level cache
	panels := t.p.panels()
	step := groupsPerCall(t.m, min(t.p.Cols, PanelCols))
	if panels > 1 {
		step = max(1, min(step, tileBytes/t.m.quantBytes))
	}
	pairs := t.paired(s)
	if pairs {
		step = (step + 1) &^ 1
	}
	for g := g0; g < g1; g += step {
		n, done := min(step, g1-g), 0
		if pairs {
			done = n &^ 1
			t.pairs(s, g, done)
			t.singles(s, g, done, t.p.Cols/PanelCols)
		}
		t.singles(s, g+done, n-done, 0)
	}
}

// singles multiplies n groups from g on with the panels from the given one on.
func (t *tiling) singles(s Set, g, n, from int) {
	for i := from; n > 0 && i < t.p.panels(); i++ {
		q, ask := t.p.panel(i), asking{}
		if i == 0 {
			ask = s.lookahead(t.m.format, q.width)
		}
		t.call(s, g, n, q, ask)
	}
}

// asking is how quants are prefetched: at which distance, and how far apart two streams of
// prefetches are; 0: there is one.
type asking struct{ ahead, apart int }

// lookahead is how the kernels prefetch quants. When the arithmetic of the
// columns takes longer than memory does, that gains up to a half; when it
// takes less, prefetching costs the VNNI kernels up to a third on Zen 4. On Emerald
// Rapids, whose cores wait longer for memory, it gains at any number of columns: 30 to
// 45 % of the speed of formats of four and six bits, 7 % of that of Q8_0, with a single
// one. The AVX2 kernels gain 10 to 25 % of the speed with a single column on Zen 3, but
// nothing at four times the distance.
//
// Two streams in different pages have the hardware prefetchers of Emerald Rapids work on
// both: with eight columns a decode step gains 2 to 9 %, with four and fewer nothing.
func (s Set) lookahead(f *format, cols int) asking {
	switch {
	case s.tier != cpu.AVX512VNNI:
		return asking{ahead: 1024}
	case alwaysAhead && cols > 4:
		return asking{ahead: 8192, apart: 4096}
	case cols >= f.prefetch || alwaysAhead:
		return asking{ahead: 8192}
	}
	return asking{}
}

// alwaysAhead: prefetching pays for any format and number of columns.
var alwaysAhead = cpu.Intel()

// call multiplies n groups from g on with panel q.
func (t *tiling) call(s Set, g, n int, q panel, ask asking) {
	m, p := t.m, t.p
	w, out := &m.Data[g*m.quantBytes], t.y[q.first*t.ldy+g*Lanes:]
	if m.format.float {
		x := p.floats(q)
		if s.tier == cpu.AVX512VNNI {
			floatAVX512[m.Type](w, &x[0], &out[0], m.Cols, n, t.ldy, q.width, t.add)
			return
		}
		for c, step := 0, 0; c < q.width; c += step {
			step = avx2Columns(q.width - c)
			floatAVX2[m.Type](w, &x[c], &out[c*t.ldy], m.Cols, n, t.ldy, step, q.width, t.add)
		}
		return
	}
	nb, panel, scales := m.Cols/BlockLen, p.streams(q), &m.Scales[g*m.scaleBytes]
	x, fields := panel.quants(0, 0), panel.fields(m.format.stream, 0, 0)
	if s.tier == cpu.AVX512VNNI {
		vnniFuncs[m.Type](w, scales, &x[0], &fields[0], &out[0], nb, n, t.ldy, q.width, ask.ahead, ask.apart, t.add)
		return
	}
	multiply := avx2Funcs[m.Type]
	if s.products == cpu.AVXVNNI {
		multiply = avxVNNIFuncs[m.Type]
	}
	for c, step := 0, 0; c < q.width; c += step {
		step = avx2Columns(q.width - c)
		multiply(w, scales, &x[4*c], &fields[4*c], &out[c*t.ldy], nb, n, t.ldy, step, q.width, ask.ahead, t.add)
		ask.ahead = 0
	}
}

// avx2Columns is how many of the columns left to take at once: 1, 2 or 4.
func avx2Columns(left int) int {
	return min(4, 1<<(bits.Len(uint(left))-1))
}

// groupsPerCall keeps a call below about 50 µs, by rough speeds of memory and of
// arithmetic.
func groupsPerCall(m *Matrix, cols int) int {
	const (
		bytesPerCall = 500_000
		macsPerCall  = 2_500_000
	)
	macs := Lanes * m.Cols * cols
	if m.format.float {
		macs *= 4
	}
	return max(1, min(bytesPerCall/m.quantBytes, macsPerCall/macs))
}
