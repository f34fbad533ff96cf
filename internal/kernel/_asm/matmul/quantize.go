package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const quantizeSignature = "func(x *float32, quants, offset, affine, halves *byte, blocks, width, cols, ldx int)"

// quantizer holds the registers of the quantiser of activations. The pointers
// are those of the first column's lane in the first block. Columns are the inner
// loop, so that the cache lines of a block, which its columns share, are written
// once.
type quantizer struct {
	*asm
	x, offset, affine, halves reg.Register
	ldx                       reg.Register // bytes from column to column of x
	left                      reg.Register // columns left of the block
	row                       reg.Register // of the block's quants
	nextX                     reg.Register // from the end of a block's columns to the next block
	amax, dx, inv             vec          // scalars in the low lane
	low, high                 vec          // int8 values 0-15 and 16-31
	sums                      vec          // of the halves, in dwords 0 and 1
	a, b                      vec
}

// quantizeKernel emits a loop per panel width around body, which is the tier's
// way from 32 floats to q, dx and sums.
func quantizeKernel(a *asm, name string, body func(*quantizer)) {
	a.begin(name, quantizeSignature, name+" quantises blocks of neighbouring columns.")
	q := &quantizer{
		asm: a, x: reg.RSI, offset: reg.RAX, affine: reg.RBX, halves: reg.RDX,
		ldx: reg.R8, left: reg.R9, row: reg.R10, nextX: reg.R11,
		amax: reg.X4, dx: reg.X5, inv: reg.X6, low: reg.X7, high: reg.X8, sums: reg.X9, a: reg.X10, b: reg.X11,
	}
	a.param("x", q.x)
	a.param("quants", out)
	a.param("offset", q.offset)
	a.param("affine", q.affine)
	a.param("halves", q.halves)
	a.param("blocks", blocks)
	a.param("width", stride)
	a.SHLQ(operand.Imm(2), stride)
	a.param("ldx", q.ldx)
	a.SHLQ(operand.Imm(2), q.ldx)
	a.param("cols", q.nextX)
	a.IMULQ(q.ldx, q.nextX)
	a.NEGQ(q.nextX)
	a.ADDQ(operand.U32(128), q.nextX)
	a.CMPQ(stride, operand.Imm(4))
	a.JEQ(operand.LabelRef("single"))
	q.loop("several", body)
	q.loop("single", body)
}

func (q *quantizer) loop(label string, body func(*quantizer)) {
	cursors := []reg.Register{out, q.offset, q.affine, q.halves}
	q.Label(label)
	q.param("cols", q.left)
	q.Label(label + "_column")
	body(q)
	q.fields()
	if label == "single" {
		q.VMOVDQU(q.low, at(out, 0))
		q.VMOVDQU(q.high, at(out, 16))
	} else {
		q.spread()
	}
	for _, p := range cursors {
		q.ADDQ(operand.Imm(4), p)
	}
	q.ADDQ(q.ldx, q.x)
	q.DECQ(q.left)
	q.JNZ(operand.LabelRef(label + "_column"))
	q.ADDQ(q.nextX, q.x)
	q.param("cols", q.left)
	q.NEGQ(q.left) // the way back to the first column is -4 cols
	for _, p := range cursors {
		q.LEAQ(operand.Mem{Base: p, Index: q.left, Scale: 4}, p)
	}
	q.LEAQ(operand.Mem{Base: out, Index: stride, Scale: 8}, out)
	for _, p := range []reg.Register{q.offset, q.affine, q.halves} {
		q.LEAQ(operand.Mem{Base: p, Index: stride, Scale: 2}, p)
	}
	q.ADDQ(stride, q.halves)
	q.DECQ(blocks)
	q.JNZ(operand.LabelRef(label))
	q.VZEROUPPER()
	q.RET()
}

// spread writes the eight dwords of quants, a row of columns apart.
func (q *quantizer) spread() {
	base := reg.Register(out)
	for i := range 8 {
		if i > 0 && i%2 == 0 {
			q.LEAQ(operand.Mem{Base: base, Index: stride, Scale: 2}, q.row)
			base = q.row
		}
		to := at(base, 0)
		if i%2 == 1 {
			to = operand.Mem{Base: base, Index: stride, Scale: 1}
		}
		q.VPEXTRD(operand.Imm(uint64(i%4)), []vec{q.low, q.high}[i/4], to)
	}
}

// scale reduces the four lanes of amax, where the magnitudes are integers, and
// computes dx = amax/127 and inv = 127/amax.
func (q *quantizer) scale() {
	for _, order := range []uint8{0x4e, 0xb1} {
		q.VPSHUFD(operand.U8(order), q.amax, q.a)
		q.VPMAXUD(q.a, q.amax, q.amax)
	}
	tiny := q.constant(math.Float32bits(1e-30))
	q.VMOVD(tiny, q.a)
	q.VPMAXUD(q.a, q.amax, q.amax)
	q.VMOVSS(q.constant(math.Float32bits(127)), q.a)
	q.VDIVSS(q.a, q.amax, q.dx)
	q.VDIVSS(q.amax, q.a, q.inv)
}

// fields writes the three field streams from dx and sums.
func (q *quantizer) fields() {
	q.VPSHUFD(operand.U8(0xb1), q.sums, q.a)
	q.VPADDD(q.sums, q.a, q.a) // the whole block
	q.VCVTDQ2PS(q.a, q.b)
	q.VMULSS(q.dx, q.b, q.b)
	for _, p := range []reg.Register{q.offset, q.affine, q.halves} {
		q.VMOVSS(q.dx, at(p, 0))
	}
	q.VMOVSS(q.b, field1(q.affine))
	q.VPBROADCASTD(q.constant(magicBits), q.b)
	q.VPSLLD(operand.Imm(7), q.a, q.a)
	q.VPSUBD(q.a, q.b, q.a)
	q.VMOVD(q.a, field1(q.offset))
	q.VPSLLD(operand.Imm(7), q.sums, q.sums)
	q.VPSUBD(q.sums, q.b, q.sums)
	q.VMOVD(q.sums, field1(q.halves))
	q.VPEXTRD(operand.Imm(1), q.sums, operand.Mem{Base: q.halves, Index: stride, Scale: 2})
}

// field1 is the second field of an entry.
func field1(p reg.Register) operand.Mem {
	return operand.Mem{Base: p, Index: stride, Scale: 1}
}

func quantizeVNNI(q *quantizer) {
	z := zmm
	for h := range 2 {
		q.VMOVUPS(at(q.x, 64*h), z[h])
		q.VPANDD_BCST(q.constant(0x7fffffff), z[h], z[2+h])
	}
	q.VPMAXUD(z[3], z[2], z[2])
	q.VEXTRACTI64X4(operand.Imm(1), z[2], reg.Y3)
	q.VPMAXUD(reg.Y3, reg.Y2, reg.Y2)
	q.VEXTRACTI128(operand.Imm(1), reg.Y2, reg.X3)
	q.VPMAXUD(reg.X3, reg.X2, q.amax)
	q.scale()
	q.VBROADCASTSS(q.inv, z[2])
	for h, v := range []vec{q.low, q.high} {
		q.VMULPS(z[2], z[h], z[h])
		q.VCVTPS2DQ(z[h], z[h])
		q.VPMOVDB(z[h], v) // a NaN became 1<<31: zero
	}
	q.VPBROADCASTD(q.constant(0x01010101), reg.X3)
	for _, s := range []struct{ q, sum vec }{{q.low, q.sums}, {q.high, q.a}} {
		q.VPXOR(s.sum, s.sum, s.sum)
		q.VPDPBUSD(s.q, reg.X3, s.sum)
	}
	q.VPHADDD(q.a, q.sums, q.sums)
	q.VPHADDD(q.sums, q.sums, q.sums)
}

func quantizeAVX2(q *quantizer) {
	y := ymm
	q.VPBROADCASTD(q.constant(0x7fffffff), y[12])
	for i := range 4 {
		q.VMOVUPS(at(q.x, 32*i), y[i])
	}
	q.VPAND(y[0], y[12], y[4])
	for i := 1; i < 4; i++ {
		q.VPAND(y[i], y[12], y[13])
		q.VPMAXUD(y[13], y[4], y[4])
	}
	q.VEXTRACTI128(operand.Imm(1), y[4], reg.X13)
	q.VPMAXUD(reg.X13, reg.X4, q.amax)
	q.scale()
	q.VBROADCASTSS(q.inv, y[12])
	for i := range 4 {
		q.VMULPS(y[12], y[i], y[i])
		q.VCVTPS2DQ(y[i], y[i])
	}
	q.VPACKSSDW(y[1], y[0], y[0])
	q.VPACKSSDW(y[3], y[2], y[2])
	q.VPACKSSWB(y[2], y[0], y[0])
	q.VMOVDQU(q.packOrder(), y[1])
	q.VPERMD(y[0], y[1], y[0])
	// Zeros if the largest magnitude is not finite.
	q.VMOVD(q.constant(0x7f800000), reg.X1)
	q.VPCMPGTD(reg.X4, reg.X1, reg.X1)
	q.VPBROADCASTD(reg.X1, y[1])
	q.VPAND(y[1], y[0], y[0])
	q.VPBROADCASTD(q.constant(0x01010101), y[1])
	q.VPBROADCASTD(q.constant(0x00010001), y[2])
	q.VPMADDUBSW(y[0], y[1], y[1])
	q.VPMADDWD(y[2], y[1], y[1])
	q.VMOVDQA(reg.X0, q.low)
	q.VEXTRACTI128(operand.Imm(1), y[0], q.high)
	q.VEXTRACTI128(operand.Imm(1), y[1], q.a)
	q.VPHADDD(q.a, reg.X1, q.sums)
	q.VPHADDD(q.sums, q.sums, q.sums)
}

// packOrder undoes what packing does to the order of dwords.
func (q *quantizer) packOrder() operand.Mem {
	if q.order == nil {
		m := q.dwords("pack_order", 0, 4, 1, 5, 2, 6, 3, 7)
		q.order = &m
	}
	return *q.order
}
