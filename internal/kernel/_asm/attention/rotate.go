package main

import (
	"math/bits"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/lanes"
)

// rotate emits the fast Walsh-Hadamard transform: stages of sums and differences
// of elements 1, 2, 4 … apart, the first ones within a register, the others
// between registers, or from memory to memory where there are not enough.
func rotate(a lanes.Arch) {
	begin("attendRotate"+a.Name, "func(dst, x *float32, n, block int, scale float32)",
		"attendRotate"+a.Name+" transforms n registers of x in blocks of block registers, a power of two, and scales.")
	dst, x, n, block := lanes.Pointer("dst"), lanes.Pointer("x"), lanes.Pointer("n"), lanes.Pointer("block")
	scale := a.Param("scale")
	var signs []reg.VecVirtual
	for h := 1; h < a.Lanes; h *= 2 {
		signs = append(signs, a.Pattern("sign"+string(rune('0'+h)), func(i int) float64 { return 1 - 2*float64(i/h%2) }))
	}
	if a.Wide() { // blocks that fit into registers
		for _, r := range []int{4, 8, 16} {
			other := lanes.NewLabel("other")
			CMPQ(block, Imm(uint64(r)))
			JNE(LabelRef(other))
			rotateRegisters(a, r, dst, x, n, scale, signs)
			lanes.Finish()
			Label(other)
		}
	}
	at, left := copyOf(dst), copyOf(n)
	lanes.Loop(left, func() {
		v := a.Reg()
		VMULPS(Mem{Base: x}, scale, v)
		rotateWithin(a, v, signs)
		VMOVUPS(v, Mem{Base: at})
		ADDQ(I32(a.Bytes()), x)
		ADDQ(I32(a.Bytes()), at)
	})
	rotateMemory(a, dst, at, n, block)
	lanes.Finish()
}

// rotateWithin does the stages within a register.
func rotateWithin(a lanes.Arch, v reg.VecVirtual, signs []reg.VecVirtual) {
	for i, sign := range signs {
		other := a.Reg()
		exchange(a, 1<<i, v, other)
		VFMADD213PS(other, sign, v) // v*sign + other
	}
}

// rotateRegisters does blocks of r registers, from load to store.
func rotateRegisters(a lanes.Arch, r int, dst, x, n reg.GPVirtual, scale reg.VecVirtual, signs []reg.VecVirtual) {
	blocks := copyOf(n)
	SHRQ(Imm(uint64(bits.TrailingZeros(uint(r)))), blocks)
	lanes.Loop(blocks, func() {
		vs := a.Regs(r)
		for i, v := range vs {
			VMULPS(Mem{Base: x, Disp: a.Bytes() * i}, scale, v)
			rotateWithin(a, v, signs)
		}
		for h := 1; h < r; h *= 2 {
			for i := range r {
				if i&h == 0 {
					difference := a.Reg()
					VSUBPS(vs[i+h], vs[i], difference)
					VADDPS(vs[i+h], vs[i], vs[i])
					vs[i+h] = difference
				}
			}
		}
		for i, v := range vs {
			VMOVUPS(v, Mem{Base: dst, Disp: a.Bytes() * i})
		}
		ADDQ(I32(r*a.Bytes()), x)
		ADDQ(I32(r*a.Bytes()), dst)
	})
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
