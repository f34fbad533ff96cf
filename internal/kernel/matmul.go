package kernel

import "fmt"

// Output is where products go: row i of column c to Y[c*LD+i].
type Output struct {
	Y   []float32
	LD  int  // distance of the columns
	Add bool // add to what is there, instead of replacing it

	// Space is memory for the time of the product, from NewSpace or Arena.Space: one
	// for each worker. Without it products of many columns give the same but take
	// longer, on processors that would unfold the weights there.
	Space []byte
}

// A space has sums of two groups for so many panels, and a piece of these groups, at
// most so many blocks long: bytes of weights, and up to five float32 factors.
const (
	spacePanels = 64
	maxPiece    = 16

	pairSums  = 2 * PanelCols * 4 * Lanes // bytes for a panel
	spaceSums = spacePanels * pairSums
)

// SpaceBytes is the size of an Output.Space.
const SpaceBytes = spaceSums + maxPiece*2*Lanes*(BlockLen+5*4)

// NewSpace is an Output.Space.
func NewSpace() []byte { return alignedBytes(SpaceBytes) }

// Mul multiplies groups [g0, g1) of m with all columns of p. The result of row r
// of group g is row Lanes*g+r of out, which has room for the padding rows of the
// last group, too.
//
// The value of a column does not depend on the other columns, on how many there
// are or on the group range: it is the same bit for bit. For quantised weights
// every tier gives the same bits too, barring results so small that a product
// underflows. For each block of 32, in order,
//
//	offset formats   y = fma(I·d, dx, y)                I = Σ (q-offset)·x
//	affine formats   y = fma(I·d, dx, y); y = fma(m, dx·Σx, y)
//	halves           t = fma(M+I0, d0, -M·(d0+d1)); t = fma(M+I1, d1, t); y = fma(t, dx, y)
//
// where I is an exact integer and the rest is float32. M = magic >> shift of the format: the
// quickest kernels have integer sums as float32 numbers M+I. M can be subtracted again without
// a loss, I·d = fma(M+I, d, -M·d) to the bit. Where it is subtracted from two halves at once
// there is an error, of less than d1 >> shift: about as much as one activation of the half
// loses that is rounded by a tenth of what it may be. A factor of 2^104 or more, which only
// MXFP4 can have, may make sums that are not finite. F32, F16 and BF16 weights
// multiply the float copy of the columns. They have two partial sums, of even and
// of odd positions, and the tiers differ by rounding.
func (s Set) Mul(m *Matrix, p *Panels, g0, g1 int, out Output) {
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
	apart := out.LD >= Lanes*g1 && out.LD <= len(out.Y) // so that the next line can't overflow
	if p.Cols > 1 && !apart || (p.Cols-1)*out.LD+Lanes*g1 > len(out.Y) {
		panic(fmt.Sprintf("kernel: Mul: output of %d values, columns %d apart, for %d columns of %d rows", len(out.Y), out.LD, p.Cols, Lanes*g1))
	}
	s.matmul(m, p, g0, g1, out)
}
