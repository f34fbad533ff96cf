package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// floatTier is what float kernels need to know of a tier: its registers, how
// many passes over a group's 16 rows they take, and whether a panel may have
// more columns than the loop.
type floatTier struct {
	name      string
	regs      []vec
	passes    int
	cols      []int // numbers of columns that have a loop
	signature string
}

var (
	floatAVX512 = floatTier{"AVX512", zmm[:], 1, vnniCols, "func(weights *byte, x, y *float32, k, groups, ldy, cols, add int)"}
	floatAVX2   = floatTier{"AVX2", ymm[:], 2, []int{4, 2, 1}, "func(weights *byte, x, y *float32, k, groups, ldy, cols, width, add int)"}
)

// floatFormat is a weight format that multiplies float32 columns.
type floatFormat struct {
	name  string
	bytes int
	load  func(a *asm, src operand.Mem, dst vec)
}

var floatFormats = []floatFormat{
	{"F32", 4, func(a *asm, src operand.Mem, dst vec) { a.VMOVUPS(src, dst) }},
	{"F16", 2, func(a *asm, src operand.Mem, dst vec) { a.VCVTPH2PS(src, dst) }},
	{"BF16", 2, func(a *asm, src operand.Mem, dst vec) {
		a.VPMOVZXWD(src, dst)
		a.VPSLLD(operand.Imm(16), dst, dst)
	}},
}

// floatKernel emits products with F32, F16 or BF16 weights. Each column has two
// sums, of even and odd positions.
func floatKernel(a *asm, t floatTier, f floatFormat) {
	a.begin("float"+f.name+t.name, t.signature, fmt.Sprintf("float%s%s multiplies groups of %s weights.", f.name, t.name, f.name))
	a.param("weights", quants)
	a.param("y", out)
	a.param("groups", groups)
	a.param("ldy", ldy)
	a.SHLQ(operand.Imm(2), ldy)
	if t.passes > 1 {
		a.param("width", stride)
		a.SHLQ(operand.Imm(2), stride)
	}
	a.choose(t.cols, func(c int, label string) { t.loop(a, f, c, label) })
}

func (t floatTier) loop(a *asm, f floatFormat, cols int, label string) {
	const unroll = 4
	even, odd := t.regs[:cols], t.regs[cols:2*cols]
	w, p := t.regs[2*cols], t.regs[2*cols+1]
	step := 16 * f.bytes // from k to k+1
	a.Label(label + "_group")
	for pass := range t.passes {
		next := fmt.Sprintf("%s_k%d", label, pass)
		for _, r := range t.regs[:2*cols] {
			a.zero(r)
		}
		a.param("x", xs)
		a.param("k", blocks)
		a.SHRQ(operand.Imm(2), blocks)
		a.Label(next)
		for u := range unroll {
			f.load(a, at(quants, u*step+pass*step/t.passes), w)
			for c := range cols {
				sum := even[c]
				if u%2 == 1 {
					sum = odd[c]
				}
				if t.passes == 1 {
					a.VFMADD231PS_BCST(at(xs, 4*(u*cols+c)), w, sum)
				} else {
					a.VBROADCASTSS(at(xs, 4*c), p)
					a.VFMADD231PS(p, w, sum)
				}
			}
			if t.passes > 1 {
				a.ADDQ(stride, xs)
			}
		}
		a.ADDQ(operand.U32(uint32(unroll*step)), quants)
		if t.passes == 1 {
			a.ADDQ(operand.U32(uint32(4*unroll*cols)), xs)
		}
		a.DECQ(blocks)
		a.JNZ(operand.LabelRef(next))
		for c := range cols {
			a.VADDPS(odd[c], even[c], even[c])
		}
		a.store(even, 64/t.passes*pass, fmt.Sprintf("%s_store%d", label, pass))
		if pass < t.passes-1 { // the other rows of the same group
			a.param("k", tmp)
			a.IMUL3Q(operand.U32(uint32(step)), tmp, tmp)
			a.SUBQ(tmp, quants)
		}
	}
	a.nextGroup(label)
}

func (a *asm) zero(r vec) {
	if isZ(r) {
		a.VPXORD(r, r, r)
		return
	}
	a.VPXOR(r, r, r)
}

func isZ(r vec) bool { return r.Size() == reg.Z0.Size() }
