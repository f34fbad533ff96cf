package main

import (
	"fmt"
	"iter"
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A pair kernel multiplies two groups of weights with the eight columns of a full
// panel at once. That makes 16 integer sums, enough for two ports with latencies of
// up to eight cycles, and every activation that is loaded serves two products.
// The float sums do not fit into registers beside them: they are in memory, which
// costs a load and a store for each 8 products. What is computed, and in which order,
// is the same as in vnni.go. Two groups are two streams: from memory a pair is read at
// half the speed of a single group, so that pairs are for weights that are in the caches.

// pairSignature: sums is aligned memory of pairSums bytes.
const pairSignature = "func(quants, scales, x, fields *byte, y, sums *float32, blocks, pairs, ldy, add int)"

const pairCols = 8

// paired reports whether the format has a pair kernel. The minima of Q2_K would come
// on top of the halves' sums in memory: its pairs measured slower than single groups.
func (f *format) paired() bool { return f.stream != halves || !f.minimum }

// The second group's data lies a group's size behind the first's.
var (
	quantsApart = reg.R12
	scalesApart = reg.R13
	sums        = reg.R14
)

// pair emits the loop of one format.
type pair struct {
	*asm
	f       *format
	sides   [2]*vnni // the groups; t, v and the factors are each's own
	acc     [2][]vec
	x, p, u vec // a column's activation or scale; a product; what unpackers need for a moment
}

// pairKernel emits the function of a format.
func pairKernel(a *asm, f *format) {
	a.begin("vnniPair"+f.name, pairSignature, fmt.Sprintf("vnniPair%s multiplies pairs of groups of %s weights.", f.name, f.name))
	a.param("quants", quants)
	a.param("scales", scales)
	a.param("y", out)
	a.param("sums", sums)
	a.param("pairs", groups)
	a.param("ldy", ldy)
	a.SHLQ(operand.Imm(2), ldy)
	a.param("blocks", tmp)
	a.IMUL3Q(operand.U32(uint32(f.quants)), tmp, quantsApart)
	if f.blocks > 1 {
		a.SHRQ(f.unitShift(), tmp)
	}
	a.IMUL3Q(operand.U32(uint32(f.header+f.blocks*f.scales)), tmp, scalesApart)
	newPair(a, f).loop()
}

func newPair(a *asm, f *format) *pair {
	p := &pair{asm: a, f: f, acc: [2][]vec{zmm[:pairCols], zmm[pairCols : 2*pairCols]}, x: zmm[16], p: zmm[17], u: zmm[18]}
	free := zmm[19:]
	for s := range p.sides {
		k := &vnni{asm: a, f: f, cols: pairCols, masks: map[uint32]vec{}, second: s == 1, u: p.u}
		k.t, k.v, free = free[0], free[1], free[2:]
		if f.blocks > 1 {
			k.unitD, free = free[0], free[1:]
		}
		if f.header == 64 {
			k.unitM, free = free[0], free[1:]
		}
		if f.stream == affine {
			k.m0, free = free[0], free[1:]
		}
		p.sides[s] = k
	}
	p.sides[0].spare = free
	return p
}

// each calls emit for both groups.
func (p *pair) each(emit func(k *vnni, acc []vec)) {
	for s, k := range p.sides {
		emit(k, p.acc[s])
	}
}

// loop emits the loops over pairs, units and blocks and the return.
func (p *pair) loop() {
	first := p.sides[0]
	first.constants()
	p.sides[1].masks, p.sides[1].table = first.masks, first.table
	p.Label("pair")
	p.VPXORD(p.p, p.p, p.p)
	for i := range 2 * pairCols {
		p.VMOVUPS(p.p, at(sums, 64*i))
	}
	p.param("x", xs)
	p.param("fields", fields)
	p.param("blocks", blocks)
	if p.f.blocks > 1 {
		p.SHRQ(p.f.unitShift(), blocks)
		p.Label("pair_unit")
		p.each(func(k *vnni, _ []vec) { k.unit() })
		p.ADDQ(operand.Imm(uint64(p.f.header)), scales)
		p.MOVQ(operand.U32(uint32(p.f.blocks)), inUnit)
	}
	p.Label("pair_block")
	p.block()
	p.nextBlock(p.f, "pair")
	p.ADDQ(quantsApart, quants) // past the second group
	p.ADDQ(scalesApart, scales)
	p.finish()
	p.ADDQ(operand.U32(128), out)
	p.DECQ(groups)
	p.JNZ(operand.LabelRef("pair"))
	p.VZEROUPPER()
	p.RET()
}

// finish writes the sums of a pair to y.
func (p *pair) finish() {
	for s := range p.acc {
		for c, r := range p.acc[s] {
			p.VMOVUPS(p.sum(s, c), r)
			if p.f.gain > 1 {
				p.VMULPS_BCST(p.constant(math.Float32bits(1/float32(p.f.gain))), r, r)
			}
		}
		p.store(p.acc[s], 64*s, fmt.Sprintf("pair_store%d", s))
	}
}

// field is field i of column c in the panel's stream.
func (p *pair) field(i, c int) operand.Mem { return p.sides[0].field(i, c) }

// sum is the float sums of column c of group s; half those of the first half of a
// block, in the formats that have halves.
func (p *pair) sum(s, c int) operand.Mem  { return at(sums, 64*(s*pairCols+c)) }
func (p *pair) half(s, c int) operand.Mem { return at(sums, 64*((2+s)*pairCols+c)) }

// block emits one block of 32 values of both groups and advances the cursors.
func (p *pair) block() {
	for c := range pairCols {
		p.start(c, 1)
	}
	visits := 0
	p.unpack(func(j int) {
		visits++
		p.multiply(j, p.ending(visits))
	})
	p.ADDQ(operand.U32(uint32(p.f.quants)), quants)
	if p.f.scales > 0 {
		p.ADDQ(operand.Imm(uint64(p.f.scales)), scales)
	}
	p.ADDQ(operand.U32(32*pairCols), xs)
	p.ADDQ(operand.U32(uint32(4*p.f.stream.fields()*pairCols)), fields)
}

// ending is what happens to the sums of a column when it has met so many vectors of
// the block; nil: nothing.
func (p *pair) ending(vectors int) func(c int) {
	expand := func(first bool) {
		p.each(func(k *vnni, _ []vec) {
			k.d0, k.d1 = k.t, nil
			if !first {
				k.d0, k.d1 = nil, k.t
			}
			p.f.expand(k)
		})
	}
	switch isHalves := p.f.stream == halves; {
	case vectors == 8 && !isHalves:
		expand(true)
		return p.scaleWhole
	case vectors == 4 && isHalves:
		expand(true)
		return p.keepHalf
	case vectors == 8:
		expand(false)
		return p.scaleHalf
	}
	return nil
}

// multiply adds the products of vector j. The ending of a column follows the products
// of the columns after it, so that the multiplications never wait for the sums.
func (p *pair) multiply(j int, ending func(c int)) {
	const lag = 2
	for c := range pairCols + lag {
		if c < pairCols {
			p.VPBROADCASTD(at(xs, 4*(j*pairCols+c)), p.x)
			p.each(func(k *vnni, acc []vec) { p.VPDPBUSD(p.x, k.v, acc[c]) })
		}
		if ending != nil && c >= lag {
			ending(c - lag)
		}
	}
}

// unpack runs the format's unpacker for both groups in step: when both have
// unpacked vector j, it is multiplied.
func (p *pair) unpack(mul visit) {
	other, stop := iter.Pull(func(yield func(int) bool) {
		p.f.unpack(p.sides[1], func(j int) { yield(j) })
	})
	defer stop()
	p.f.unpack(p.sides[0], func(j int) {
		other()
		mul(j)
	})
	other() // what comes after the last multiplication
}

// start sets the integer sums of a column to the correction in a field, or to zeros.
func (p *pair) start(c, field int) {
	if p.f.stream == affine {
		p.each(func(_ *vnni, acc []vec) { p.VPXORD(acc[c], acc[c], acc[c]) })
		return
	}
	p.VPBROADCASTD(p.field(field, c), p.acc[0][c])
	p.VMOVDQA64(p.acc[0][c], p.acc[1][c])
}

// scaleWhole is y = fma(acc, d·dx, y) and, if affine, y = fma(m, dx·sum, y).
func (p *pair) scaleWhole(c int) {
	p.VBROADCASTSS(p.field(0, c), p.x)
	if p.f.stream == affine {
		p.VBROADCASTSS(p.field(1, c), p.u)
	}
	for s, k := range p.sides {
		acc := p.acc[s][c]
		p.VCVTDQ2PS(acc, acc)
		p.VMULPS(p.x, k.d0, p.p)
		p.VFMADD213PS(p.sum(s, c), p.p, acc)
		switch {
		case p.f.stream == affine && p.f.minimum:
			p.VFNMADD231PS(p.u, k.m0, acc)
		case p.f.stream == affine:
			p.VFMADD231PS(p.u, k.m0, acc)
		}
		p.VMOVUPS(acc, p.sum(s, c))
	}
}

// keepHalf is t = acc·d0, kept in memory. The sums start again with the second half.
func (p *pair) keepHalf(c int) {
	for s, k := range p.sides {
		acc := p.acc[s][c]
		p.VCVTDQ2PS(acc, acc)
		p.VMULPS(k.d0, acc, acc)
		p.VMOVUPS(acc, p.half(s, c))
	}
	p.start(c, 2)
}

// scaleHalf is t = fma(acc, d1, t); y = fma(t, dx, y).
func (p *pair) scaleHalf(c int) {
	p.VBROADCASTSS(p.field(0, c), p.x)
	for s, k := range p.sides {
		acc := p.acc[s][c]
		p.VCVTDQ2PS(acc, acc)
		p.VFMADD213PS(p.half(s, c), k.d1, acc)
		p.VFMADD213PS(p.sum(s, c), p.x, acc)
		p.VMOVUPS(acc, p.sum(s, c))
	}
}
