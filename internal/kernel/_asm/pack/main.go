// Command pack generates what brings the rows of a group side by side.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/lanes"
)

func main() {
	ConstraintExpr("!purego")
	for _, a := range lanes.All {
		weave(a)
	}
	Generate()
}

const (
	step  = 16 // bytes of a row that are moved at once: four dwords
	quads = 4  // four rows each are a group
	line  = 64 // bytes of a dword of every row
)

// weave transposes four dwords of sixteen rows at a time. Lane q of register i has them
// of row 4q+i, so that transposing within lanes leaves the rows in order.
func weave(a lanes.Arch) {
	TEXT("weave"+a.Name, NOSPLIT, "func(dst, src *byte, stride, steps int)")
	Pragma("noescape")
	Doc("weave sets dst[j][r] to dword j of row r, for four dwords a step.")
	dst, src, stride, n := lanes.Pointer("dst"), lanes.Pointer("src"), lanes.Pointer("stride"), lanes.Pointer("steps")
	thrice := GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, thrice)
	quad := [quads]reg.GPVirtual{src} // where its first row is
	for q := 1; q < quads; q++ {
		quad[q] = GP64()
		LEAQ(Mem{Base: quad[q-1], Index: stride, Scale: 4}, quad[q])
	}
	row := func(q, i int) Mem {
		return [...]Mem{{Base: quad[q]}, {Base: quad[q], Index: stride, Scale: 1}, {Base: quad[q], Index: stride, Scale: 2}, {Base: quad[q], Index: thrice, Scale: 1}}[i]
	}
	per := a.Bytes() / step // quads in a register
	lanes.Loop(n, func() {
		for q := 0; q < quads; q += per {
			var x [4]reg.VecVirtual
			for i := range x {
				x[i] = gather(a, func(lane int) Mem { return row(q+lane, i) })
			}
			for j, y := range transpose(a, x) {
				VMOVUPS(y, Mem{Base: dst, Disp: line*j + step*q})
			}
		}
		for _, p := range quad {
			ADDQ(I8(step), p)
		}
		ADDQ(I32(4*line), dst)
	})
	lanes.Finish()
}

// gather loads 16 bytes into each lane.
func gather(a lanes.Arch, from func(lane int) Mem) reg.VecVirtual {
	x := a.Reg()
	VMOVDQU(from(0), x.AsX())
	if !a.Wide() {
		VINSERTI128(U8(1), from(1), x, x)
		return x
	}
	for lane := 1; lane < quads; lane++ {
		VINSERTI32X4(U8(lane), from(lane), x, x)
	}
	return x
}

// transpose turns, in each lane, four dwords of four registers.
func transpose(a lanes.Arch, x [4]reg.VecVirtual) [4]reg.VecVirtual {
	low01, low23, high01, high23 := a.Reg(), a.Reg(), a.Reg(), a.Reg()
	VPUNPCKLDQ(x[1], x[0], low01)
	VPUNPCKLDQ(x[3], x[2], low23)
	VPUNPCKHDQ(x[1], x[0], high01)
	VPUNPCKHDQ(x[3], x[2], high23)
	var y [4]reg.VecVirtual
	for j := range y {
		y[j] = a.Reg()
	}
	VPUNPCKLQDQ(low23, low01, y[0])
	VPUNPCKHQDQ(low23, low01, y[1])
	VPUNPCKLQDQ(high23, high01, y[2])
	VPUNPCKHQDQ(high23, high01, y[3])
	return y
}
