package main

import (
	"fmt"
	"math/bits"

	"github.com/mmcloughlin/avo/operand"
)

// What all matrix kernels have in common: the choice of a loop by columns, the
// ends of loops, the store.

// choose emits a loop for each number of columns and jumps to the one that the
// argument cols asks for: the last, 1, if none.
func (a *asm) choose(counts []int, loop func(cols int, label string)) {
	name := func(c int) string { return fmt.Sprintf("cols%d", c) }
	a.param("cols", tmp)
	for _, c := range counts {
		a.CMPQ(tmp, operand.Imm(uint64(c)))
		a.JEQ(operand.LabelRef(name(c)))
	}
	for i := len(counts) - 1; i >= 0; i-- {
		a.Label(name(counts[i]))
		loop(counts[i], name(counts[i]))
	}
}

// nextGroup ends the loop over groups and the function.
func (a *asm) nextGroup(label string) {
	a.ADDQ(operand.Imm(64), out)
	a.DECQ(groups)
	a.JNZ(operand.LabelRef(label + "_group"))
	a.VZEROUPPER()
	a.RET()
}

// unitShift turns a number of blocks into one of units.
func (f *format) unitShift() operand.Constant {
	return operand.Imm(uint64(bits.TrailingZeros(uint(f.blocks))))
}

// nextBlock ends the loops over the blocks of a unit and over units.
func (a *asm) nextBlock(f *format, label string) {
	if f.blocks > 1 {
		a.DECQ(inUnit)
		a.JNZ(operand.LabelRef(label + "_block"))
		a.DECQ(blocks)
		a.JNZ(operand.LabelRef(label + "_unit"))
		return
	}
	a.DECQ(blocks)
	a.JNZ(operand.LabelRef(label + "_block"))
}

// store writes one register per column to y, or accumulates if the argument
// add says so.
func (a *asm) store(y []vec, disp int, label string) {
	next := func(c int) {
		if c < len(y)-1 {
			a.ADDQ(ldy, tmp)
		}
	}
	a.param("add", tmp)
	a.TESTQ(tmp, tmp)
	a.MOVQ(out, tmp)
	a.JZ(operand.LabelRef(label))
	for c, r := range y {
		a.VADDPS(at(tmp, disp), r, r)
		next(c)
	}
	a.MOVQ(out, tmp)
	a.Label(label)
	for c, r := range y {
		a.VMOVUPS(r, at(tmp, disp))
		next(c)
	}
}
