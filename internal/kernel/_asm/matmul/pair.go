package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A pair kernel multiplies two groups of weights with the eight columns of a full
// panel at once. That makes 16 integer sums, enough for two ports with latencies of
// up to eight cycles, and every activation that is loaded serves two products.
// The float sums do not fit into registers beside them: they are in memory, which
// costs a load and a store for each 8 products. What is computed, and in which order,
// is the same as in vnni.go.
//
// Both ports are wanted for VPDPBUSD, and whatever else computes takes a place away from
// it. So the weights are not taken apart here, for each panel anew, but once before the
// first (unfold.go), and there is one kernel for all formats whose sums have the same shape.

// shape is how a block's sums become floats.
type shape int

const (
	offsets   shape = iota // d·dx
	affines                // d·dx and m·dx·sum
	twoHalves              // d0, d1 of either half, and dx
	minima                 // and what the halves add of their sums
)

// shapes are the names of the shapes' kernels.
var shapes = [...]string{offsets: "Offset", affines: "Affine", twoHalves: "Halves", minima: "Minima"}

func (f *format) shape() shape {
	switch {
	case f.stream == halves && f.minimum:
		return minima
	case f.stream == halves:
		return twoHalves
	case f.stream == affine:
		return affines
	}
	return offsets
}

// pairSignature: weights is what a function of unfold.go has written, sums is aligned
// memory of spaceSums bytes. Two lines of memory for each block, from next on, are
// asked for: the weights whose turn is next.
const pairSignature = "func(weights, x, fields, next *byte, y, sums *float32, blocks, ldy, add int)"

const (
	pairCols  = 8
	nextBytes = 2 * 64
)

var (
	next = reg.R12
	sums = reg.R14
)

// magic as an integer, plus a number of less than 22 bits, is the bits of the float32
// magicValue plus that number.
const (
	magic      = 0x4b400000
	magicValue = 3 << 22
)

// pair emits the loop of one shape.
type pair struct {
	*asm
	shape   shape
	acc     [2][]vec // integer sums of the groups
	v       [2]vec   // weights
	factor  [][2]vec // of the block
	x, p, u vec      // a column's activation or scale; products
	w       vec
	magic   vec    // and what the magic number makes of the first factor, times -1
	k       [2]vec // magicValue·d0, negative
}

// pairKernel emits the function of a shape.
func pairKernel(a *asm, s shape) {
	name := "vnniPair" + shapes[s]
	a.begin(name, pairSignature, fmt.Sprintf("%s multiplies a pair of unfolded groups with a panel of 8 columns.", name))
	p := newPair(a, s)
	a.param("weights", quants)
	a.param("next", next)
	a.param("y", out)
	a.param("sums", sums)
	a.param("ldy", ldy)
	a.SHLQ(operand.Imm(2), ldy)
	a.param("x", xs)
	a.param("fields", fields)
	a.param("blocks", blocks)
	p.VPXORD(p.p, p.p, p.p)
	for i := range 2 * pairCols {
		p.VMOVUPS(p.p, at(sums, 64*i))
	}
	if s.isHalves() {
		p.VPBROADCASTD(p.constant(magic), p.magic)
	}
	p.Label("block")
	p.block()
	p.DECQ(blocks)
	p.JNZ(operand.LabelRef("block"))
	for s := range p.acc {
		for c, r := range p.acc[s] {
			p.VMOVUPS(p.sum(s, c), r)
		}
		p.store(p.acc[s], 64*s, fmt.Sprintf("store%d", s))
	}
	p.VZEROUPPER()
	p.RET()
}

func newPair(a *asm, s shape) *pair {
	p := &pair{asm: a, shape: s, acc: [2][]vec{zmm[:pairCols], zmm[pairCols : 2*pairCols]}}
	free := zmm[2*pairCols:]
	take := func() vec {
		r := free[0]
		free = free[1:]
		return r
	}
	p.x, p.p, p.u, p.v = take(), take(), take(), [2]vec{take(), take()}
	for range min(2, s.factors()) {
		p.factor = append(p.factor, [2]vec{take(), take()})
	}
	if s.isHalves() {
		p.magic, p.k = take(), [2]vec{take(), take()}
	}
	if s == minima {
		p.w = take()
	}
	return p
}

func (s shape) isHalves() bool { return s == twoHalves || s == minima }

// fields is the number of fields of the stream that the shape reads.
func (s shape) fields() int {
	if s.isHalves() {
		return halves.fields()
	}
	return offset.fields()
}

// field is field i of column c in the panel's stream.
func (p *pair) field(i, c int) operand.Mem { return at(fields, 4*(i*pairCols+c)) }

// sum is the float sums of column c of group s; half those of the first half of a
// block, in the shapes that have halves.
func (p *pair) sum(s, c int) operand.Mem  { return at(sums, 64*(s*pairCols+c)) }
func (p *pair) half(s, c int) operand.Mem { return at(sums, 64*((2+s)*pairCols+c)) }

// block emits one block of 32 values of both groups and advances the cursors.
func (p *pair) block() {
	for line := 0; line < nextBytes; line += 64 {
		p.PREFETCHT2(at(next, line))
	}
	p.ADDQ(operand.U32(nextBytes), next)
	for i, both := range p.factor {
		for s, r := range both {
			p.VMOVUPS(at(quants, recordQuants+factorBytes*i+64*s), r)
		}
	}
	if p.shape.isHalves() {
		for s, r := range p.k {
			p.VMULPS_BCST(p.constant(math.Float32bits(-magicValue)), p.factor[0][s], r)
		}
	}
	for c := range pairCols {
		p.start(c)
	}
	for j := range 8 {
		for s, v := range p.v {
			p.VMOVDQA64(at(quants, 2*64*j+64*s), v)
		}
		var ending func(c int)
		switch {
		case j == 3 && p.shape.isHalves():
			ending = p.keepHalf
		case j == 7 && p.shape.isHalves():
			ending = p.scaleHalf
		case j == 7:
			ending = p.scaleWhole
		}
		p.multiply(j, ending)
	}
	p.ADDQ(operand.U32(uint32(p.shape.record())), quants)
	p.ADDQ(operand.U32(32*pairCols), xs)
	p.ADDQ(operand.U32(uint32(4*p.shape.fields()*pairCols)), fields)
}

// multiply adds the products of vector j. The ending of a column follows the products
// of the columns after it, so that the multiplications never wait for the sums.
func (p *pair) multiply(j int, ending func(c int)) {
	const lag = 2
	for c := range pairCols + lag {
		if c < pairCols {
			p.VPBROADCASTD(at(xs, 4*(j*pairCols+c)), p.x)
			for s, v := range p.v {
				p.VPDPBUSD(p.x, v, p.acc[s][c])
			}
		}
		if ending != nil && c >= lag {
			ending(c - lag)
		}
	}
}

// start sets the integer sums of a column to the correction in a field, or to zeros;
// in the shapes that have halves plus the magic number.
func (p *pair) start(c int) {
	switch p.shape {
	case offsets:
		p.VPBROADCASTD(p.field(1, c), p.acc[0][c])
	case affines:
		p.VPXORD(p.acc[0][c], p.acc[0][c], p.acc[0][c])
	case twoHalves:
		p.VPADDD_BCST(p.field(1, c), p.magic, p.acc[0][c])
	case minima:
		p.VMOVDQA64(p.magic, p.acc[0][c])
	}
	p.VMOVDQA64(p.acc[0][c], p.acc[1][c])
}

// scaleWhole is y = fma(acc, d·dx, y) and, if affine, y = fma(m, dx·sum, y).
func (p *pair) scaleWhole(c int) {
	p.VBROADCASTSS(p.field(0, c), p.x)
	if p.shape == affines {
		p.VBROADCASTSS(p.field(1, c), p.u)
	}
	for s := range p.acc {
		acc := p.acc[s][c]
		p.VCVTDQ2PS(acc, acc)
		p.VMULPS(p.x, p.factor[0][s], p.p)
		p.VFMADD213PS(p.sum(s, c), p.p, acc)
		if p.shape == affines {
			p.VFMADD231PS(p.u, p.factor[1][s], acc)
		}
		p.VMOVUPS(acc, p.sum(s, c))
	}
}

// keepHalf is t = acc·d0, kept in memory. The sums start again with the second half.
//
// Its one instruction has the magic number instead of a conversion: the product of
// acc + magic with d0, less magicValue·d0, is acc·d0. The second of these products
// is exact, because d0 has few bits, and so the difference is rounded as acc·d0 is.
func (p *pair) keepHalf(c int) {
	for s := range p.acc {
		acc := p.acc[s][c]
		p.VFMADD213PS(p.k[s], p.factor[0][s], acc)
		p.VMOVUPS(acc, p.half(s, c))
	}
	if p.shape == minima {
		p.VPXORD(p.acc[0][c], p.acc[0][c], p.acc[0][c])
	} else {
		p.VPBROADCASTD(p.field(2, c), p.acc[0][c])
	}
	p.VMOVDQA64(p.acc[0][c], p.acc[1][c])
}

// scaleHalf is t = fma(acc, d1, t), then what the minima add, and y = fma(t, dx, y).
func (p *pair) scaleHalf(c int) {
	p.VBROADCASTSS(p.field(0, c), p.x)
	if p.shape == minima {
		p.VCVTDQ2PS_BCST(p.field(1, c), p.u)
		p.VCVTDQ2PS_BCST(p.field(2, c), p.w)
	}
	for s := range p.acc {
		acc := p.acc[s][c]
		p.VCVTDQ2PS(acc, acc)
		p.VFMADD213PS(p.half(s, c), p.factor[1][s], acc)
		if p.shape == minima {
			p.VFMADD231PS(p.minimum(0, s), p.u, acc)
			p.VFMADD231PS(p.minimum(1, s), p.w, acc)
		}
		p.VFMADD213PS(p.sum(s, c), p.x, acc)
		p.VMOVUPS(acc, p.sum(s, c))
	}
}

// minimum is what half h of group s adds of the activations' sums.
func (p *pair) minimum(h, s int) operand.Mem {
	return at(quants, recordQuants+factorBytes*(2+h)+64*s)
}
