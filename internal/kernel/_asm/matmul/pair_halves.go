package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
)

// The part of pair.go for formats with a scale for either half of a block. Each half has
// an integer sum of its own: four columns at a time make 16. Both halves of a block go
// side by side, so that what they add to a column is joined in registers.

const halfCols = pairCols / 2

// magic as an integer, plus a number of less than 22 bits, is the bits of the float32
// magicValue plus that number.
const (
	magic      = 0x4b400000
	magicValue = 3 << 22
)

// halfPair is the registers of a block.
type halfPair struct {
	*pair
	acc        [2][2][]vec // by half and group
	v, d       [2][2]vec
	k          [2]vec // magicValue·d0, negative
	x          [2]vec
	dx         vec
	magic      vec
	sum0, sum1 vec // what minima multiply
}

// halves prepares the block of a shape with two integer sums.
func (p *pair) halves() (emit func()) {
	h := &halfPair{pair: p}
	for i := range 2 {
		h.acc[i] = [2][]vec{p.take(halfCols), p.take(halfCols)}
		h.v[i], h.d[i] = p.takePair(), p.takePair()
	}
	h.k, h.x, h.dx, h.magic = p.takePair(), p.takePair(), p.take(1)[0], p.take(1)[0]
	if p.shape == minima {
		h.sum0, h.sum1 = p.take(1)[0], p.take(1)[0]
	}
	p.VPBROADCASTD(p.constant(magic), h.magic)
	return h.block
}

func (h *halfPair) block() {
	for i, d := range h.d {
		h.load(d, func(s int) operand.Mem { return h.factor(i, s) })
	}
	for s, r := range h.k {
		h.VMULPS_BCST(h.constant(math.Float32bits(-magicValue)), h.d[0][s], r)
	}
	for first := 0; first < pairCols; first += halfCols {
		h.start(first)
		for j := range 4 {
			for i, v := range h.v {
				h.load(v, func(s int) operand.Mem { return h.weight(j+4*i, s) })
			}
			for c := range halfCols + lag {
				if c < halfCols {
					h.multiply(j, first, c)
				}
				if j == 3 && c >= lag {
					h.scale(first, c-lag)
				}
			}
		}
	}
}

// start sets the integer sums to the corrections, those of the first half plus the
// magic number.
func (h *halfPair) start(first int) {
	for c := range halfCols {
		acc0, acc1 := h.acc[0][0][c], h.acc[1][0][c]
		if h.shape == minima {
			h.VMOVDQA64(h.magic, acc0)
			h.VPXORD(acc1, acc1, acc1)
		} else {
			h.VPADDD_BCST(h.field(1, first+c), h.magic, acc0)
			h.VPBROADCASTD(h.field(2, first+c), acc1)
		}
		h.VMOVDQA64(acc0, h.acc[0][1][c])
		h.VMOVDQA64(acc1, h.acc[1][1][c])
	}
}

// multiply adds the products of vectors j of both halves.
func (h *halfPair) multiply(j, first, c int) {
	for i, x := range h.x {
		h.VPBROADCASTD(h.pair.x(j+4*i, first+c), x)
		for s, v := range h.v[i] {
			h.VPDPBUSD(x, v, h.acc[i][s][c])
		}
	}
}

// scale is t = acc0·d0; t = fma(acc1, d1, t), then what the minima add, and
// y = fma(t, dx, y).
//
// The first has the magic number instead of a conversion: the product of acc0 + magic
// with d0, less magicValue·d0, is acc0·d0. The second of these products is exact,
// because d0 has few bits, and so the difference is rounded as acc0·d0 is.
func (h *halfPair) scale(first, c int) {
	h.VBROADCASTSS(h.field(0, first+c), h.dx)
	if h.shape == minima {
		h.VCVTDQ2PS_BCST(h.field(1, first+c), h.sum0)
		h.VCVTDQ2PS_BCST(h.field(2, first+c), h.sum1)
	}
	for s := range 2 {
		t, u := h.acc[0][s][c], h.acc[1][s][c]
		h.VFMADD213PS(h.k[s], h.d[0][s], t)
		h.VCVTDQ2PS(u, u)
		h.VFMADD231PS(u, h.d[1][s], t)
		if h.shape == minima {
			h.VFMADD231PS(h.factor(2, s), h.sum0, t)
			h.VFMADD231PS(h.factor(3, s), h.sum1, t)
		}
		h.VFMADD213PS(h.sum(s, first+c), h.dx, t)
		h.VMOVUPS(t, h.sum(s, first+c))
	}
}
