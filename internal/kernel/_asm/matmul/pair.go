package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A pair kernel multiplies a piece of two groups of weights, some blocks long, with the
// same blocks of full panels, eight columns each. That makes 16 integer sums, enough for
// two ports with latencies of up to eight cycles, and every activation that is loaded
// serves two products. The float sums do not fit into registers beside them: they are in
// memory, which costs a load and a store for each 8 products. There they stay from piece
// to piece. What is computed, and in which order, is the same as in vnni.go.
//
// Both ports are wanted for VPDPBUSD, and whatever else computes takes a place away from
// it. So the weights are not taken apart here, for each panel anew, but once before the
// first (unfold.go), and there is one kernel for all formats whose sums have the same shape.

// shape is how a block's sums become floats.
type shape int

const (
	offsets   shape = iota // d and dx
	affines                // d and dx, m and dx·sum
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

// pairSignature: weights is what the functions of unfold.go have written. The panels
// and their fields are apart bytes from each other, their sums [2][8][16] lie side by
// side. They begin at zero if first is not 0. If add is negative, they stay there for the
// next piece; otherwise those of a panel go to y when its last block is done, as in
// loops.go: they are near then, and what of y they go to has been asked for. The panel
// that follows and two lines of memory for each block and panel, from next on, are asked
// for, too: the weights whose turn is next.
const pairSignature = "func(weights, x, fields, next *byte, sums, y *float32, blocks, panels, apart, ldy, first, add int)"

const (
	pairCols   = 8
	pairSums   = 2 * pairCols * 64 // bytes of the sums of a panel
	panelBlock = 32 * pairCols     // bytes of a block of a panel
	nextBytes  = 2 * 64
)

// General registers beside those of vnni.go and avx2.go.
var (
	next     = reg.R15
	sums     = reg.R14
	panels   = reg.R9
	apart    = reg.R8
	weights0 = reg.R13 // where the weights begin
	column   = reg.RDX // the column of y that is asked for
)

// pairLoops is what pair kernels have in common.
type pairLoops struct {
	record, fields uint32 // bytes of a block's weights, and of its fields for all columns
	ask            func(operand.Op)
	clear          func()
	block          func()
	store          func()
}

// pairLoops emits the loops over panels and blocks and the return. The arguments x and
// fields, which stay in memory for want of registers, move on from panel to panel.
func (a *asm) pairLoops(l *pairLoops) {
	a.Label("panel")
	a.MOVQ(weights0, quants)
	a.param("x", xs)
	a.param("fields", fields)
	a.param("blocks", blocks)
	a.MOVQ(out, column)
	a.param("first", tmp)
	a.TESTQ(tmp, tmp)
	a.JZ(operand.LabelRef("block"))
	l.clear()
	a.Label("block")
	for line := 0; line < nextBytes; line += 64 {
		l.ask(at(next, line))
		a.PREFETCHT0(at(column, line))
	}
	for line := 0; line < panelBlock; line += 64 {
		a.PREFETCHT0(operand.Mem{Base: xs, Index: apart, Scale: 1, Disp: line})
	}
	a.PREFETCHT0(operand.Mem{Base: fields, Index: apart, Scale: 1})
	a.ADDQ(operand.U32(nextBytes), next)
	a.ADDQ(ldy, column)
	l.block()
	a.ADDQ(operand.U32(l.record), quants)
	a.ADDQ(operand.U32(panelBlock), xs)
	a.ADDQ(operand.U32(l.fields), fields)
	a.DECQ(blocks)
	a.JNZ(operand.LabelRef("block"))
	a.param("add", tmp)
	a.TESTQ(tmp, tmp)
	a.JLT(operand.LabelRef("kept"))
	l.store()
	a.Label("kept")
	a.ADDQ(apart, a.argument("x"))
	a.ADDQ(apart, a.argument("fields"))
	a.ADDQ(operand.U32(pairSums), sums)
	a.LEAQ(operand.Mem{Base: out, Index: ldy, Scale: pairCols}, out)
	a.DECQ(panels)
	a.JNZ(operand.LabelRef("panel"))
	a.VZEROUPPER()
	a.RET()
}

// pairParams loads what stays in registers.
func (a *asm) pairParams() {
	a.param("weights", weights0)
	a.param("next", next)
	a.param("sums", sums)
	a.param("y", out)
	a.param("panels", panels)
	a.param("apart", apart)
	a.param("ldy", ldy)
	a.SHLQ(operand.Imm(2), ldy)
}

// pair emits the loop of one shape.
type pair struct {
	*asm
	shape   shape
	free    []vec
	results [2][]vec // of the groups, for the columns
}

// take takes n registers.
func (p *pair) take(n int) []vec {
	rs := p.free[:n]
	p.free = p.free[n:]
	return rs
}

// takePair takes a register for either group.
func (p *pair) takePair() [2]vec { return [2]vec(p.take(2)) }

// pairKernel emits the function of a shape.
func pairKernel(a *asm, s shape) {
	name := "vnniPair" + shapes[s]
	a.begin(name, pairSignature, fmt.Sprintf("%s multiplies a piece of a pair of groups, unfolded, with panels of 8 columns.", name))
	p := &pair{asm: a, shape: s, free: zmm[:]}
	a.pairParams()
	block := p.wholes
	if s.isHalves() {
		block = p.halves
	}
	emit := block()
	a.pairLoops(&pairLoops{
		record: uint32(s.record()),
		fields: uint32(4 * s.fields() * pairCols),
		ask:    a.PREFETCHT2,
		clear:  p.clear,
		block:  emit,
		store:  p.store,
	})
}

// clear begins the sums of a panel.
func (p *pair) clear() {
	zero := p.results[0][0]
	p.VPXORD(zero, zero, zero)
	for line := 0; line < pairSums; line += 64 {
		p.VMOVUPS(zero, at(sums, line))
	}
}

// store writes the sums of a panel to y.
func (p *pair) store() {
	for s, rs := range p.results {
		for c, y := range rs {
			p.VMOVUPS(p.sum(s, c), y)
		}
		p.asm.store(rs, 64*s, fmt.Sprintf("store%d", s))
	}
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

// x is four values of column c, of vector j.
func (p *pair) x(j, c int) operand.Mem { return at(xs, 4*(j*pairCols+c)) }

// weight is vector j of group s.
func (p *pair) weight(j, s int) operand.Mem { return at(quants, 2*64*j+64*s) }

// factor is factor i of group s.
func (p *pair) factor(i, s int) operand.Mem { return at(quants, recordQuants+factorBytes*i+64*s) }

// last is the last factor of group s.
func (p *pair) last(s int) operand.Mem { return p.factor(p.shape.factors()-1, s) }

// sum is the float sums of column c of group s.
func (p *pair) sum(s, c int) operand.Mem { return at(sums, 64*(s*pairCols+c)) }

// load loads what a function says for either group.
func (p *pair) load(rs [2]vec, from func(s int) operand.Mem) {
	for s, r := range rs {
		p.VMOVUPS(from(s), r)
	}
}

// lag: the ending of a column follows the products of so many columns after it, so
// that the multiplications never wait for the sums.
const lag = 2

// wholes prepares the block of a shape with one integer sum: y = fma(I·d, dx, y) and,
// if affine, y = fma(m, dx·sum, y).
func (p *pair) wholes() (emit func()) {
	acc := [2][]vec{p.take(pairCols), p.take(pairCols)}
	p.results = acc
	v, d, m, k := p.takePair(), p.takePair(), p.takePair(), p.takePair()
	r := p.take(4)
	x, dx, dxSum, base := r[0], r[1], r[2], r[3]
	p.VPBROADCASTD(p.constant(magicBits), base)
	end := func(c int) {
		p.VBROADCASTSS(p.field(0, c), dx)
		if p.shape == affines {
			p.VBROADCASTSS(p.field(1, c), dxSum)
		}
		for s := range acc {
			y := acc[s][c]
			p.VFMADD213PS(k[s], d[s], y)
			p.VFMADD213PS(p.sum(s, c), dx, y)
			if p.shape == affines {
				p.VFMADD231PS(dxSum, m[s], y)
			}
			p.VMOVUPS(y, p.sum(s, c))
		}
	}
	return func() {
		p.load(d, func(s int) operand.Mem { return p.factor(0, s) })
		if p.shape == affines {
			p.load(m, func(s int) operand.Mem { return p.factor(1, s) })
		}
		p.load(k, p.last)
		for c := range pairCols {
			if p.shape == affines {
				p.VMOVDQA64(base, acc[0][c])
			} else {
				p.VPBROADCASTD(p.field(1, c), acc[0][c])
			}
			p.VMOVDQA64(acc[0][c], acc[1][c])
		}
		for j := range 8 {
			p.load(v, func(s int) operand.Mem { return p.weight(j, s) })
			for c := range pairCols + lag {
				if c < pairCols {
					p.VPBROADCASTD(p.x(j, c), x)
					for s := range acc {
						p.VPDPBUSD(x, v[s], acc[s][c])
					}
				}
				if j == 7 && c >= lag {
					end(c - lag)
				}
			}
		}
	}
}
