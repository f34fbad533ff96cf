package kernel

import "fmt"

// Mul multiplies groups [g0, g1) of m with all columns of p:
//
//	y[c*ldy + Lanes*g + r] (+)= row Lanes*g+r · column c
//
// With add it accumulates into y. y holds the padded rows too: the last column
// must have room for Lanes*g1 values.
//
// The value of a column does not depend on the other columns, on how many there
// are or on the group range: it is the same bit for bit. For quantised weights
// every tier gives the same bits too, barring results so small that a product
// underflows. For each block of 32, in order,
//
//	offset formats   y = fma(I, d·dx, y)                I = Σ (q-offset)·x
//	affine formats   y = fma(I, d·dx, y); y = fma(m, dx·Σx, y)
//	halves           t = I0·d0; t = fma(I1, d1, t); y = fma(t, dx, y)
//
// where I is an exact integer and the rest float32. F32, F16 and BF16 weights
// multiply the float copy of the columns with two partial sums, of even and odd
// positions; there tiers differ by rounding.
func (s Set) Mul(m *Matrix, y []float32, ldy int, p *Panels, g0, g1 int, add bool) {
	switch {
	case p.K != m.Cols:
		panic(fmt.Sprintf("kernel: Mul: %d columns against panels of length %d", m.Cols, p.K))
	case g0 < 0 || g1 > m.Groups() || g0 > g1:
		panic(fmt.Sprintf("kernel: Mul: groups [%d, %d) of %d", g0, g1, m.Groups()))
	case m.NeedsFloats() && p.X == nil:
		panic(fmt.Sprintf("kernel: Mul: %v weights need panels with floats", m.Type))
	}
	if g0 == g1 || p.Cols == 0 {
		return
	}
	apart := ldy >= Lanes*g1 && ldy <= len(y) // then what is needed can't overflow
	if p.Cols > 1 && !apart || (p.Cols-1)*ldy+Lanes*g1 > len(y) {
		panic(fmt.Sprintf("kernel: Mul: y of %d, leading dimension %d, for %d columns of %d rows", len(y), ldy, p.Cols, Lanes*g1))
	}
	s.matmul(m, y, ldy, p, g0, g1, add)
}
