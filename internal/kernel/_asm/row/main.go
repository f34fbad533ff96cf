// Command row generates the products of single rows as they are in a file with
// floats.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/lanes"
)

func main() {
	ConstraintExpr("!purego")
	for _, a := range lanes.All {
		dotQ8(a)
	}
	Generate()
}

// dotQ8 multiplies blocks of a scale, a half, and 32 int8. A weight is exact in
// float32: 8 bits times 11.
func dotQ8(a lanes.Arch) {
	const blockLen, blockBytes = 32, 34
	TEXT("dotQ8"+a.Name, NOSPLIT, "func(w *byte, x *float32, blocks int) float32")
	Pragma("noescape")
	Doc("dotQ8: Σ w*x of whole blocks of w.")
	w, x, n := lanes.Pointer("w"), lanes.Pointer("x"), lanes.Pointer("blocks")
	sums := a.Regs(4)
	for _, s := range sums {
		a.Zero(s)
	}
	per := blockLen / a.Lanes
	lanes.Unrolled(n, 2, func(k int) {
		half, d := a.Half(), a.Reg()
		VPBROADCASTW(Mem{Base: w, Disp: k * blockBytes}, half)
		VCVTPH2PS(half, d)
		for i := range per {
			q := a.Reg()
			VPMOVSXBD(Mem{Base: w, Disp: k*blockBytes + 2 + i*a.Lanes}, q)
			VCVTDQ2PS(q, q)
			VMULPS(d, q, q)
			VFMADD231PS(Mem{Base: x, Disp: (k*per + i) * a.Bytes()}, q, sums[(k*per+i)%len(sums)])
		}
	}, func(rounds int) {
		ADDQ(I32(rounds*blockBytes), w)
		ADDQ(I32(rounds*blockLen*4), x)
	})
	VADDPS(sums[1], sums[0], sums[0])
	VADDPS(sums[3], sums[2], sums[2])
	VADDPS(sums[2], sums[0], sums[0])
	lanes.SetResult(a.Reduce(sums[0], VADDPS))
	lanes.Finish()
}
