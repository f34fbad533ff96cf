package main

import (
	"math"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/a64"
)

// vectors emits the operations of vector.go.
func vectors(k *vector) {
	k.plain()
	k.reductions()
	k.rotations()
	k.activations()
	for _, keep := range []bool{true, false} {
		k.expSum(keep)
	}
}

// plain are the operations that change each element by itself.
func (k *vector) plain() {
	const x, y, w, c, d a64.V = 0, 4, 8, 30, 31
	k.Function("vecScaleMulNEON", "sets dst = x*scale*w.", "dst", "x", "w", "n", a64.Float+"scale")
	k.pointers("dst", "x", "w", "n")
	k.FloatArg("scale", c)
	k.loop(3, func() {
		k.loads(x, 1)
		k.loads(w, 2)
		each(func(i a64.V) { k.Fmul(x+i, x+i, c); k.Fmul(x+i, x+i, w+i) })
		k.stores(x, 0)
	}, 0, 1, 2)
	k.Op("RET")

	k.Function("vecScaleNEON", "sets dst = x*c.", "dst", "x", "n", a64.Float+"c")
	k.pointers("dst", "x", "n")
	k.FloatArg("c", c)
	k.loop(2, func() {
		k.loads(x, 1)
		each(func(i a64.V) { k.Fmul(x+i, x+i, c) })
		k.stores(x, 0)
	}, 0, 1)
	k.Op("RET")

	k.Function("vecAddNEON", "sets dst += x.", "dst", "x", "n")
	k.pointers("dst", "x", "n")
	k.loop(2, func() {
		k.loads(x, 0)
		k.loads(y, 1)
		each(func(i a64.V) { k.Fadd(x+i, x+i, y+i) })
		k.stores(x, 0)
	}, 0, 1)
	k.Op("RET")

	k.Function("vecAddScaledNEON", "sets dst += x*c.", "dst", "x", "n", a64.Float+"c")
	k.pointers("dst", "x", "n")
	k.FloatArg("c", c)
	k.loop(2, func() {
		k.loads(x, 0)
		k.loads(y, 1)
		each(func(i a64.V) { k.Fmla(x+i, y+i, c) })
		k.stores(x, 0)
	}, 0, 1)
	k.Op("RET")

	k.Function("vecCentreNEON", "sets dst = (x-mean)*scale*w + b.", "dst", "x", "w", "b", "n", a64.Float+"mean", a64.Float+"scale")
	k.pointers("dst", "x", "w", "b", "n")
	k.FloatArg("mean", c)
	k.FloatArg("scale", d)
	k.loop(4, func() {
		k.loads(x, 1)
		k.loads(w, 2)
		k.loads(y, 3)
		each(func(i a64.V) {
			k.Fsub(x+i, x+i, c)
			k.Fmul(x+i, x+i, d)
			k.Fmla(y+i, x+i, w+i)
		})
		k.stores(y, 0)
	}, 0, 1, 2, 3)
	k.Op("RET")
}

// reductions have a sum in each lane of four registers.
func (k *vector) reductions() {
	const x, y, sums, c a64.V = 0, 4, 16, 30
	clear := func() { each(func(i a64.V) { k.Zero(sums + i) }) }
	end := func() { k.total(sums); k.Return(sums) }

	k.FloatFunction("vecDotNEON", "is Σ a*b.", "a", "b", "n")
	k.pointers("a", "b", "n")
	clear()
	k.loop(2, func() {
		k.loads(x, 0)
		k.loads(y, 1)
		each(func(i a64.V) { k.Fmla(sums+i, x+i, y+i) })
	}, 0, 1)
	end()

	k.FloatFunction("vecSumNEON", "is Σ x.", "x", "n")
	k.pointers("x", "n")
	clear()
	k.loop(1, func() {
		k.loads(x, 0)
		each(func(i a64.V) { k.Fadd(sums+i, sums+i, x+i) })
	}, 0)
	end()

	k.FloatFunction("vecSquaresNEON", "is Σ (x-mean)².", "x", "n", a64.Float+"mean")
	k.pointers("x", "n")
	k.FloatArg("mean", c)
	clear()
	k.loop(1, func() {
		k.loads(x, 0)
		each(func(i a64.V) { k.Fsub(x+i, x+i, c); k.Fmla(sums+i, x+i, x+i) })
	}, 0)
	end()

	k.FloatFunction("vecMaxNEON", "is the largest number of x, and at least least.", "x", "n", a64.Float+"least")
	k.pointers("x", "n")
	k.FloatArg("least", sums)
	each(func(i a64.V) {
		if i > 0 {
			k.Mov(sums+i, sums)
		}
	})
	k.loop(1, func() {
		k.loads(x, 0)
		each(func(i a64.V) { k.MaxNumber(sums+i, sums+i, x+i) })
	}, 0)
	k.MaxNumber(sums, sums, sums+1)
	k.MaxNumber(sums+2, sums+2, sums+3)
	k.MaxNumber(sums, sums, sums+2)
	k.MaxAcross(sums, sums)
	k.Return(sums)

	// FMAX gives a NaN for a NaN.
	k.FloatFunction("vecPeakNEON", "is the largest magnitude of x, a NaN if there is one.", "x", "n")
	k.pointers("x", "n")
	clear()
	k.loop(1, func() {
		k.loads(x, 0)
		each(func(i a64.V) { k.Fabs(x+i, x+i); k.Fmax(sums+i, sums+i, x+i) })
	}, 0)
	for n := a64.V(2); n > 0; n /= 2 {
		for i := range n {
			k.Fmax(sums+i, sums+i, sums+i+n)
		}
	}
	k.PeakAcross(sums, sums)
	k.Return(sums)

	k.Function("vecIntsNEON", "rounds x*c to integers of 16 bits.", "dst", "x", "n", a64.Float+"c")
	k.pointers("dst", "x", "n")
	k.FloatArg("c", c)
	k.loop(2, func() {
		k.loads(x, 1)
		each(func(i a64.V) {
			k.Fmul(x+i, x+i, c)
			k.ToInt(x+i, x+i)
			k.Narrow(y+i/2, x+i, i%2 == 1)
		})
		k.StorePair(y, 0, 0)
		k.Op("ADD $%d, R0", 8*step)
	}, 1)
	k.Op("RET")
}

// rotations rotate pairs.
func (k *vector) rotations() {
	const lo, hi, cos, sin, p a64.V = 0, 4, 8, 12, 16
	rotate := func(i a64.V) { // p, lo = lo*cos - hi*sin, lo*sin + hi*cos
		k.Fmul(p+i, lo+i, cos+i)
		k.Fmls(p+i, hi+i, sin+i)
		k.Fmul(lo+i, lo+i, sin+i)
		k.Fmla(lo+i, hi+i, cos+i)
	}
	k.Function("vecRopeHalvesNEON", "rotates the pairs of lo and hi.", "lo", "hi", "cos", "sin", "n")
	k.pointers("lo", "hi", "cos", "sin", "n")
	k.loop(4, func() {
		for i, v := range []a64.V{lo, hi, cos, sin} {
			k.loads(v, a64.R(i))
		}
		each(rotate)
		k.stores(p, 0)
		k.stores(lo, 1)
	}, 0, 1, 2, 3)
	k.Op("RET")

	k.Function("vecRopePairsNEON", "rotates neighbours; n counts the steps of 16 values.", "x", "cos", "sin", "n")
	k.pointers("x", "cos", "sin", "n")
	k.loop(3, func() {
		const x a64.V = 20
		k.loads(x, 0)
		k.LoadPair(cos, 1, 0)
		k.LoadPair(sin, 2, 0)
		for i := range a64.V(2) {
			k.Uzp1(lo+i, x+2*i, x+2*i+1)
			k.Uzp2(hi+i, x+2*i, x+2*i+1)
			rotate(i)
			k.Zip1(x+2*i, p+i, lo+i)
			k.Zip2(x+2*i+1, p+i, lo+i)
		}
		k.stores(x, 0)
		k.Op("ADD $32, R1")
		k.Op("ADD $32, R2")
	}, 0)
	k.Op("RET")
}

// exponential holds the constants of exp32 (vector_generic.go is the specification).
type exponential struct {
	k                           *vector
	lowest, highest, log2e, one a64.V
	c                           [5]a64.V // highest power first
}

// exponential loads the constants to the registers from 22 on.
func (k *vector) exponential() *exponential {
	e := &exponential{k: k, lowest: 22, highest: 23, log2e: 24, one: 25}
	for i, c := range []float32{-87, 88, 1.44269504088896341, 1, 0.0018671306315809488, 0.009017028845846653, 0.05579991638660431, 0.24016444385051727, 0.6931512951850891} {
		k.Constant(22+a64.V(i), tmp, math.Float32bits(c))
	}
	for i := range e.c {
		e.c[i] = 26 + a64.V(i)
	}
	return e
}

// emit replaces x and the next three by their exponentials. With flush, what is below
// the range, and NaN, becomes exactly 0; without, both saturate. Registers 8 to 19 are
// lost.
func (e *exponential) emit(x a64.V, flush bool) {
	const keep, n, p a64.V = 8, 12, 16
	k := e.k
	each(func(i a64.V) {
		if flush {
			k.Fcmge(keep+i, x+i, e.lowest)
		}
		k.Fmax(x+i, x+i, e.lowest)
		k.Fmin(x+i, x+i, e.highest)
		k.Fmul(x+i, x+i, e.log2e)
		k.Floor(n+i, x+i)
		k.Fsub(x+i, x+i, n+i)
		k.ToInt(n+i, n+i)
		k.Shift(n+i, n+i, 23)
		k.Mov(p+i, e.c[0])
	})
	for _, c := range append(e.c[1:], e.one) {
		each(func(i a64.V) {
			k.Fmul(p+i, p+i, x+i)
			k.Fadd(p+i, p+i, c)
		})
	}
	each(func(i a64.V) {
		k.Add(x+i, p+i, n+i)
		if flush {
			k.And(x+i, x+i, keep+i)
		}
	})
}

// expSum emits a function that returns Σ exp((x-max)*scale), and with keep leaves the
// exponentials in x.
func (k *vector) expSum(keep bool) {
	const x, sums, top, scale a64.V = 0, 4, 20, 21
	name, doc := "selectMassNEON", "is Σ exp((x-max)*scale)."
	if keep {
		name, doc = "vecExpSumNEON", "sets x = exp((x-max)*scale) and returns the sum."
	}
	k.FloatFunction(name, doc, "x", "n", a64.Float+"max", a64.Float+"scale")
	k.pointers("x", "n")
	k.FloatArg("max", top)
	k.FloatArg("scale", scale)
	e := k.exponential()
	each(func(i a64.V) { k.Zero(sums + i) })
	k.loop(1, func() {
		k.loads(x, 0)
		each(func(i a64.V) { k.Fsub(x+i, x+i, top); k.Fmul(x+i, x+i, scale) })
		e.emit(x, true)
		if keep {
			k.stores(x, 0)
		}
		each(func(i a64.V) { k.Fadd(sums+i, sums+i, x+i) })
	}, 0)
	k.total(sums)
	k.Return(sums)
}

// activations are gate / (1 + exp(argument of gate)) * up.
func (k *vector) activations() {
	const x, g, c a64.V = 0, 4, 31
	constant := func(v float32) { k.Constant(c, tmp, math.Float32bits(v)) }
	for _, f := range []struct {
		name     string
		prepare  func() // of the gates, in g; the ups, in x
		argument func() // of g to x
	}{
		{"vecSiluMulNEON", func() {}, func() { each(func(i a64.V) { k.Fneg(x+i, g+i) }) }},
		{"vecGeluMulNEON", func() {}, func() {
			each(func(i a64.V) { k.Fmul(x+i, g+i, g+i) })
			constant(0.044715)
			each(func(i a64.V) { k.Fmul(x+i, x+i, c); k.Fadd(x+i, x+i, 25); k.Fmul(x+i, x+i, g+i) })
			constant(-2 * 0.79788456080286535588)
			each(func(i a64.V) { k.Fmul(x+i, x+i, c) })
		}},
		{"vecGeluErfMulNEON", func() {}, func() {
			constant(25)
			each(func(i a64.V) { k.Fmul(8+i, g+i, g+i); k.Fmin(8+i, 8+i, c) })
			constant(-0.0007030338756824904)
			each(func(i a64.V) { k.Fmul(x+i, 8+i, c) })
			constant(0.0740112941658954)
			each(func(i a64.V) { k.Fadd(x+i, x+i, c); k.Fmul(x+i, x+i, 8+i) })
			constant(1.5950157658759296)
			each(func(i a64.V) { k.Fadd(x+i, x+i, c); k.Fmul(x+i, x+i, g+i); k.Fneg(x+i, x+i) })
		}},
		{"vecSwigluOAINEON", func() {
			constant(7)
			each(func(i a64.V) { k.Fmin(g+i, g+i, c) })
		}, func() {
			constant(-1.702)
			each(func(i a64.V) { k.Fmul(x+i, g+i, c) })
		}},
	} {
		k.Function(f.name, "multiplies activated gates by their ups.", "dst", "gate", "up", "n")
		k.pointers("dst", "gate", "up", "n")
		e := k.exponential()
		k.loop(3, func() {
			k.loads(g, 1)
			f.prepare()
			f.argument()
			e.emit(x, false)
			each(func(i a64.V) { k.Fadd(x+i, x+i, e.one); k.Fdiv(g+i, g+i, x+i) })
			k.loads(x, 2)
			if f.name == "vecSwigluOAINEON" {
				constant(7)
				each(func(i a64.V) { k.Fmin(x+i, x+i, c) })
				k.Fneg(c, c)
				each(func(i a64.V) { k.Fmax(x+i, x+i, c); k.Fadd(x+i, x+i, e.one) })
			}
			each(func(i a64.V) { k.Fmul(g+i, g+i, x+i) })
			k.stores(g, 0)
		}, 0, 1, 2)
		k.Op("RET")
	}

	k.Function("attendSoftcapNEON", "sets x = c - 2c/(1+exp(2x/c)); twice is 2c, inverse 2/c.", "x", "n", a64.Float+"c", a64.Float+"twice", a64.Float+"inverse")
	k.pointers("x", "n")
	k.FloatArg("c", 31)
	k.FloatArg("twice", 20)
	k.FloatArg("inverse", 21)
	e := k.exponential()
	k.loop(1, func() {
		k.loads(x, 0)
		each(func(i a64.V) { k.Fmul(x+i, x+i, 21) })
		e.emit(x, true)
		each(func(i a64.V) { k.Fadd(x+i, x+i, e.one); k.Fdiv(x+i, 20, x+i); k.Fsub(x+i, 31, x+i) })
		k.stores(x, 0)
	}, 0)
	k.Op("RET")
}
