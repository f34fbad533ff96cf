package main

import "github.com/mmcloughlin/avo/operand"

// The part of pair.go for formats with a scale for either half of a block. Each half has
// an integer sum of its own: four columns at a time make 16. Both halves of a block go
// side by side, so that what they add to a column is joined in registers.

const halfCols = pairCols / 2

// halfPair is the registers of a block.
type halfPair struct {
	*pair
	acc        [2][2][]vec // by half and group
	v, d       [2][2]vec
	k          [2]vec
	x          [2]vec
	dx         vec
	base       vec // magic
	sum0, sum1 vec // what minima multiply
}

// halves prepares the block of a shape with two integer sums.
func (p *pair) halves() (emit func()) {
	h := &halfPair{pair: p}
	p.results = [2][]vec{p.free[:pairCols], p.free[pairCols : 2*pairCols]} // the integer sums' registers
	for i := range 2 {
		h.acc[i] = [2][]vec{p.take(halfCols), p.take(halfCols)}
		h.v[i], h.d[i] = p.takePair(), p.takePair()
	}
	h.k, h.x, h.dx, h.base = p.takePair(), p.takePair(), p.take(1)[0], p.take(1)[0]
	if p.shape == minima {
		h.sum0, h.sum1 = p.take(1)[0], p.take(1)[0]
	}
	p.VPBROADCASTD(p.constant(magicBits), h.base)
	return h.block
}

func (h *halfPair) block() {
	for i, d := range h.d {
		h.load(d, func(s int) operand.Mem { return h.factor(i, s) })
	}
	h.load(h.k, h.last)
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

// start sets the integer sums to the corrections, or to the magic number.
func (h *halfPair) start(first int) {
	for i, acc := range h.acc {
		for c := range halfCols {
			if h.shape == minima {
				h.VMOVDQA64(h.base, acc[0][c])
			} else {
				h.VPBROADCASTD(h.field(1+i, first+c), acc[0][c])
			}
			h.VMOVDQA64(acc[0][c], acc[1][c])
		}
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

// scale is t = fma(magic+I0, d0, k); t = fma(magic+I1, d1, t), then what the minima add,
// and y = fma(t, dx, y).
func (h *halfPair) scale(first, c int) {
	h.VBROADCASTSS(h.field(0, first+c), h.dx)
	if h.shape == minima {
		for i, sum := range []vec{h.sum0, h.sum1} {
			h.VBROADCASTSS(h.field(1+i, first+c), sum)
			h.VSUBPS(h.base, sum, sum)
		}
	}
	for s := range 2 {
		t, u := h.acc[0][s][c], h.acc[1][s][c]
		h.VFMADD213PS(h.k[s], h.d[0][s], t)
		h.VFMADD231PS(u, h.d[1][s], t)
		if h.shape == minima {
			h.VFMADD231PS(h.factor(2, s), h.sum0, t)
			h.VFMADD231PS(h.factor(3, s), h.sum1, t)
		}
		h.VFMADD213PS(h.sum(s, first+c), h.dx, t)
		h.VMOVUPS(t, h.sum(s, first+c))
	}
}
