package lanes

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Exp holds the constants of exp32 (vector_generic.go is the specification).
type Exp struct {
	arch                     Arch
	lowest, highest          Op
	log2e, ln2Hi, ln2Lo, one Op
	c                        [5]Op // q, highest power first
}

// NewExp loads the constants.
func (a Arch) NewExp() *Exp {
	e := &Exp{arch: a, lowest: a.Operand(-87), highest: a.Operand(88),
		log2e: a.Operand(1.44269504088896341), ln2Hi: a.Operand(0.693359375), ln2Lo: a.Operand(-2.12194440e-4), one: a.Operand(1)}
	for i, c := range []float64{0.001381459878757596, 0.008368716575205326, 0.04166838899254799, 0.1666652113199234, 0.4999999403953552} {
		e.c[i] = a.Operand(c)
	}
	return e
}

// One is 1 in every lane.
func (e *Exp) One() Op { return e.one }

// Emit replaces x by exp(x). With flush, what is below the range (and NaN)
// becomes exactly 0; without, it saturates and NaN may give any number.
func (e *Exp) Emit(x reg.VecVirtual, flush bool) {
	a := e.arch
	var keep reg.Register
	if flush {
		if a.Wide() {
			k := K()
			VCMPPS(U8(0x1d), e.lowest, x, k) // ordered x >= lowest
			keep = k
		} else {
			y := a.Reg()
			VCMPPS(U8(0x1d), e.lowest, x, y)
			keep = y
		}
	}
	VMAXPS(e.lowest, x, x) // the second source wins against NaN
	VMINPS(e.highest, x, x)
	n, p := a.Reg(), a.Reg()
	VMULPS(e.log2e, x, n)
	if a.Wide() {
		VRNDSCALEPS(U8(8), n, n)
	} else {
		VROUNDPS(U8(8), n, n)
	}
	VFNMADD231PS(e.ln2Hi, n, x)
	VFNMADD231PS(e.ln2Lo, n, x)
	VMOVUPS(e.c[0], p)
	for _, c := range e.c[1:] {
		VFMADD213PS(c, x, p)
	}
	VMULPS(x, p, p)
	VFMADD213PS(x, x, p) // r + r*(r*q)
	VADDPS(e.one, p, p)
	switch {
	case a.Wide() && flush:
		VSCALEFPS_Z(n, p, keep, x)
	case a.Wide():
		VSCALEFPS(n, p, x)
	default:
		VCVTPS2DQ(n, n)
		VPSLLD(U8(23), n, n)
		VPADDD(n, p, x)
		if flush {
			VANDPS(keep, x, x)
		}
	}
}
