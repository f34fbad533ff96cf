package main

import (
	"fmt"
	"slices"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The AVX2 pair kernels are to avx2.go what pair.go is to vnni.go: they multiply a piece
// of two groups, whose weights avx2_unfold.go has taken apart, with full panels. What is
// saved are the instructions that take the weights apart, up to a third of all. Each group
// meets four columns at a time, with the products of avx2.go, and the float sums are in
// memory.
//
// There is one kernel for the formats that multiply and scale alike.

// unfolded says where a pair kernel finds what avx2.go takes from a group and a panel.
type unfolded struct{ group, quad int }

// General registers beside those of avx2.go and pair.go.
var (
	nextLines = reg.R15
	pairedTo  = reg.R10 // the sums
)

// pairName is the name of the kernel that multiplies and scales as the format does.
func (f *format) pairName() string {
	name, kind := "avx2Pair"+shapes[f.shape()], fmt.Sprintf("Run%d", f.run)
	switch {
	case f.signed && f.run == 1:
		kind = "Wide"
	case f.signed:
		kind = fmt.Sprintf("Signed%d", f.run)
	}
	if f.gain > 1 {
		return fmt.Sprintf("%s%sGain%d", name, kind, f.gain)
	}
	return name + kind
}

// paired reports whether the format has a pair kernel. Where a shift and a mask take a
// value apart and the factors are float16 there is not enough to be saved.
func (f *format) paired() bool {
	factors := f.blocks == 1 && !f.exponent || f.scales == 0
	return f.planes[1] > 0 || !factors
}

// avx2Pairs are formats, one for each kernel of pairs.
func avx2Pairs() []*format {
	all := slices.DeleteFunc(slices.Clone(formats), func(f *format) bool { return !f.paired() })
	slices.SortFunc(all, func(a, b *format) int { return slices.Compare([]byte(a.pairName()), []byte(b.pairName())) })
	return slices.CompactFunc(all, func(a, b *format) bool { return a.pairName() == b.pairName() })
}

// avx2PairKernel emits the pair kernel of a format, and of those like it.
func avx2PairKernel(a *asm, f *format) {
	name := f.pairName()
	a.Function(name)
	a.SignatureExpr(pairSignature)
	a.Doc(fmt.Sprintf("%s multiplies a piece of a pair of groups, unfolded, with panels of 8 columns.", name))
	a.frame(f.parts())
	a.param("weights", weights0)
	a.param("x", xs0)
	a.param("fields", fields0)
	a.param("next", nextLines)
	a.param("sums", pairedTo)
	a.param("panels", panels)
	a.param("apart", apart)
	k := newAVX2(a, f, 4, false)
	k.unfolded = &unfolded{}
	a.Label("panel")
	a.MOVQ(weights0, quants)
	a.MOVQ(xs0, xs)
	a.MOVQ(fields0, fields)
	a.param("blocks", blocks)
	a.Label("block")
	for line := 0; line < nextBytes; line += 64 {
		a.PREFETCHT1(at(nextLines, line))
	}
	a.ADDQ(operand.U32(nextBytes), nextLines)
	k.pairs()
	a.ADDQ(operand.U32(uint32(f.shape().record())), quants)
	a.ADDQ(operand.U32(32*pairCols), xs)
	a.ADDQ(operand.U32(uint32(4*f.stream.fields()*pairCols)), fields)
	a.DECQ(blocks)
	a.JNZ(operand.LabelRef("block"))
	a.ADDQ(apart, xs0)
	a.ADDQ(apart, fields0)
	a.ADDQ(operand.U32(pairSums), pairedTo)
	a.DECQ(panels)
	a.JNZ(operand.LabelRef("panel"))
	a.VZEROUPPER()
	a.RET()
}

// pairs multiplies a block of either group with all columns.
func (k *avx2) pairs() {
	for k.unfolded.quad = range 2 {
		if k.wide() {
			k.widen()
		}
		k.masks()
		for k.unfolded.group = range 2 {
			k.products()
			if k.f.stream == halves {
				k.addHalves()
			} else {
				k.addWhole()
			}
		}
	}
}

// activation is four values, those that meet vector j, of column c of the quad.
func (u *unfolded) activation(j, c int) operand.Mem {
	return at(xs, 4*(pairCols*j+4*u.quad+c))
}

// field is field i of column c of the quad.
func (u *unfolded) field(i, c int) operand.Mem {
	return at(fields, 4*(pairCols*i+4*u.quad+c))
}

// vector is vector j of side r of the group.
func (u *unfolded) vector(j, r int) operand.Mem {
	return at(quants, 2*64*j+64*u.group+ymmBytes*r)
}

// sum is the float sums of column c of side r of the group.
func (u *unfolded) sum(r, c int) operand.Mem {
	return at(pairedTo, 64*(pairCols*u.group+4*u.quad+c)+ymmBytes*r)
}

// load loads the factors of side r, one after the other.
func (u *unfolded) load(a *asm, r int, factors ...vec) {
	for i, d := range factors {
		a.VMOVAPS(at(quants, recordQuants+factorBytes*i+64*u.group+ymmBytes*r), d)
	}
}

// avx2PairStoreKernel emits the function that writes the sums of panels to y, or adds them.
func avx2PairStoreKernel(a *asm) {
	a.begin("avx2PairStore", "func(sums, y *float32, panels, ldy, add int)", "avx2PairStore writes the sums of a pair of groups to y.")
	a.param("sums", pairedTo)
	a.param("y", out)
	a.param("panels", panels)
	a.param("ldy", apart)
	a.SHLQ(operand.Imm(2), apart)
	a.Label("panel")
	for s := range 2 {
		for r := range sides {
			for c, y := range ymm[:pairCols] {
				a.VMOVUPS(at(pairedTo, 64*(pairCols*s+c)+ymmBytes*r), y)
			}
			a.storeAt(ymm[:pairCols], apart, 64*s+ymmBytes*r, fmt.Sprintf("store%d%d", s, r))
		}
	}
	a.ADDQ(operand.U32(pairSums), pairedTo)
	a.LEAQ(operand.Mem{Base: out, Index: apart, Scale: pairCols}, out)
	a.DECQ(panels)
	a.JNZ(operand.LabelRef("panel"))
	a.VZEROUPPER()
	a.RET()
}
