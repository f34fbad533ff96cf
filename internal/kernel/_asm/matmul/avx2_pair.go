package main

import (
	"fmt"
	"slices"

	"github.com/mmcloughlin/avo/operand"
)

// The AVX2 pair kernels are to avx2.go what pair.go is to vnni.go: they multiply a piece
// of two groups, whose weights avx2_unfold.go has taken apart, with full panels. What is
// saved are the instructions that take the weights apart, up to a third of all. Each group
// meets four columns at a time, with the products of avx2.go, and the float sums are in
// memory.
//
// There is one kernel for the formats that multiply and scale alike.

// unfolded is the source of a group of a pair and four columns of a panel.
type unfolded struct {
	*avx2
	group, quad int
}

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
	a.pairParams()
	k := newAVX2(a, f, 4, false)
	u := &unfolded{avx2: k}
	k.source = u
	a.pairLoops(&pairLoops{
		record: uint32(f.shape().record()),
		fields: uint32(4 * f.stream.fields() * pairCols),
		ask:    a.PREFETCHT1,
		clear:  u.clear,
		block:  u.pairs,
		store:  u.storeSums,
	})
}

// clear begins the sums of a panel.
func (k *unfolded) clear() {
	zero := ymm[0]
	k.VPXOR(zero, zero, zero)
	for half := 0; half < pairSums; half += ymmBytes {
		k.VMOVUPS(zero, at(sums, half))
	}
}

// storeSums writes the sums of a panel to y.
func (k *unfolded) storeSums() {
	for s := range 2 {
		for r := range sides {
			for c, y := range ymm[:pairCols] {
				k.VMOVUPS(at(sums, 64*(pairCols*s+c)+ymmBytes*r), y)
			}
			k.store(ymm[:pairCols], 64*s+ymmBytes*r, fmt.Sprintf("store%d%d", s, r))
		}
	}
}

// pairs multiplies a block of either group with all columns.
func (k *unfolded) pairs() {
	for k.quad = range 2 {
		if k.wide() {
			k.widen()
		}
		k.loadMasks()
		for k.group = range 2 {
			k.products()
			if k.f.stream == halves {
				k.addHalves()
			} else {
				k.addWhole()
			}
		}
	}
}

func (*unfolded) masks() []uint32 { return nil }

func (k *unfolded) value(j, r int) {
	k.VMOVDQA(at(quants, 2*64*j+64*k.group+ymmBytes*r), k.v[r])
}

func (k *unfolded) activation(j, c int) operand.Mem {
	return at(xs, 4*(pairCols*j+4*k.quad+c))
}

func (k *unfolded) advance(int) {}

func (k *unfolded) activations(j int) (low, high operand.Mem) {
	return k.activation(j, 0), k.activation(j+1, 0)
}

func (k *unfolded) field(i, c int) operand.Mem {
	return at(fields, 4*(pairCols*i+4*k.quad+c))
}

func (k *unfolded) sum(r, c int) operand.Mem {
	return at(sums, 64*(pairCols*k.group+4*k.quad+c)+ymmBytes*r)
}

func (k *unfolded) wholeFactors(r int, d, m, base vec) {
	if k.f.stream == affine {
		k.factors(r, d, m, base)
		return
	}
	k.factors(r, d, base)
}

func (k *unfolded) halfFactors(r int, d0, d1 vec, m [2]vec, base vec) {
	if k.f.minimum {
		k.factors(r, d0, d1, m[0], m[1], base)
		return
	}
	k.factors(r, d0, d1, base)
}

// factors loads those of side r, one after the other.
func (k *unfolded) factors(r int, to ...vec) {
	for i, d := range to {
		k.VMOVAPS(at(quants, recordQuants+factorBytes*i+64*k.group+ymmBytes*r), d)
	}
}

// subtracts: minima are unfolded with their sign.
func (*unfolded) subtracts() bool { return false }
