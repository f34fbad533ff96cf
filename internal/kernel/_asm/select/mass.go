package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/lanes"
)

const greater = 0x1e // ordered v > limit

func at(a lanes.Arch, p reg.Register, k int) Mem { return Mem{Base: p, Disp: k * a.Bytes()} }

// peak emits the maximum together with the search for NaN.
func peak(a lanes.Arch) {
	TEXT("selectPeak"+a.Name, NOSPLIT, "func(x *float32, n int) (max, squares float32)")
	Pragma("noescape")
	Doc("selectPeak" + a.Name + " is the largest element of n registers, passing over NaN, and the sum of all squares.")
	x, n := lanes.Pointer("x"), lanes.Pointer("n")
	tops, squares := a.Regs(4), a.Regs(4)
	for i := range tops {
		VBROADCASTSS(lanes.Word(0xff800000), tops[i])
		a.Zero(squares[i])
	}
	lanes.Unrolled(n, 4, func(k int) {
		r := a.Reg()
		VMOVUPS(at(a, x, k), r)
		VMAXPS(tops[k], r, tops[k])   // of NaN and top it returns the second source, top
		VFMADD231PS(r, r, squares[k]) // no sum of squares is NaN unless one of them is
	}, func(rounds int) { ADDQ(I32(rounds*a.Bytes()), x) })
	for _, pair := range [][2]int{{1, 0}, {3, 2}, {2, 0}} {
		from, to := pair[0], pair[1]
		VMAXPS(tops[from], tops[to], tops[to])
		VADDPS(squares[from], squares[to], squares[to])
	}
	lanes.SetNamed("max", a.Reduce(tops[0], VMAXPS))
	lanes.SetNamed("squares", a.Reduce(squares[0], VADDPS))
	lanes.Finish()
}

// bander is the state of band's loop.
type bander struct {
	lanes.Arch
	out, x, count reg.GPVirtual
	top, scale    reg.VecVirtual
	lo, hi        reg.VecVirtual
	e             *lanes.Exp
	sums          [2][3]reg.VecVirtual // total, above lo, above hi
	order         Mem                  // see compressions
}

// band emits the pass that weighs everything and gathers what is between two
// limits.
func band(a lanes.Arch) {
	TEXT("selectBand"+a.Name, NOSPLIT,
		"func(out, x *float32, n int, max, scale, lo, hi float32) (total, aboveLo, aboveHi float32, count int)")
	Pragma("noescape")
	Doc("selectBand"+a.Name+" sums exp((x-max)*scale) over n registers: of all, of x > lo and of x > hi, and",
		"writes the values with lo < x <= hi to out, whole registers at a time.")
	b := bander{Arch: a, out: lanes.Pointer("out"), x: lanes.Pointer("x"), count: GP64()}
	n := lanes.Pointer("n")
	b.top, b.scale, b.lo, b.hi = a.Param("max"), a.Param("scale"), a.Param("lo"), a.Param("hi")
	b.e = a.NewExp()
	unroll := 1
	if a.Wide() {
		unroll = 2
	} else {
		b.order = compressions()
	}
	for k := range unroll {
		for i := range b.sums[k] {
			b.sums[k][i] = a.Reg()
			a.Zero(b.sums[k][i])
		}
	}
	XORQ(b.count, b.count)
	if a.Wide() {
		lanes.PairLoop(n, func() { b.wide(2) }, func() { b.wide(1) })
	} else {
		lanes.Loop(n, b.narrow)
	}
	for i, name := range []string{"total", "aboveLo", "aboveHi"} {
		if unroll == 2 {
			VADDPS(b.sums[1][i], b.sums[0][i], b.sums[0][i])
		}
		lanes.SetNamed(name, a.Reduce(b.sums[0][i], VADDPS))
	}
	Store(b.count, Return("count"))
	lanes.Finish()
}

// weigh loads the k-th register and returns it and its exponentials.
func (b *bander) weigh(k int) (v, w reg.VecVirtual) {
	v, w = b.Reg(), b.Reg()
	VMOVUPS(at(b.Arch, b.x, k), v)
	VSUBPS(b.top, v, w)
	VMULPS(b.scale, w, w)
	b.e.Emit(w, true)
	VADDPS(w, b.sums[k][0], b.sums[k][0])
	return v, w
}

// wide handles some registers; one branch passes over all if none has anything
// to gather.
func (b *bander) wide(registers int) {
	none := lanes.NewLabel("none")
	var vs []reg.VecVirtual
	var ins []reg.OpmaskVirtual
	for k := range registers {
		v, w := b.weigh(k)
		low, high, in := K(), K(), K()
		VCMPPS(U8(greater), b.lo, v, low)
		VCMPPS(U8(greater), b.hi, v, high)
		VADDPS(w, b.sums[k][1], low, b.sums[k][1])
		VADDPS(w, b.sums[k][2], high, b.sums[k][2])
		KANDNW(low, high, in) // low and not high
		vs, ins = append(vs, v), append(ins, in)
	}
	KORTESTW(ins[0], ins[registers-1])
	JEQ(LabelRef(none))
	for k, v := range vs {
		bits := GP64()
		KMOVW(ins[k], bits.As32())
		POPCNTL(bits.As32(), bits.As32())
		// The form with a register is fast everywhere, the one with memory is not.
		VCOMPRESSPS(v, ins[k], v)
		VMOVUPS(v, Mem{Base: b.out, Index: b.count, Scale: 4})
		ADDQ(bits, b.count)
	}
	Label(none)
	ADDQ(I32(registers*b.Bytes()), b.x)
}

// narrow handles one register, without a branch.
func (b *bander) narrow() {
	v, w := b.weigh(0)
	low, high, t := b.Reg(), b.Reg(), b.Reg()
	VCMPPS(U8(greater), b.lo, v, low)
	VCMPPS(U8(greater), b.hi, v, high)
	VANDPS(w, low, t)
	VADDPS(t, b.sums[0][1], b.sums[0][1])
	VANDPS(w, high, t)
	VADDPS(t, b.sums[0][2], b.sums[0][2])
	VANDNPS(low, high, low) // low and not high
	bits, base := GP64(), GP64()
	VMOVMSKPS(low, bits.As32())
	LEAQ(b.order, base)
	VPMOVZXBD(Mem{Base: base, Index: bits, Scale: 8}, t)
	VPERMPS(v, t, v)
	VMOVUPS(v, Mem{Base: b.out, Index: b.count, Scale: 4})
	POPCNTL(bits.As32(), bits.As32())
	ADDQ(bits, b.count)
	ADDQ(I32(b.Bytes()), b.x)
}

// compressions is a table: for each mask of eight lanes, the lanes that are set,
// a byte each.
func compressions() Mem {
	m := GLOBL("compressions", attr.RODATA|attr.NOPTR)
	for mask := range 256 {
		var lanes uint64
		n := 0
		for i := range 8 {
			if mask>>i&1 == 1 {
				lanes |= uint64(i) << (8 * n)
				n++
			}
		}
		DATA(8*mask, U64(lanes))
	}
	return m
}
