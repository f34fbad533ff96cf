package main

import (
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/lanes"
)

// gridder is the state of grid: what a group's rows share.
type gridder struct {
	lanes.Arch
	scales           []Mem // of the group's values, a register each
	least, most, per reg.VecVirtual
	order            reg.VecVirtual
	src, dst, ws     reg.GPVirtual
}

// grid emits the conversion of weights to integers, in place: a row's int16
// lie where its first half of float32 lay. Most of it is the sum over a group,
// so that where there are registers enough, four rows are summed together; the
// tree of additions is the same as for one row.
func grid(a lanes.Arch) {
	begin("attendGrid"+a.Name, "func(n int, w, dst *float32, v *byte, blocks *int32, groups, stride int, grid *float32)",
		"attendGrid"+a.Name+" multiplies weights by their values' scales and rounds each group to int16.")
	w, dst, v, ids := lanes.Pointer("w"), lanes.Pointer("dst"), lanes.Pointer("v"), lanes.Pointer("blocks")
	groups, stride, grid := lanes.Pointer("groups"), lanes.Pointer("stride"), lanes.Pointer("grid")
	g := gridder{Arch: a, least: XMM(), most: XMM(), per: XMM(), src: GP64(), dst: GP64(), ws: GP64()}
	VBROADCASTSS(lanes.Word(math.Float32bits(tiny)), g.least)
	VBROADCASTSS(lanes.Word(math.Float32bits(weightSum)), g.most)
	VBROADCASTSS(lanes.Word(math.Float32bits(1.0/weightSum)), g.per)
	if a.Wide() { // how packed registers are put in order again
		m := GLOBL("packed", attr.RODATA|attr.NOPTR)
		for i, q := range []int{0, 2, 4, 6, 1, 3, 5, 7} {
			DATA(8*i, U64(q))
		}
		g.order = ZMM()
		VMOVDQU64(m, g.order)
	}
	lanes.Loop(groups, func() {
		g.scales = nil
		for range 2 {
			block := nextBlock(v, stride, ids)
			ADDQ(stride, block)
			for at := 0; at < 4*tokens; at += a.Bytes() {
				g.scales = append(g.scales, Mem{Base: block, Disp: at - 4*tokens})
			}
		}
		MOVQ(w, g.src)
		MOVQ(dst, g.dst)
		MOVQ(grid, g.ws)
		left := lanes.Pointer("n")
		if a.Wide() {
			four, one := lanes.NewLabel("four"), lanes.NewLabel("one")
			Label(four)
			CMPQ(left, Imm(3)) // a fourth row that nobody wants costs less than three alone
			JLT(LabelRef(one))
			g.rows(4)
			SUBQ(Imm(4), left)
			JMP(LabelRef(four))
			Label(one)
		}
		lanes.Loop(left, func() { g.rows(1) })
		ADDQ(I32(4*2*tokens), w)
		ADDQ(I32(2*2*tokens), dst)
		ADDQ(Imm(4*queries), grid)
	})
	lanes.Finish()
}

// rows does one group of the next n rows.
func (g *gridder) rows(n int) {
	weights, sums := make([][]reg.VecVirtual, n), make([]reg.VecVirtual, n)
	for i := range n {
		weights[i], sums[i] = g.scaled(row*i), YMM()
		g.fold(weights[i], sums[i])
	}
	total, inverse := g.across(sums), XMM()
	VMAXPS(g.least, total, total)
	VDIVPS(total, g.most, inverse)
	VMULPS(g.per, total, total)
	if n == 1 {
		VMOVSS(total, Mem{Base: g.ws})
	} else {
		VMOVUPS(total, Mem{Base: g.ws})
	}
	for i := range n {
		if i > 0 {
			VPERMILPS(U8(0x39), inverse, inverse) // the next row's to the front
		}
		spread := g.Reg()
		VBROADCASTSS(inverse, spread)
		for _, x := range weights[i] {
			VMULPS(spread, x, x)
			VCVTPS2DQ(x, x)
		}
		g.pack(weights[i], row*i)
	}
	ADDQ(I32(row*n), g.src)
	ADDQ(I32(row*n), g.dst)
	ADDQ(Imm(uint64(4*n)), g.ws)
}

// scaled loads the weights of a group and multiplies them by the scales.
func (g *gridder) scaled(at int) []reg.VecVirtual {
	xs := g.Regs(len(g.scales))
	for p, x := range xs {
		VMOVUPS(Mem{Base: g.src, Disp: at + g.Bytes()*p}, x)
		VMULPS(g.scales[p], x, x)
	}
	return xs
}

// fold adds a group's 32 lanes to 8.
func (g *gridder) fold(xs []reg.VecVirtual, sum reg.VecVirtual) {
	if g.Wide() {
		t := ZMM()
		VADDPS(xs[0], xs[1], t)
		VEXTRACTF64X4(U8(1), t, sum)
		VADDPS(sum, t.AsY(), sum)
		return
	}
	t := YMM()
	VADDPS(xs[0], xs[2], sum)
	VADDPS(xs[1], xs[3], t)
	VADDPS(t, sum, sum)
}

// across adds the 8 lanes of one register, or of four, whose sums then lie side
// by side: first lanes two apart, then neighbours, then halves.
func (g *gridder) across(sums []reg.VecVirtual) reg.VecVirtual {
	y, t := sums[0], YMM()
	if len(sums) == 1 {
		VPERMILPS(U8(0x4e), y, t)
		VADDPS(t, y, y)
		VPERMILPS(U8(0xb1), y, t)
		VADDPS(t, y, y)
	} else {
		pairs := make([]reg.VecVirtual, 2)
		for i := range pairs {
			lo, hi := YMM(), YMM()
			VUNPCKLPS(sums[2*i+1], sums[2*i], lo)
			VUNPCKHPS(sums[2*i+1], sums[2*i], hi)
			VADDPS(hi, lo, lo)
			pairs[i] = lo
		}
		y = YMM()
		VUNPCKLPD(pairs[1], pairs[0], y)
		VUNPCKHPD(pairs[1], pairs[0], t)
		VADDPS(t, y, y)
	}
	x := XMM()
	VEXTRACTF128(U8(1), y, x)
	VADDPS(x, y.AsX(), x)
	return x
}

// pack stores int32 lanes as consecutive int16.
func (g *gridder) pack(xs []reg.VecVirtual, at int) {
	for p := 0; p < len(xs); p += 2 {
		VPACKSSDW(xs[p+1], xs[p], xs[p]) // in turns, 4 of each
		if g.Wide() {
			VPERMQ(xs[p], g.order, xs[p])
			VMOVDQU64(xs[p], Mem{Base: g.dst, Disp: at})
		} else {
			VPERMQ(U8(0xd8), xs[p], xs[p])
			VMOVDQU(xs[p], Mem{Base: g.dst, Disp: at + 16*p})
		}
	}
}
