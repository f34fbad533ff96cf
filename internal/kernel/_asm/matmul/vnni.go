package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vnniSignature: cols is one of vnniCols, ahead the distance at which the quants
// are prefetched, apart that between two streams of prefetches, or 0 for one stream.
const vnniSignature = "func(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, apart, add int)"

// vnniCols are the widths of panels, largest first.
var vnniCols = []int{8, 7, 6, 5, 4, 3, 2, 1}

type vec = reg.VecPhysical

var zmm = [32]vec{
	reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7,
	reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
	reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23,
	reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
}

var ymm = [16]vec{
	reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7,
	reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
}

// General registers of the kernels.
var (
	quants  = reg.RSI // cursor in the group
	scales  = reg.RDX // cursor in the group's scales
	xs      = reg.RAX // cursor in the panel's quants
	fields  = reg.RBX // cursor in the panel's field stream
	blocks  = reg.RCX // blocks or units left
	inUnit  = reg.R8  // blocks left of the unit
	groups  = reg.R9  // groups left
	ldy     = reg.R10 // bytes from column to column of y
	tmp     = reg.R11
	ahead   = reg.R12
	between = reg.R13 // bytes from one stream of prefetches to the other
	mask    = reg.R14 // of what both streams cover together
	within  = reg.R15 // of the cursor in that
	out     = reg.RDI // y of the group
)

// vnni emits the loop of one format for one number of columns. The accumulators
// are y (float32) and acc (int32), and acc1 for the second half of a block.
type vnni struct {
	*asm
	f    *format
	cols int

	y, acc, acc1   []vec
	t, u, v, p     vec // vectors on their way, p for products
	d0, d1, m0, m1 vec // factors of the block
	unitD, unitM   vec // and of the unit
	table          vec
	spare          []vec
	masks          map[uint32]vec
}

// vnniKernel emits the function of a format: a choice of loops.
func vnniKernel(a *asm, f *format) {
	a.begin("vnni"+f.name, vnniSignature, fmt.Sprintf("vnni%s multiplies groups of %s weights.", f.name, f.name))
	a.param("quants", quants)
	a.param("scales", scales)
	a.param("y", out)
	a.param("groups", groups)
	a.param("ldy", ldy)
	a.SHLQ(operand.Imm(2), ldy)
	a.param("ahead", ahead)
	a.streams(f)
	a.choose(vnniCols, func(c int, label string) { newVNNI(a, f, c).loop(label) })
}

func newVNNI(a *asm, f *format, cols int) *vnni {
	k := &vnni{asm: a, f: f, cols: cols, masks: map[uint32]vec{}}
	free := zmm[:]
	take := func(n int) []vec {
		rs := free[:n]
		free = free[n:]
		return rs
	}
	k.y, k.acc = take(cols), take(cols)
	if f.stream == halves {
		k.acc1 = take(cols)
	}
	r := take(8)
	k.t, k.u, k.v, k.p, k.d0, k.d1, k.unitD, k.unitM = r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]
	k.m0 = k.d1
	if f.stream == halves { // free once the vectors are multiplied
		k.m0, k.m1 = k.t, k.u
	}
	k.spare = free
	return k
}

// loop emits the loops over groups, units and blocks and the return.
func (k *vnni) loop(label string) {
	k.constants()
	k.Label(label + "_group")
	for _, y := range k.y {
		k.VPXORD(y, y, y)
	}
	k.param("x", xs)
	k.param("fields", fields)
	k.param("blocks", blocks)
	if k.f.blocks > 1 {
		k.SHRQ(k.f.unitShift(), blocks)
		k.Label(label + "_unit")
		k.unit()
		k.ADDQ(operand.Imm(uint64(k.f.header)), scales)
		k.MOVQ(operand.U32(uint32(k.f.blocks)), inUnit)
	}
	k.Label(label + "_block")
	k.block()
	k.nextBlock(k.f, label)
	if k.f.gain > 1 {
		for _, y := range k.y {
			k.VMULPS_BCST(k.constant(math.Float32bits(1/float32(k.f.gain))), y, y)
		}
	}
	k.store(k.y, 0, label+"_store")
	k.nextGroup(label)
}

// unit sets the factors of the unit that begins at the cursor in the scales.
func (k *vnni) unit() {
	k.VCVTPH2PS(k.scale(0), k.unitD)
	if k.f.divide > 0 {
		k.VMULPS_BCST(k.constant(math.Float32bits(1/float32(k.f.divide))), k.unitD, k.unitD)
	}
	if k.f.header == 64 {
		k.VCVTPH2PS(k.scale(32), k.unitM)
	}
}

// constants puts the masks that the unpacker asks for into spare registers, as
// long as there are any.
func (k *vnni) constants() {
	if k.f.levels != nil {
		if k.table = k.unitM; len(k.spare) > 0 { // no format with levels has a second factor
			k.table, k.spare = k.spare[0], k.spare[1:]
		}
		k.VBROADCASTI32X4(k.levelTable(k.f, false), k.table)
	}
	for _, m := range k.f.masks {
		if len(k.spare) > 0 {
			k.masks[m], k.spare = k.spare[0], k.spare[1:]
			k.VPBROADCASTD(k.constant(m), k.masks[m])
		}
	}
}

// streams sets up what ask needs for one stream of prefetches, if the argument apart is 0, or
// for two.
func (a *asm) streams(f *format) {
	a.param("apart", between)
	a.XORQ(mask, mask)
	a.TESTQ(between, between)
	a.JZ(operand.LabelRef("single"))
	a.LEAQ(operand.Mem{Base: between, Index: between, Scale: 1, Disp: -1}, mask)
	a.JMP(operand.LabelRef("streams"))
	a.Label("single")
	a.MOVQ(operand.U32(uint32(f.lines()/2*64)), between)
	a.Label("streams")
}

// lines is the number of cache lines that the quants of a block have.
func (f *format) lines() int { return (f.quants + 63) / 64 }

// ask prefetches as many quants as the block has, some way ahead of it.
//
// Of one stream, these are the lines at the distance ahead. Two streams take turns: while
// the cursor goes over 2*apart bytes, which begin at a multiple of that, the first one goes
// over the first half of the bytes ahead of these, and the second over the other half. A
// hardware prefetcher then runs before each of them, and every line is still asked for once.
// For a single stream mask is 0 and the second half of the block's lines lies behind the first.
func (k *vnni) ask() {
	lines := k.f.lines()
	if lines%2 != 0 {
		for i := range lines {
			k.PREFETCHT2(operand.Mem{Base: quants, Index: ahead, Scale: 1, Disp: 64 * i})
		}
		return
	}
	k.MOVQ(quants, within)
	k.ANDQ(mask, within)
	k.MOVQ(within, tmp)
	k.SHRQ(operand.Imm(1), tmp)
	k.ANDQ(operand.I32(-64), tmp) // whole lines
	k.SUBQ(within, tmp)
	k.ADDQ(quants, tmp)
	k.ADDQ(ahead, tmp)
	for i := range lines / 2 {
		k.PREFETCHT2(operand.Mem{Base: tmp, Disp: 64 * i})
		k.PREFETCHT2(operand.Mem{Base: tmp, Index: between, Scale: 1, Disp: 64 * i})
	}
}

// block emits one block of 32 values and advances the cursors.
func (k *vnni) block() {
	k.ask()
	k.f.expand(k)
	for c := range k.cols {
		switch {
		case k.f.stream == offset:
			k.VPBROADCASTD(k.field(1, c), k.acc[c])
		case k.f.stream == halves && !k.f.minimum:
			k.VPBROADCASTD(k.field(1, c), k.acc[c])
			k.VPBROADCASTD(k.field(2, c), k.acc1[c])
		default:
			k.VPBROADCASTD(k.constant(magicBits), k.acc[c])
			if k.acc1 != nil {
				k.VMOVDQA64(k.acc[c], k.acc1[c])
			}
		}
	}
	k.f.unpack(k, func(j int) {
		acc := k.acc
		if j >= 4 && k.acc1 != nil {
			acc = k.acc1
		}
		for c := range k.cols {
			k.VPDPBUSD_BCST(at(xs, 4*(j*k.cols+c)), k.v, acc[c])
		}
	})
	switch k.f.stream {
	case offset, affine:
		k.scaleWhole()
	case halves:
		k.scaleHalf()
	}
	k.ADDQ(operand.U32(uint32(k.f.quants)), quants)
	if k.f.scales > 0 {
		k.ADDQ(operand.Imm(uint64(k.f.scales)), scales)
	}
	k.ADDQ(operand.U32(uint32(32*k.cols)), xs)
	k.ADDQ(operand.Imm(uint64(4*k.f.stream.fields()*k.cols)), fields)
}

// scaleWhole is y = fma(I·d, dx, y) and, if affine, y = fma(m, dx·sum, y). The integer
// sums are magic+I as floats, and what magic makes of d is exact: I·d is one instruction.
func (k *vnni) scaleWhole() {
	k.VMULPS_BCST(k.constant(math.Float32bits(-magic)), k.d0, k.p)
	for c := range k.cols {
		k.VFMADD213PS(k.p, k.d0, k.acc[c])
	}
	for c := range k.cols {
		k.VFMADD231PS_BCST(k.field(0, c), k.acc[c], k.y[c])
		switch {
		case k.f.stream == affine && k.f.minimum:
			k.VFNMADD231PS_BCST(k.field(1, c), k.m0, k.y[c])
		case k.f.stream == affine:
			k.VFMADD231PS_BCST(k.field(1, c), k.m0, k.y[c])
		}
	}
}

// scaleHalf is t = fma(magic+I0, d0, -magic·(d0+d1)); t = fma(magic+I1, d1, t);
// y = fma(t, dx, y).
func (k *vnni) scaleHalf() {
	k.VADDPS(k.d0, k.d1, k.p)
	k.VMULPS_BCST(k.constant(math.Float32bits(-magic)), k.p, k.p)
	for c := range k.cols {
		k.VFMADD213PS(k.p, k.d0, k.acc[c])
	}
	if k.f.minimum {
		k.scaleMinima()
	}
	for c := range k.cols {
		k.VFMADD231PS(k.d1, k.acc1[c], k.acc[c])
		if k.f.minimum {
			for h, m := range []vec{k.m0, k.m1} {
				k.VPBROADCASTD(k.field(1+h, c), k.p)
				k.VSUBPS_BCST(k.constant(math.Float32bits(magic)), k.p, k.p)
				k.VFMADD231PS(m, k.p, k.acc[c])
			}
		}
		k.VFMADD231PS_BCST(k.field(0, c), k.acc[c], k.y[c])
	}
}

// quant is vector i of the block's quants.
func (k *vnni) quant(i int) operand.Mem { return at(quants, 64*i) }

// scale is what lies disp bytes from the cursor in the scales.
func (k *vnni) scale(disp int) operand.Mem { return at(scales, disp) }

// field is field i of column c in the panel's stream.
func (k *vnni) field(i, c int) operand.Mem { return at(fields, 4*(i*k.cols+c)) }

// and is dst = src & mask in every dword.
func (k *vnni) and(mask uint32, src, dst vec) {
	if m, ok := k.masks[mask]; ok {
		k.VPANDD(m, src, dst)
		return
	}
	k.VPANDD_BCST(k.constant(mask), src, dst)
}

// orAnd is dst |= src & mask in every dword.
func (k *vnni) orAnd(mask uint32, src, dst vec) {
	const orOfAnd = 0xf8
	if m, ok := k.masks[mask]; ok {
		k.VPTERNLOGD(operand.Imm(orOfAnd), m, src, dst)
		return
	}
	k.VPTERNLOGD_BCST(operand.Imm(orOfAnd), k.constant(mask), src, dst)
}

// andOr is dst = dst & mask | bits in every dword.
func (k *vnni) andOr(mask, bits uint32, dst vec) {
	const andOr = 0xea
	k.VPTERNLOGD(operand.Imm(andOr), k.masks[bits], k.masks[mask], dst)
}

// shift moves the bits of every word of src to the left, or to the right if n
// is negative. What crosses a byte is masked out later.
func (k *vnni) shift(src operand.Op, n int, dst vec) {
	switch {
	case n > 0:
		k.VPSLLW(operand.Imm(uint64(n)), src, dst)
	case n < 0:
		k.VPSRLW(operand.Imm(uint64(-n)), src, dst)
	default:
		k.VMOVDQU64(src, dst)
	}
}
