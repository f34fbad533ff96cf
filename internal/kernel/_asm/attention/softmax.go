package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/lanes"
)

// weights emits the step of the running softmax: the scores of a chunk become
// weights relative to the new peak; alpha is the factor of the old sums. All
// peaks come first, so that no row waits for its own. One register sums all
// weights in the order of positions: leading and trailing zeros, which depend on
// the tile, change nothing.
func weights(a lanes.Arch) {
	begin("attendWeights"+a.Name, "func(s *float32, n, rows int, peak, sum, alpha *float32)",
		"attendWeights"+a.Name+" turns rows of n registers of scores into weights.")
	n, e := lanes.Pointer("n"), a.NewExp()
	s, peak, alpha, rows := lanes.Pointer("s"), lanes.Pointer("peak"), lanes.Pointer("alpha"), lanes.Pointer("rows")
	lanes.Loop(rows, func() {
		old, top := a.Reg(), a.Reg()
		VBROADCASTSS(Mem{Base: peak}, old)
		VMOVAPS(old, top)
		at, left := copyOf(s), copyOf(n)
		lanes.Loop(left, func() {
			x := a.Reg()
			VMOVUPS(Mem{Base: at}, x)
			VMAXPS(top, x, top) // of NaN and top it returns the second source, top
			ADDQ(I32(a.Bytes()), at)
		})
		x := a.Reduce(top, VMAXPS)
		VMOVSS(x, Mem{Base: peak})
		VBROADCASTSS(x, top)
		VSUBPS(top, old, old)
		e.Emit(old, true)
		VMOVSS(old.AsX(), Mem{Base: alpha})
		ADDQ(I32(row), s)
		ADDQ(Imm(4), peak)
		ADDQ(Imm(4), alpha)
	})
	s, peak, alpha, rows = lanes.Pointer("s"), lanes.Pointer("peak"), lanes.Pointer("alpha"), lanes.Pointer("rows")
	sum := lanes.Pointer("sum")
	lanes.Loop(rows, func() {
		top, total := a.Reg(), a.Reg()
		VBROADCASTSS(Mem{Base: peak}, top)
		a.Zero(total)
		at, left := copyOf(s), copyOf(n)
		lanes.Loop(left, func() {
			w := a.Reg()
			VMOVUPS(Mem{Base: at}, w)
			VSUBPS(top, w, w)
			e.Emit(w, true)
			VMOVUPS(w, Mem{Base: at})
			VADDPS(w, total, total)
			ADDQ(I32(a.Bytes()), at)
		})
		t, before := a.Reduce(total, VADDPS), XMM()
		VMOVSS(Mem{Base: sum}, before)
		VFMADD231SS(Mem{Base: alpha}, before, t)
		VMOVSS(t, Mem{Base: sum})
		ADDQ(I32(row), s)
		ADDQ(Imm(4), peak)
		ADDQ(Imm(4), sum)
		ADDQ(Imm(4), alpha)
	})
	lanes.Finish()
}

// softcap emits x = c*tanh(x/c) as c - 2c/(1+exp(2x/c)).
func softcap(a lanes.Arch) {
	begin("attendSoftcap"+a.Name, "func(s *float32, n, rows int, c float32)",
		"attendSoftcap"+a.Name+" bends rows of n registers of scores into (-c, c).")
	s, n, rows := lanes.Pointer("s"), lanes.Pointer("n"), lanes.Pointer("rows")
	limit, inverse, twice := a.Param("c"), a.Reg(), a.Reg()
	e := a.NewExp()
	VADDPS(limit, limit, twice)
	VBROADCASTSS(lanes.Word(0x40000000), inverse) // 2
	VDIVPS(limit, inverse, inverse)
	lanes.Loop(rows, func() {
		at, left := copyOf(s), copyOf(n)
		lanes.Loop(left, func() {
			x := a.Reg()
			VMULPS(Mem{Base: at}, inverse, x)
			e.Emit(x, false)
			VADDPS(e.One(), x, x)
			VDIVPS(x, twice, x)
			VSUBPS(x, limit, x)
			VMOVUPS(x, Mem{Base: at})
			ADDQ(I32(a.Bytes()), at)
		})
		ADDQ(I32(row), s)
	})
	lanes.Finish()
}
