package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/lanes"
)

// rotate emits the fast Walsh-Hadamard transform: stages of sums and differences
// of elements 1, 2, 4 … apart, the first ones within a register, the others
// from memory to memory.
func rotate(a lanes.Arch) {
	begin("attendRotate"+a.Name, "func(dst, x *float32, n, block int, scale float32)",
		"attendRotate"+a.Name+" transforms n registers of x in blocks of block registers, a power of two, and scales.")
	dst, x, n, block := lanes.Pointer("dst"), lanes.Pointer("x"), lanes.Pointer("n"), lanes.Pointer("block")
	scale := a.Param("scale")
	var signs []reg.VecVirtual
	for h := 1; h < a.Lanes; h *= 2 {
		signs = append(signs, a.Pattern("sign"+string(rune('0'+h)), func(i int) float64 { return 1 - 2*float64(i/h%2) }))
	}
	at, left := copyOf(dst), copyOf(n)
	lanes.Loop(left, func() {
		v := a.Reg()
		VMULPS(Mem{Base: x}, scale, v)
		for i, sign := range signs {
			other := a.Reg()
			exchange(a, 1<<i, v, other)
			VFMADD213PS(other, sign, v) // v*sign + other
		}
		VMOVUPS(v, Mem{Base: at})
		ADDQ(I32(a.Bytes()), x)
		ADDQ(I32(a.Bytes()), at)
	})
	rotateMemory(a, dst, at, n, block)
	lanes.Finish()
}

// exchange swaps neighbouring runs of h elements.
func exchange(a lanes.Arch, h int, v, other reg.VecVirtual) {
	switch {
	case h == 1:
		VPERMILPS(U8(0xb1), v, other)
	case h == 2:
		VPERMILPS(U8(0x4e), v, other)
	case h == 4 && a.Wide():
		VSHUFF32X4(U8(0xb1), v, v, other)
	case h == 4:
		VPERM2F128(U8(1), v, v, other)
	default:
		VSHUFF32X4(U8(0x4e), v, v, other)
	}
}

// rotateMemory does the stages between registers; end is where dst ends.
func rotateMemory(a lanes.Arch, dst, end, n, block reg.GPVirtual) {
	h, step := GP64(), GP64() // registers and bytes between partners
	MOVQ(U32(1), h)
	MOVQ(U32(a.Bytes()), step)
	Label("stage")
	CMPQ(h, block)
	JGE(LabelRef("out"))
	lo := copyOf(dst)
	Label("run")
	hi, left := GP64(), copyOf(h)
	LEAQ(Mem{Base: lo, Index: step, Scale: 1}, hi)
	lanes.Loop(left, func() {
		p, q, d := a.Reg(), a.Reg(), a.Reg()
		VMOVUPS(Mem{Base: lo}, p)
		VMOVUPS(Mem{Base: hi}, q)
		VSUBPS(q, p, d)
		VADDPS(q, p, p)
		VMOVUPS(p, Mem{Base: lo})
		VMOVUPS(d, Mem{Base: hi})
		ADDQ(I32(a.Bytes()), lo)
		ADDQ(I32(a.Bytes()), hi)
	})
	MOVQ(hi, lo)
	CMPQ(lo, end)
	JLT(LabelRef("run"))
	ADDQ(h, h)
	ADDQ(step, step)
	JMP(LabelRef("stage"))
	Label("out")
}
