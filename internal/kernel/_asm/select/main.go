// Command select generates the sampling kernels for both vector tiers.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/lanes"
)

// group is the number of values that one comparison mask covers.
const group = 64

func main() {
	ConstraintExpr("!purego")
	for _, a := range lanes.All {
		above(a)
		peak(a)
		a.ExpSum("selectMass", false)
		band(a)
	}
	Generate()
}

// above emits the search for the next group that has a value above a limit.
func above(a lanes.Arch) {
	TEXT("selectAbove"+a.Name, NOSPLIT, "func(x *float32, groups int, limit float32) (skipped int, mask uint64)")
	Pragma("noescape")
	Doc("selectAbove"+a.Name+" passes over groups of 64 values that have none above limit; mask says which",
		"values of the next group are. NaN is above nothing. mask is 0 if all groups were passed over.")
	x, groups := lanes.Pointer("x"), lanes.Pointer("groups")
	limit := a.Param("limit")
	count, mask := GP64(), GP64()
	XORQ(count, count)
	XORQ(mask, mask)
	Label("next")
	CMPQ(count, groups)
	JGE(LabelRef("out"))
	if a.Wide() {
		maskWide(a, x, limit, mask)
	} else {
		maskNarrow(a, x, limit, mask)
	}
	JNE(LabelRef("out"))
	ADDQ(I32(4*group), x)
	INCQ(count)
	JMP(LabelRef("next"))
	Label("out")
	Store(count, Return("skipped"))
	Store(mask, Return("mask"))
	lanes.Finish()
}

// maskWide joins four comparisons; the last OR sets the flags.
func maskWide(a lanes.Arch, x reg.GPVirtual, limit reg.VecVirtual, mask reg.GPVirtual) {
	ks := []reg.OpmaskVirtual{K(), K(), K(), K()}
	for i, k := range ks {
		v := a.Reg()
		VMOVUPS(Mem{Base: x, Disp: a.Bytes() * i}, v)
		VCMPPS(U8(0x1e), limit, v, k) // ordered v > limit
	}
	KUNPCKWD(ks[0], ks[1], ks[0])
	KUNPCKWD(ks[2], ks[3], ks[2])
	KUNPCKDQ(ks[0], ks[2], ks[0])
	KMOVQ(ks[0], mask)
	TESTQ(mask, mask)
}

// maskNarrow looks first whether any of eight comparisons is true.
func maskNarrow(a lanes.Arch, x reg.GPVirtual, limit reg.VecVirtual, mask reg.GPVirtual) {
	var cs []reg.VecVirtual
	for i := range group / a.Lanes {
		v := a.Reg()
		VMOVUPS(Mem{Base: x, Disp: a.Bytes() * i}, v)
		VCMPPS(U8(0x1e), limit, v, v)
		cs = append(cs, v)
	}
	any := a.Reg()
	VORPS(cs[0], cs[1], any)
	for _, c := range cs[2:] {
		VORPS(c, any, any)
	}
	VMOVMSKPS(any, mask.As32())
	TESTQ(mask, mask)
	JEQ(LabelRef("none"))
	bits := GP64()
	XORQ(mask, mask)
	for i := len(cs) - 1; i >= 0; i-- {
		VMOVMSKPS(cs[i], bits.As32())
		SHLQ(Imm(uint64(a.Lanes)), mask)
		ORQ(bits, mask)
	}
	TESTQ(mask, mask)
	Label("none")
}
