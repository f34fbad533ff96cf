// Command vector generates the elementwise kernels of both vector tiers.
//
// Every function takes a count n of whole registers; the wrappers in Go do the
// remaining elements with the generic code.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/lanes"
)

func main() {
	ConstraintExpr("!purego")
	for _, a := range lanes.All {
		elementwise(a)
		reductions(a)
		centring(a)
		activations(a)
		geluErf(a)
		swigluOAI(a)
		ropeHalves(a)
		ropePairs(a)
	}
	prefetch()
	Generate()
}

func prefetch() {
	begin(lanes.Arch{}, "vecPrefetch", "func(x *float32, lines int)", "vecPrefetch asks for cache lines.")
	x, lines := lanes.Pointer("x"), lanes.Pointer("lines")
	lanes.Loop(lines, func() {
		PREFETCHT0(Mem{Base: x})
		ADDQ(Imm(64), x)
	})
	RET()
}

func begin(a lanes.Arch, name, signature, doc string) {
	TEXT(name+a.Name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(doc)
}

// at is the k-th register's place after p.
func at(a lanes.Arch, p reg.Register, k int) Mem { return Mem{Base: p, Disp: k * a.Bytes()} }

// advance returns a function that moves pointers by whole registers.
func advance(a lanes.Arch, ps ...reg.GPVirtual) func(int) {
	return func(rounds int) {
		for _, p := range ps {
			ADDQ(I32(rounds*a.Bytes()), p)
		}
	}
}

func elementwise(a lanes.Arch) {
	begin(a, "vecAdd", "func(dst, x *float32, n int)", "vecAdd: dst += x.")
	dst, x, n := lanes.Pointer("dst"), lanes.Pointer("x"), lanes.Pointer("n")
	lanes.Unrolled(n, 4, func(k int) {
		r := a.Reg()
		VMOVUPS(at(a, dst, k), r)
		VADDPS(at(a, x, k), r, r)
		VMOVUPS(r, at(a, dst, k))
	}, advance(a, dst, x))
	lanes.Finish()

	begin(a, "vecScale", "func(dst, x *float32, n int, c float32)", "vecScale: dst = x*c.")
	dst, x, n = lanes.Pointer("dst"), lanes.Pointer("x"), lanes.Pointer("n")
	c := a.Param("c")
	lanes.Unrolled(n, 4, func(k int) {
		r := a.Reg()
		VMULPS(at(a, x, k), c, r)
		VMOVUPS(r, at(a, dst, k))
	}, advance(a, dst, x))
	lanes.Finish()

	begin(a, "vecAddScaled", "func(dst, x *float32, n int, c float32)", "vecAddScaled: dst += x*c.")
	dst, x, n = lanes.Pointer("dst"), lanes.Pointer("x"), lanes.Pointer("n")
	c = a.Param("c")
	lanes.Unrolled(n, 4, func(k int) {
		r := a.Reg()
		VMOVUPS(at(a, dst, k), r)
		VFMADD231PS(at(a, x, k), c, r)
		VMOVUPS(r, at(a, dst, k))
	}, advance(a, dst, x))
	lanes.Finish()

	begin(a, "vecScaleMul", "func(dst, x, w *float32, n int, c float32)", "vecScaleMul: dst = x*c*w.")
	dst, x, n = lanes.Pointer("dst"), lanes.Pointer("x"), lanes.Pointer("n")
	w := lanes.Pointer("w")
	c = a.Param("c")
	lanes.Unrolled(n, 4, func(k int) {
		r := a.Reg()
		VMULPS(at(a, x, k), c, r)
		VMULPS(at(a, w, k), r, r)
		VMOVUPS(r, at(a, dst, k))
	}, advance(a, dst, x, w))
	lanes.Finish()
}

func reductions(a lanes.Arch) {
	begin(a, "vecDot", "func(x, y *float32, n int) float32", "vecDot: Σ x*y.")
	x, y, n := lanes.Pointer("x"), lanes.Pointer("y"), lanes.Pointer("n")
	sums := zeros(a)
	lanes.Unrolled(n, 4, func(k int) {
		r := a.Reg()
		VMOVUPS(at(a, x, k), r)
		VFMADD231PS(at(a, y, k), r, sums[k])
	}, advance(a, x, y))
	total(a, sums)

	a.ExpSum("vecExpSum", true)
}

// centring are the three passes of a layer normalisation.
func centring(a lanes.Arch) {
	begin(a, "vecSum", "func(x *float32, n int) float32", "vecSum: Σ x.")
	x, n := lanes.Pointer("x"), lanes.Pointer("n")
	sums := zeros(a)
	lanes.Unrolled(n, 4, func(k int) {
		VADDPS(at(a, x, k), sums[k], sums[k])
	}, advance(a, x))
	total(a, sums)

	begin(a, "vecSquares", "func(x *float32, n int, mean float32) float32", "vecSquares: Σ (x-mean)².")
	x, n = lanes.Pointer("x"), lanes.Pointer("n")
	mean := a.Param("mean")
	sums = zeros(a)
	lanes.Unrolled(n, 4, func(k int) {
		r := a.Reg()
		VMOVUPS(at(a, x, k), r)
		VSUBPS(mean, r, r)
		VFMADD231PS(r, r, sums[k])
	}, advance(a, x))
	total(a, sums)

	begin(a, "vecCentre", "func(dst, x, w, b *float32, n int, mean, c float32)", "vecCentre: dst = (x-mean)*c*w + b.")
	dst, x, w, b, n := lanes.Pointer("dst"), lanes.Pointer("x"), lanes.Pointer("w"), lanes.Pointer("b"), lanes.Pointer("n")
	mean, c := a.Param("mean"), a.Param("c")
	lanes.Unrolled(n, 2, func(k int) {
		r, t := a.Reg(), a.Reg()
		VMOVUPS(at(a, x, k), r)
		VSUBPS(mean, r, r)
		VMULPS(c, r, r)
		VMOVUPS(at(a, b, k), t)
		VFMADD231PS(at(a, w, k), r, t)
		VMOVUPS(t, at(a, dst, k))
	}, advance(a, dst, x, w, b))
	lanes.Finish()
}

// zeros are four sums at their beginning.
func zeros(a lanes.Arch) []reg.VecVirtual {
	sums := a.Regs(4)
	for _, s := range sums {
		a.Zero(s)
	}
	return sums
}

// total ends a function whose result is the four sums together.
func total(a lanes.Arch, sums []reg.VecVirtual) {
	VADDPS(sums[1], sums[0], sums[0])
	VADDPS(sums[3], sums[2], sums[2])
	VADDPS(sums[2], sums[0], sums[0])
	lanes.SetResult(a.Reduce(sums[0], VADDPS))
	lanes.Finish()
}

func activations(a lanes.Arch) {
	begin(a, "vecSiluMul", "func(dst, gate, up *float32, n int)", "vecSiluMul: dst = g/(1+exp(-g))*up.")
	dst, g, up, n := lanes.Pointer("dst"), lanes.Pointer("gate"), lanes.Pointer("up"), lanes.Pointer("n")
	e, zero := a.NewExp(), a.Reg()
	a.Zero(zero)
	lanes.Unrolled(n, 2, func(k int) {
		v, t := a.Reg(), a.Reg()
		VMOVUPS(at(a, g, k), v)
		VSUBPS(v, zero, t)
		e.Emit(t, false)
		gated(e.One(), v, t, at(a, up, k))
		VMOVUPS(v, at(a, dst, k))
	}, advance(a, dst, g, up))
	lanes.Finish()

	begin(a, "vecGeluMul", "func(dst, gate, up *float32, n int)", "vecGeluMul: dst = gelu(g)*up, tanh form.")
	dst, g, up, n = lanes.Pointer("dst"), lanes.Pointer("gate"), lanes.Pointer("up"), lanes.Pointer("n")
	e = a.NewExp()
	const root = 0.79788456080286535588 // sqrt(2/pi)
	linear, cubic := a.Const(-2*root), a.Const(-2*root*0.044715)
	lanes.Unrolled(n, 2, func(k int) {
		v, t := a.Reg(), a.Reg()
		VMOVUPS(at(a, g, k), v)
		VMULPS(v, v, t)
		VFMADD213PS(linear, cubic, t) // -2z = g*(linear + cubic*g²)
		VMULPS(v, t, t)
		e.Emit(t, false)
		gated(e.One(), v, t, at(a, up, k))
		VMOVUPS(v, at(a, dst, k))
	}, advance(a, dst, g, up))
	lanes.Finish()
}

// geluErf uses 1/(1+exp(-p)) for the normal distribution, see geluErfMulGeneric.
func geluErf(a lanes.Arch) {
	begin(a, "vecGeluErfMul", "func(dst, gate, up *float32, n int)", "vecGeluErfMul: dst = gelu(g)*up, erf form.")
	dst, g, up, n := lanes.Pointer("dst"), lanes.Pointer("gate"), lanes.Pointer("up"), lanes.Pointer("n")
	e := a.NewExp()
	c1, c3, c5, most := a.Const(-1.5950157658759296), a.Const(-0.0740112941658954), a.Const(0.0007030338756824904), a.Const(25)
	lanes.Unrolled(n, 2, func(k int) {
		v, q, t := a.Reg(), a.Reg(), a.Reg()
		VMOVUPS(at(a, g, k), v)
		VMULPS(v, v, q)
		VMINPS(most, q, q)
		VMOVAPS(c5, t)
		VFMADD213PS(c3, q, t)
		VFMADD213PS(c1, q, t)
		VMULPS(v, t, t)
		e.Emit(t, false)
		gated(e.One(), v, t, at(a, up, k))
		VMOVUPS(v, at(a, dst, k))
	}, advance(a, dst, g, up))
	lanes.Finish()
}

// swigluOAI takes minima and maxima with the value as the second source, which is the
// result where it is NaN.
func swigluOAI(a lanes.Arch) {
	begin(a, "vecSwigluOAI", "func(dst, gate, up *float32, n int)", "vecSwigluOAI: dst = g/(1+exp(-1.702g))*(up+1), g at most 7, up in [-7, 7].")
	dst, g, up, n := lanes.Pointer("dst"), lanes.Pointer("gate"), lanes.Pointer("up"), lanes.Pointer("n")
	e := a.NewExp()
	most, least, alpha := a.Const(7), a.Const(-7), a.Const(-1.702)
	lanes.Unrolled(n, 2, func(k int) {
		v, t, u := a.Reg(), a.Reg(), a.Reg()
		VMOVUPS(at(a, g, k), v)
		VMINPS(v, most, v)
		VMULPS(alpha, v, t)
		e.Emit(t, false)
		VADDPS(e.One(), t, t)
		VDIVPS(t, v, v)
		VMOVUPS(at(a, up, k), u)
		VMINPS(u, most, u)
		VMAXPS(u, least, u)
		VADDPS(e.One(), u, u)
		VMULPS(u, v, v)
		VMOVUPS(v, at(a, dst, k))
	}, advance(a, dst, g, up))
	lanes.Finish()
}

// gated is v = v/(1+t)*up, and uses up t.
func gated(one Op, v, t reg.VecVirtual, up Mem) {
	VADDPS(one, t, t)
	VDIVPS(t, v, v)
	VMULPS(up, v, v)
}

func ropeHalves(a lanes.Arch) {
	begin(a, "vecRopeHalves", "func(dst, lo, hi, cos, sin *float32, n int)", "vecRopeHalves: dst = (lo*cos-hi*sin, lo*sin+hi*cos); its halves are as far apart as lo and hi.")
	lo, hi, n := lanes.Pointer("lo"), lanes.Pointer("hi"), lanes.Pointer("n")
	cos, sin, to := lanes.Pointer("cos"), lanes.Pointer("sin"), lanes.Pointer("dst")
	half := GP64()
	MOVQ(hi, half)
	SUBQ(lo, half)
	lanes.Loop(n, func() {
		x, y, c, s, p, q := a.Reg(), a.Reg(), a.Reg(), a.Reg(), a.Reg(), a.Reg()
		VMOVUPS(at(a, lo, 0), x)
		VMOVUPS(at(a, hi, 0), y)
		VMOVUPS(at(a, cos, 0), c)
		VMOVUPS(at(a, sin, 0), s)
		VMULPS(y, s, p)
		VFMSUB231PS(x, c, p) // x*c - y*s
		VMULPS(y, c, q)
		VFMADD231PS(x, s, q)
		VMOVUPS(p, at(a, to, 0))
		VMOVUPS(q, Mem{Base: to, Index: half, Scale: 1})
		advance(a, lo, hi, cos, sin, to)(1)
	})
	lanes.Finish()
}

// ropePairs spreads each cosine over the two lanes of its pair.
func ropePairs(a lanes.Arch) {
	begin(a, "vecRopePairs", "func(dst, x, cos, sin *float32, n int)", "vecRopePairs: dst is the pairs (x[2i], x[2i+1]), rotated; n registers of x.")
	to, x, n := lanes.Pointer("dst"), lanes.Pointer("x"), lanes.Pointer("n")
	cos, sin := lanes.Pointer("cos"), lanes.Pointer("sin")
	lanes.Loop(n, func() {
		v, c, s, t := a.Reg(), a.Reg(), a.Reg(), a.Reg()
		VMOVUPS(at(a, x, 0), v)
		VPMOVZXDQ(at(a, cos, 0), c)
		VPMOVZXDQ(at(a, sin, 0), s)
		VMOVSLDUP(c, c)
		VMOVSLDUP(s, s)
		VPERMILPS(U8(0xb1), v, t)
		VMULPS(s, t, t)
		VFMADDSUB231PS(c, v, t) // even: v*c - t, odd: v*c + t
		VMOVUPS(t, at(a, to, 0))
		ADDQ(I32(a.Bytes()), x)
		ADDQ(I32(a.Bytes()), to)
		ADDQ(I32(a.Bytes()/2), cos)
		ADDQ(I32(a.Bytes()/2), sin)
	})
	lanes.Finish()
}
