package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/operand"
)

// avx2UnfoldKernel emits unfold.go's function for avx2_pair.go: the same records, with
// values as small as they are stored, or with an offset of 128 if they are widened. The
// factors are divided by gain, by which the pair kernels multiply their sums.
func avx2UnfoldKernel(a *asm, f *format) {
	name := "avx2Unfold" + f.name
	a.begin(name, unfoldSignature, fmt.Sprintf("%s unfolds blocks of a group of %s weights.", name, f.name))
	a.param("quants", quants)
	a.param("scales", scales)
	a.param("to", xs)
	a.param("blocks", blocks)
	k := newAVX2(a, f, 4, false)
	k.loadMasks()
	if f.blocks > 1 {
		a.SHRQ(f.unitShift(), blocks)
		a.Label("unfold_unit")
		a.MOVQ(scales, unit)
		a.ADDQ(operand.Imm(uint64(f.header)), scales)
		a.MOVQ(operand.U32(uint32(f.blocks)), inUnit)
	}
	a.Label("unfold_block")
	for j := range 8 {
		for r := range sides {
			k.value(j, r)
			k.VMOVDQU(k.v[r], at(xs, 2*64*j+ymmBytes*r))
		}
	}
	for r := range sides {
		k.unfoldFactors(r)
	}
	a.ADDQ(operand.U32(uint32(f.quants)), quants)
	if f.scales > 0 {
		a.ADDQ(operand.Imm(uint64(f.scales)), scales)
	}
	a.ADDQ(operand.U32(uint32(f.shape().record())), xs)
	a.nextBlock(f, "unfold")
	a.VZEROUPPER()
	a.RET()
}

// unfoldFactors writes the factors of side r. The sums' registers are free.
func (k *avx2) unfoldFactors(r int) {
	s := k.sums[0]
	d, m, base, minus := s[0], s[1], s[2], s[3]
	factors := []vec{d, base}
	switch k.f.shape() {
	case offsets:
		k.wholeFactors(r, d, m, base)
	case affines:
		k.wholeFactors(r, d, m, base)
		factors = []vec{d, m, base}
		if k.f.minimum {
			k.VBROADCASTSS(k.constant(1<<31), minus)
			k.VXORPS(minus, m, m)
		}
	case twoHalves:
		k.halfFactors(r, d, m, [2]vec{}, base)
		factors = []vec{d, m, base}
	case minima:
		more := [2]vec(k.sums[1][:2])
		k.halfFactors(r, d, m, more, base)
		factors = []vec{d, m, more[0], more[1], base}
	}
	for i, v := range factors {
		if k.f.gain > 1 {
			k.VMULPS(k.repeat(math.Float32bits(1/float32(k.f.gain))), v, v)
		}
		k.VMOVUPS(v, at(xs, recordQuants+factorBytes*i+ymmBytes*r))
	}
}
