package main

import (
	"fmt"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/a64"
)

// neonFloat emits the loop of products with F32, F16 or BF16 weights for one number of
// columns. Each column has two sums, of even and of odd positions. With four columns
// the rows of a group are taken in two passes of 8, otherwise all at once.
type neonFloat struct {
	*a64.Asm
	bytes int // of a weight
	name  string
	cols  int
	label string
}

// General registers of the float kernels.
const (
	fWeights a64.R = iota // cursor in the pass
	fX
	fY
	fLeft // pairs of positions left
	fGroups
	fLdy
	fWidth // bytes of a position in the panel
	fGroup // start of the group's weights
	fSize  // of a group
	fAdd
	fTmp
	fPass // place of the pass's rows in a position's weights
	fK
	fOut
)

func neonFloatKernel(a *a64.Asm, f floatFormat) {
	name := "float" + f.name + "NEON"
	a.Function(name, fmt.Sprintf("multiplies groups of %s weights with 1, 2 or 4 columns.", f.name),
		"weights", "x", "y", "k", "groups", "ldy", "cols", "width", "add")
	for _, arg := range []struct {
		name string
		r    a64.R
	}{{"weights", fGroup}, {"y", fY}, {"k", fK}, {"groups", fGroups}, {"ldy", fLdy}, {"width", fWidth}, {"add", fAdd}, {"cols", fTmp}} {
		a.Arg(arg.name, arg.r)
	}
	a.Op("LSL $2, R%d, R%d", fLdy, fLdy)
	a.Op("LSL $2, R%d, R%d", fWidth, fWidth)
	a.Op("MOVD $%d, R%d", 16*f.bytes, fSize)
	a.Op("MUL R%d, R%d, R%d", fK, fSize, fSize)
	a.Op("LSR $1, R%d, R%d", fK, fK)
	a.Op("CMP $4, R%d", fTmp)
	a.Op("BEQ cols4")
	a.Op("CMP $2, R%d", fTmp)
	a.Op("BEQ cols2")
	for _, c := range []int{1, 2, 4} {
		k := &neonFloat{Asm: a, bytes: f.bytes, name: f.name, cols: c, label: fmt.Sprintf("cols%d", c)}
		k.loop()
	}
}

// fours is the number of registers with four rows each that a pass takes.
func (k *neonFloat) fours() int {
	if k.cols == 4 {
		return 2
	}
	return 4
}

// sum is the sum of even (0) or odd (1) positions of four rows of a column.
func (k *neonFloat) sum(odd, four, c int) a64.V { return a64.V((odd*k.cols+c)*k.fours() + four) }

func (k *neonFloat) loop() {
	const w, x a64.V = 16, 22
	k.Label(k.label)
	k.Label(k.label + "_group")
	k.Op("MOVD $0, R%d", fPass)
	k.Label(k.label + "_pass")
	k.Op("ADD R%d, R%d, R%d", fPass, fGroup, fWeights)
	k.Arg("x", fX)
	k.Op("MOVD R%d, R%d", fK, fLeft)
	for i := range a64.V(2 * k.cols * k.fours()) {
		k.Zero(i)
	}
	k.Label(k.label + "_positions")
	for odd := range 2 {
		k.weights(w, 16*k.bytes*odd)
		switch k.cols {
		case 4:
			k.Load(x, fX, 0)
		case 2:
			k.Load8(x, fX, 0)
		case 1:
			k.Load4(x, fX, 0)
		}
		k.Op("ADD R%d, R%d", fWidth, fX)
		for c := range k.cols {
			for four := range k.fours() {
				k.FmlaBy(k.sum(odd, four, c), w+a64.V(four), x, c)
			}
		}
	}
	k.Op("ADD $%d, R%d", 2*16*k.bytes, fWeights)
	k.Op("SUBS $1, R%d, R%d", fLeft, fLeft)
	k.Op("BNE %s_positions", k.label)
	k.finish()
	k.Op("ADD $%d, R%d", 16*k.fours(), fY)
	if k.fours() == 2 {
		k.Op("EOR $%d, R%d, R%d", 8*k.bytes, fPass, fPass)
		k.Op("CBNZ R%d, %s_pass", fPass, k.label)
	}
	k.Op("ADD R%d, R%d", fSize, fGroup)
	k.Op("SUBS $1, R%d, R%d", fGroups, fGroups)
	k.Op("BNE %s_group", k.label)
	k.Op("RET")
}

// weights loads those of one position, as floats, to w and the next.
func (k *neonFloat) weights(w a64.V, disp int) {
	const raw a64.V = 20
	if k.name == "F32" {
		for i := range k.fours() {
			k.Load(w+a64.V(i), fWeights, disp+16*i)
		}
		return
	}
	for i := range k.fours() / 2 {
		k.Load(raw+a64.V(i), fWeights, disp+16*i)
		for upper := range 2 {
			to, from := w+a64.V(2*i+upper), raw+a64.V(i)
			if k.name == "F16" {
				k.Halves(to, from, upper == 1)
				continue
			}
			k.UnsignedWords(to, from, upper == 1)
			k.Shift(to, to, 16)
		}
	}
}

// finish writes the sums of the pass to y, or adds them.
func (k *neonFloat) finish() {
	const old a64.V = 22
	for c := range k.cols {
		for four := range k.fours() {
			k.Fadd(k.sum(0, four, c), k.sum(0, four, c), k.sum(1, four, c))
		}
	}
	k.Op("MOVD R%d, R%d", fY, fOut)
	k.Op("CBZ R%d, %s_store", fAdd, k.label)
	for c := range k.cols {
		for four := range k.fours() {
			k.Load(old, fOut, 16*four)
			k.Fadd(k.sum(0, four, c), k.sum(0, four, c), old)
		}
		k.Op("ADD R%d, R%d", fLdy, fOut)
	}
	k.Op("MOVD R%d, R%d", fY, fOut)
	k.Label(k.label + "_store")
	for c := range k.cols {
		for four := range k.fours() {
			k.Store(k.sum(0, four, c), fOut, 16*four)
		}
		k.Op("ADD R%d, R%d", fLdy, fOut)
	}
}
