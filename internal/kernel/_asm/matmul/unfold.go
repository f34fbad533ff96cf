package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/operand"
)

// An unfold function writes groups of a format's weights in the form that the pair
// kernels read: the bytes that VPDPBUSD takes and the factors as float32, in a record
// for each block of 32 values. A pair of groups shares the records, vector by vector,
// so that the pair kernel reads one run of memory: the second group's vectors begin 64
// bytes after those of the first.
//
//	quants   [8][2][16][4]   128 + gain·(q-offset), or q in the formats with a minimum
//	factors  [n][2][16] f32  d, k; affine formats: d, m, k; halves: d0, d1, k; with minima: d0, d1, m0, m1, k
//
// All of them are divided by gain, a power of two, which costs nothing here and gives the
// bits that dividing the sums in the end would give. What the format subtracts has its sign
// changed. The last, k, is -magic·d or -magic·(d0+d1).

// unfoldSignature: to is where the group's part of the first block's record begins.
const unfoldSignature = "func(quants, scales, to *byte, blocks int)"

const (
	recordQuants = 8 * 2 * 64 // bytes of the quants of a record
	factorBytes  = 2 * 64     // bytes of one factor of both groups
)

// factors is the number of factors of a record.
func (s shape) factors() int { return [...]int{offsets: 2, affines: 3, twoHalves: 3, minima: 5}[s] }

// record is the bytes of a record.
func (s shape) record() int { return recordQuants + factorBytes*s.factors() }

func unfoldKernel(a *asm, f *format) {
	a.begin("vnniUnfold"+f.name, unfoldSignature, fmt.Sprintf("vnniUnfold%s unfolds blocks of a group of %s weights.", f.name, f.name))
	a.param("quants", quants)
	a.param("scales", scales)
	k := newVNNI(a, f, 1)
	k.constants()
	if f.shape() == minima { // the sums' registers are not needed
		k.m0, k.m1 = k.y[0], k.acc[0]
	}
	if f.stream == affine {
		k.m0 = k.d1
	}
	a.param("to", xs)
	a.param("blocks", blocks)
	if f.blocks > 1 {
		a.SHRQ(f.unitShift(), blocks)
		a.Label("unfold_unit")
		k.unit()
		a.ADDQ(operand.Imm(uint64(f.header)), scales)
		a.MOVQ(operand.U32(uint32(f.blocks)), inUnit)
	}
	a.Label("unfold_block")
	k.unfold()
	a.nextBlock(f, "unfold")
	a.VZEROUPPER()
	a.RET()
}

// unfold emits one block and advances the cursors.
func (k *vnni) unfold() {
	k.f.unpack(k, func(j int) { k.VMOVDQA64(k.v, at(xs, 2*64*j)) })
	k.f.expand(k)
	if k.f.shape() == minima {
		k.scaleMinima()
	}
	for i, r := range map[shape][]vec{offsets: {k.d0}, affines: {k.d0, k.m0}, twoHalves: {k.d0, k.d1}, minima: {k.d0, k.d1, k.m0, k.m1}}[k.f.shape()] {
		if k.f.gain > 1 {
			k.VMULPS_BCST(k.constant(math.Float32bits(1/float32(k.f.gain))), r, k.p)
			r = k.p
		}
		if k.f.stream == affine && k.f.minimum && i == 1 {
			k.VPXORD_BCST(k.constant(1<<31), r, r)
		}
		k.VMOVUPS(r, at(xs, recordQuants+factorBytes*i))
	}
	sum := k.d0
	if k.f.stream == halves {
		k.VADDPS(k.d0, k.d1, k.p)
		sum = k.p
	}
	k.VMULPS_BCST(k.constant(math.Float32bits(-magic/float32(k.f.gain))), sum, k.p)
	k.VMOVUPS(k.p, at(xs, recordQuants+factorBytes*(k.f.shape().factors()-1)))
	k.ADDQ(operand.U32(uint32(k.f.quants)), quants)
	if k.f.scales > 0 {
		k.ADDQ(operand.Imm(uint64(k.f.scales)), scales)
	}
	k.ADDQ(operand.U32(uint32(k.f.shape().record())), xs)
}
