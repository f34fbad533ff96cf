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
		for _, size := range []int{4, 8, 16} {
			other := lanes.NewLabel("other")
			CMPQ(block, Imm(uint64(size)))
			JNE(LabelRef(other))
			r := rotator{Arch: a, dst: dst, x: x, scale: scale, signs: signs}
			r.blocks(n, size)
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

// rotator is where a transform reads and writes, and what it multiplies by.
type rotator struct {
	lanes.Arch
	dst, x reg.GPVirtual
	scale  reg.VecVirtual
	signs  []reg.VecVirtual // of each stage within a register
}

// blocks transforms n registers in blocks of size registers. A block stays in
// registers from its load to its store.
func (r *rotator) blocks(n reg.GPVirtual, size int) {
	left := copyOf(n)
	SHRQ(Imm(uint64(bits.TrailingZeros(uint(size)))), left)
	lanes.Loop(left, func() {
		vs := r.Regs(size)
		for i, v := range vs {
			VMULPS(Mem{Base: r.x, Disp: r.Bytes() * i}, r.scale, v)
			rotateWithin(r.Arch, v, r.signs)
		}
		for h := 1; h < size; h *= 2 {
			for i := range size {
				if i&h == 0 {
					difference := r.Reg()
					VSUBPS(vs[i+h], vs[i], difference)
					VADDPS(vs[i+h], vs[i], vs[i])
					vs[i+h] = difference
				}
			}
		}
		for i, v := range vs {
			VMOVUPS(v, Mem{Base: r.dst, Disp: r.Bytes() * i})
		}
		ADDQ(I32(size*r.Bytes()), r.x)
		ADDQ(I32(size*r.Bytes()), r.dst)
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
