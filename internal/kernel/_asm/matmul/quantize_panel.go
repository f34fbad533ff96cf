package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const panelSignature = "func(x *float32, quants, offset, affine, halves *byte, blocks, ldx int)"

// quantizePanelKernel quantises all eight columns of a full panel at once, with
// the operations of quantizeVNNI: a lane is a column, and every store is half a
// cache line. Stores of four bytes fill the store buffer, which then waits for
// one line after the other.
func quantizePanelKernel(a *asm) {
	a.begin("quantizePanelVNNI", panelSignature, "quantizePanelVNNI quantises blocks of the eight columns of a panel.")
	inverse := a.AllocLocal(32)
	x, offset, affine, halves := reg.RSI, reg.RAX, reg.RBX, reg.RDX
	ldx, ldx3, x4 := reg.R8, reg.R9, reg.R10
	a.param("x", x)
	a.param("quants", out)
	a.param("offset", offset)
	a.param("affine", affine)
	a.param("halves", halves)
	a.param("blocks", blocks)
	a.param("ldx", ldx)
	a.SHLQ(operand.Imm(2), ldx)
	a.LEAQ(operand.Mem{Base: ldx, Index: ldx, Scale: 2}, ldx3)
	ones, magnitude, big := reg.Y31, reg.Z30, reg.Y29
	a.VPBROADCASTD(a.constant(0x01010101), ones)
	a.VPBROADCASTD(a.constant(0x7fffffff), magnitude)
	a.VBROADCASTSS(a.constant(math.Float32bits(127)), big)

	a.Label("block")
	a.LEAQ(operand.Mem{Base: x, Index: ldx, Scale: 4}, x4)
	column := func(c, disp int) operand.Mem {
		base := reg.Register([]reg.GPPhysical{x, x4}[c/4])
		switch c % 4 {
		case 0:
			return at(base, disp)
		case 3:
			return operand.Mem{Base: base, Index: ldx3, Scale: 1, Disp: disp}
		}
		return operand.Mem{Base: base, Index: ldx, Scale: uint8(c % 4), Disp: disp}
	}
	peaks := a.panelPeaks(column, magnitude)
	a.VPBROADCASTD(a.constant(math.Float32bits(1e-30)), reg.Y8)
	a.VPMAXUD(reg.Y8, peaks, peaks)
	dx, inv := reg.Y28, reg.Y8
	a.VDIVPS(big, peaks, dx)
	a.VDIVPS(peaks, big, inv)
	a.VMOVUPS(inv, inverse)

	sums := []vec{reg.Y26, reg.Y27}
	for half := range 2 {
		a.VPXOR(reg.Y0, reg.Y0, reg.Y0)
		a.VMOVDQA32(reg.Y0, sums[half])
		rows := a.panelQuants(column, inverse, 64*half)
		for j, row := range rows {
			a.VMOVDQU(row, at(out, 32*(4*half+j)))
			a.VPDPBUSD(row, ones, sums[half])
		}
	}
	a.panelFields(dx, sums, offset, affine, halves)
	a.ADDQ(operand.U32(256), out)
	a.ADDQ(operand.U32(128), x)
	a.ADDQ(operand.Imm(64), offset)
	a.ADDQ(operand.Imm(64), affine)
	a.ADDQ(operand.Imm(96), halves)
	a.DECQ(blocks)
	a.JNZ(operand.LabelRef("block"))
	a.VZEROUPPER()
	a.RET()
}

// panelPeaks is the largest magnitude, as bits, of the 32 values of each column.
func (a *asm) panelPeaks(column func(c, disp int) operand.Mem, magnitude vec) vec {
	for c := range 8 {
		z := [2]vec{zmm[c], zmm[8+c]}
		for h := range 2 {
			a.VPANDD(column(c, 64*h), magnitude, z[h])
		}
		a.VPMAXUD(z[1], z[0], z[0])
		a.VEXTRACTI64X4(operand.Imm(1), z[0], ymm[8+c])
		a.VPMAXUD(ymm[8+c], ymm[c], ymm[c])
	}
	// Each step halves the values of a column and doubles the columns of a register.
	for c := 0; c < 8; c += 2 {
		a.VPUNPCKLDQ(ymm[c+1], ymm[c], ymm[8])
		a.VPUNPCKHDQ(ymm[c+1], ymm[c], ymm[9])
		a.VPMAXUD(ymm[9], ymm[8], ymm[c])
	}
	for c := 0; c < 8; c += 4 {
		a.VPUNPCKLQDQ(ymm[c+2], ymm[c], ymm[8])
		a.VPUNPCKHQDQ(ymm[c+2], ymm[c], ymm[9])
		a.VPMAXUD(ymm[9], ymm[8], ymm[c])
	}
	a.VPERM2I128(operand.Imm(0x20), ymm[4], ymm[0], ymm[8])
	a.VPERM2I128(operand.Imm(0x31), ymm[4], ymm[0], ymm[9])
	a.VPMAXUD(ymm[9], ymm[8], ymm[0])
	return ymm[0]
}

// panelQuants rounds half a block of each column. Row j holds values 4j to 4j+3
// of all columns.
func (a *asm) panelQuants(column func(c, disp int) operand.Mem, inverse operand.Mem, disp int) []vec {
	xmm := []vec{reg.X0, reg.X1, reg.X2, reg.X3, reg.X4, reg.X5, reg.X6, reg.X7}
	for c := range 8 {
		a.VBROADCASTSS(inverse.Offset(4*c), zmm[c])
		a.VMULPS(column(c, disp), zmm[c], zmm[c])
		a.VCVTPS2DQ(zmm[c], zmm[c])
		a.VPMOVDB(zmm[c], xmm[c]) // a NaN became 1<<31: zero
	}
	for c := range 4 {
		a.VINSERTI128(operand.Imm(1), xmm[c+4], ymm[c], ymm[c])
	}
	a.VPUNPCKLDQ(ymm[1], ymm[0], ymm[8])
	a.VPUNPCKHDQ(ymm[1], ymm[0], ymm[9])
	a.VPUNPCKLDQ(ymm[3], ymm[2], ymm[10])
	a.VPUNPCKHDQ(ymm[3], ymm[2], ymm[11])
	a.VPUNPCKLQDQ(ymm[10], ymm[8], ymm[0])
	a.VPUNPCKHQDQ(ymm[10], ymm[8], ymm[1])
	a.VPUNPCKLQDQ(ymm[11], ymm[9], ymm[2])
	a.VPUNPCKHQDQ(ymm[11], ymm[9], ymm[3])
	return []vec{ymm[0], ymm[1], ymm[2], ymm[3]}
}

// panelFields writes the three field streams.
func (a *asm) panelFields(dx vec, sums []vec, offset, affine, halves reg.Register) {
	a.VPADDD(sums[0], sums[1], reg.Y0) // the whole block
	a.VCVTDQ2PS(reg.Y0, reg.Y1)
	a.VMULPS(dx, reg.Y1, reg.Y1)
	a.VPBROADCASTD(a.constant(magicBits), reg.Y3)
	correction := func(sum, to vec) {
		a.VPSLLD(operand.Imm(7), sum, to)
		a.VPSUBD(to, reg.Y3, to)
	}
	correction(reg.Y0, reg.Y2)
	correction(sums[0], reg.Y4)
	correction(sums[1], reg.Y5)
	a.VMOVUPS(dx, at(offset, 0))
	a.VMOVDQU(reg.Y2, at(offset, 32))
	a.VMOVUPS(dx, at(affine, 0))
	a.VMOVUPS(reg.Y1, at(affine, 32))
	a.VMOVUPS(dx, at(halves, 0))
	a.VMOVDQU(reg.Y4, at(halves, 32))
	a.VMOVDQU(reg.Y5, at(halves, 64))
}
