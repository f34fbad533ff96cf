package lanes

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Exp holds the constants of exp32 (vector_generic.go is the specification).
type Exp struct {
	arch            Arch
	lowest, highest Op
	log2e, one      Op
	c               [5]Op // highest power first
}

// NewExp loads the constants.
func (a Arch) NewExp() *Exp {
	e := &Exp{arch: a, lowest: a.Operand(-87), highest: a.Operand(88), log2e: a.Operand(1.44269504088896341), one: a.Operand(1)}
	for i, c := range []float64{0.0018671306315809488, 0.009017028845846653, 0.05579991638660431, 0.24016444385051727, 0.6931512951850891} {
		e.c[i] = a.Operand(c)
	}
	return e
}

// One is 1 in every lane.
func (e *Exp) One() Op { return e.one }

// Emit replaces x by exp(x). With flush, what is below the range, and NaN,
// becomes exactly 0; without, both saturate.
func (e *Exp) Emit(x reg.VecVirtual, flush bool) {
	if e.arch.Wide() {
		e.wide(x, flush)
	} else {
		e.narrow(x, flush)
	}
}

func (e *Exp) wide(x reg.VecVirtual, flush bool) {
	keep := K()
	if flush {
		VCMPPS(U8(0x1d), e.lowest, x, keep) // ordered x >= lowest
	} else {
		VMAXPS(e.lowest, x, x) // the second source wins against NaN
		VMINPS(e.highest, x, x)
	}
	f := e.arch.Reg()
	VMULPS(e.log2e, x, x)
	VREDUCEPS(U8(9), x, f) // x - floor(x)
	p := e.polynomial(f)
	if flush {
		VSCALEFPS_Z(x, p, keep, x) // by 2^floor(x)
	} else {
		VSCALEFPS(x, p, x)
	}
}

func (e *Exp) narrow(x reg.VecVirtual, flush bool) {
	keep, n := e.arch.Reg(), e.arch.Reg()
	if flush {
		VCMPPS(U8(0x1d), e.lowest, x, keep)
	}
	VMAXPS(e.lowest, x, x)
	VMINPS(e.highest, x, x)
	VMULPS(e.log2e, x, x)
	VROUNDPS(U8(9), x, n) // down
	VSUBPS(n, x, x)
	p := e.polynomial(x)
	VCVTPS2DQ(n, n)
	VPSLLD(U8(23), n, n)
	VPADDD(n, p, x)
	if flush {
		VANDPS(keep, x, x)
	}
}

// polynomial is 2^f for f in [0, 1], exactly 1 for 0.
func (e *Exp) polynomial(f reg.VecVirtual) reg.VecVirtual {
	p := e.arch.Reg()
	VMOVUPS(e.c[0], p)
	for _, c := range append(e.c[1:], e.one) {
		VFMADD213PS(c, f, p)
	}
	return p
}

// ExpSum emits a function that returns Σ exp((x-max)*scale) over n registers,
// and with keep leaves the exponentials in x.
func (a Arch) ExpSum(name string, keep bool) {
	TEXT(name+a.Name, NOSPLIT, "func(x *float32, n int, max, scale float32) float32")
	Pragma("noescape")
	does := " is"
	if keep {
		does = ": x = exp((x-max)*scale), returns"
	}
	Doc(name + a.Name + does + " Σ exp((x-max)*scale).")
	x, n := Pointer("x"), Pointer("n")
	top, scale := a.Param("max"), a.Param("scale")
	e := a.NewExp()
	sums := a.Regs(2)
	for _, s := range sums {
		a.Zero(s)
	}
	Unrolled(n, 2, func(k int) {
		r := a.Reg()
		VMOVUPS(Mem{Base: x, Disp: k * a.Bytes()}, r)
		VSUBPS(top, r, r)
		VMULPS(scale, r, r)
		e.Emit(r, true)
		if keep {
			VMOVUPS(r, Mem{Base: x, Disp: k * a.Bytes()})
		}
		VADDPS(r, sums[k], sums[k])
	}, func(rounds int) { ADDQ(I32(rounds*a.Bytes()), x) })
	VADDPS(sums[1], sums[0], sums[0])
	SetResult(a.Reduce(sums[0], VADDPS))
	Finish()
}
