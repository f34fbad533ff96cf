package main

import (
	"math"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/a64"
)

// quantizeNEON is quantizeKernel for arm64.
func quantizeNEON(a *a64.Asm) {
	const (
		x, quants, offset, affine, halves a64.R = 0, 1, 2, 3, 4
		blocks, stride, left, ldx, cols   a64.R = 5, 6, 7, 8, 9
		at, nextX, back, fields           a64.R = 10, 11, 12, 13

		magnitude, tiny, big, ones, bits a64.V = 27, 28, 29, 30, 31
		peak, inverse, dx, total         a64.V = 16, 17, 18, 19
		sums, float, low, high           a64.V = 20, 22, 24, 25
	)
	a.Function("quantizeSDOT", "quantises blocks of neighbouring columns.", "x", "quants", "offset", "affine", "halves", "blocks", "width", "cols", "ldx")
	for i, arg := range []string{"x", "quants", "offset", "affine", "halves", "blocks", "width"} {
		a.Arg(arg, a64.R(i))
	}
	a.Arg("cols", cols)
	a.Arg("ldx", ldx)
	a.Op("LSL $2, R%d, R%d", stride, stride)
	a.Op("LSL $2, R%d, R%d", ldx, ldx)
	a.Op("MUL R%d, R%d, R%d", ldx, cols, nextX)
	a.Op("SUB $128, R%d", nextX)
	a.Op("LSL $2, R%d, R%d", cols, back)
	a.Constant(magnitude, at, 0x7fffffff)
	a.Constant(tiny, at, math.Float32bits(1e-30))
	a.Constant(big, at, math.Float32bits(127))
	a.Bytes(ones, 1)
	a.Constant(bits, at, magicBits)

	a.Label("block")
	a.Op("MOVD R%d, R%d", cols, left)
	a.Label("column")
	for i := range a64.V(4) {
		a.LoadPair(2*i, x, int(32*i))
	}
	for i := range a64.V(8) {
		a.And(8+i, i, magnitude)
	}
	for n := a64.V(4); n > 0; n /= 2 {
		for i := range n {
			a.Umax(8+i, 8+i, 8+i+n)
		}
	}
	a.UmaxAcross(peak, 8)
	a.Dup(peak, peak, 0)
	a.Umax(peak, peak, tiny)
	a.Fdiv(dx, peak, big)
	a.Fdiv(inverse, big, peak)
	for i := range a64.V(8) {
		a.Fmul(i, i, inverse)
		a.ToInt(i, i) // a NaN becomes zero
		a.Narrow(8+i/2, i, i%2 == 1)
	}
	for i := range a64.V(4) {
		a.NarrowWords(low+i/2, 8+i, i%2 == 1)
	}
	for h := range a64.V(2) {
		a.Zero(sums + h)
		a.DotVector(sums+h, low+h, ones)
		a.AddAcross(sums+h, sums+h)
	}
	a.Add(total, sums, sums+1)
	a.Float(float, total)
	a.Fmul(float, float, dx)
	for _, v := range []a64.V{total, sums, sums + 1} {
		a.Shift(v, v, 7)
		a.Sub(v, bits, v)
	}
	for _, f := range []struct {
		to     a64.R
		fields []a64.V
	}{{offset, []a64.V{dx, total}}, {affine, []a64.V{dx, float}}, {halves, []a64.V{dx, sums, sums + 1}}} {
		a.Op("MOVD R%d, R%d", f.to, fields)
		for _, v := range f.fields {
			a.StoreLane(v, 0, fields, stride)
		}
		a.Op("ADD $4, R%d", f.to)
	}
	a.Op("MOVD R%d, R%d", quants, at)
	for i := range 8 {
		a.StoreLane(low+a64.V(i/4), i%4, at, stride)
	}
	a.Op("ADD $4, R%d", quants)
	a.Op("ADD R%d, R%d", ldx, x)
	a.Op("SUBS $1, R%d, R%d", left, left)
	a.Op("BNE column")

	a.Op("SUB R%d, R%d", nextX, x)
	for _, p := range []struct {
		r    a64.R
		rows int
	}{{quants, 8}, {offset, 2}, {affine, 2}, {halves, 3}} {
		a.Op("SUB R%d, R%d", back, p.r)
		for range p.rows {
			a.Op("ADD R%d, R%d", stride, p.r)
		}
	}
	a.Op("SUBS $1, R%d, R%d", blocks, blocks)
	a.Op("BNE block")
	a.Op("RET")
}
