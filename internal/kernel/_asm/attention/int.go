package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/lanes"
)

// element is an integer cache type. Its elements come in pairs: one 32-bit lane
// of a register has two of them, as int16, and one instruction multiplies both
// and adds the products to an int32.
type element struct {
	name  string
	bytes int
}

// load widens a register full of pairs.
func (e element) load(a lanes.Arch, m Mem, r reg.VecVirtual) {
	switch {
	case e.bytes == 1:
		VPMOVSXBW(m, r)
	case a.Wide():
		VMOVDQU64(m, r)
	default:
		VMOVDQU(m, r)
	}
}

// register is the memory under a register of pairs.
func (e element) register(a lanes.Arch) int { return 2 * e.bytes * a.Lanes }

// multiplyAdd adds the products of the pairs in b and x to sum.
func multiplyAdd(a lanes.Arch, b, x, sum reg.VecVirtual) {
	if a.Wide() {
		VPDPWSSD(b, x, sum)
		return
	}
	t := a.Reg()
	VPMADDWD(b, x, t)
	VPADDD(t, sum, sum)
}

// scoresInt emits s[i][t] = Σ q'_i·k'_t * (scale of k_t * scale of q_i). The sums
// of integers are exact, so their order is free.
func scoresInt(a lanes.Arch, e element) {
	begin("attendScores"+e.name+a.Name, "func(n int, q, s *float32, k, v *byte, blocks *int32, count, stride, hd int, qscale *float32)",
		fmt.Sprintf("attendScores%s%s fills the scores of n queries of int16 against count blocks; hd is a multiple of 8.", e.name, a.Name),
		"It asks for the blocks' values, which are needed next.")
	perQueries(func(n int) {
		if a.Wide() {
			scoresWide(a, e, n)
			return
		}
		q, s, k, ids := lanes.Pointer("q"), lanes.Pointer("s"), lanes.Pointer("k"), lanes.Pointer("blocks")
		count, stride, rounds := lanes.Pointer("count"), lanes.Pointer("stride"), lanes.Pointer("hd")
		scale := lanes.Pointer("qscale")
		SHRQ(Imm(3), rounds) // four pairs each
		lanes.Loop(count, func() {
			block, next := nextBlock(k, stride, ids), lanes.Pointer("v")
			SUBQ(k, next)
			ADDQ(block, next)
			PREFETCHT0(Mem{Base: next, Index: stride, Scale: 1, Disp: -4 * tokens}) // the scales
			x := scorer{Arch: a, n: n, q: q, s: s, block: block, next: next, rounds: rounds, scale: scale}
			if n <= 5 { // both halves of the tokens at once
				x.narrowInt(e, 0, 1)
			} else {
				x.again().narrowInt(e, 0)
				x.narrowInt(e, 1)
			}
			ADDQ(Imm(4*tokens), s)
		})
		lanes.Finish()
	})
}

// scoresWide takes two blocks at a time, so that what is loaded of a query serves both.
func scoresWide(a lanes.Arch, e element, n int) {
	x := scorer{Arch: a, n: n, q: lanes.Pointer("q"), s: lanes.Pointer("s")}
	k, ids := lanes.Pointer("k"), lanes.Pointer("blocks")
	count, stride, ahead := lanes.Pointer("count"), lanes.Pointer("stride"), lanes.Pointer("v")
	SUBQ(k, ahead)
	zero := a.Reg() // avo takes the usual XOR for a use of what a sum held before
	a.Zero(zero)
	take := func(n int) func() {
		return func() {
			blocks := make([]reg.GPVirtual, n)
			for i := range blocks {
				blocks[i] = nextBlock(k, stride, ids)
				values := copyOf(blocks[i])
				ADDQ(ahead, values)
				PREFETCHT0(Mem{Base: values, Index: stride, Scale: 1, Disp: -4 * tokens}) // the scales
			}
			x.wideInt(e, blocks, ahead, zero)
			ADDQ(I32(4*tokens*n), x.s)
		}
	}
	lanes.PairLoop(count, take(2), take(1))
	lanes.Finish()
}

// splits is how many sums a score is split into, by the number of queries less one and by
// that of blocks less one: an addition need not wait for the one before it, for there are
// enough others.
var splits = [][]int{{4, 4, 4, 2, 2, 2, 2, 2}, {4, 4, 2, 2, 1, 1, 1, 1}}

// wideInt multiplies one block or two. The loop leaves their addresses at the end of the
// keys, where the scales are. What lies ahead of the keys is asked for.
func (x *scorer) wideInt(e element, blocks []reg.GPVirtual, ahead reg.GPVirtual, zero reg.VecVirtual) {
	a, n := x.Arch, x.n
	parts := splits[len(blocks)-1][n-1]
	sums := make([][]reg.VecVirtual, len(blocks)) // [blocks][n*parts]
	for j := range sums {
		sums[j] = a.Regs(parts * n)
		for _, r := range sums[j] {
			VMOVAPS(zero, r)
		}
	}
	at, left := copyOf(x.q), lanes.Pointer("hd")
	SHRQ(Imm(3), left) // four pairs each
	lanes.Loop(left, func() {
		for u := range 4 {
			k := a.Regs(len(blocks))
			for j, block := range blocks {
				e.load(a, Mem{Base: block, Disp: e.register(a) * u}, k[j])
			}
			for i := range n {
				query, sum := Mem{Base: at, Disp: row*i + 4*u}, i*parts+u%parts
				if len(blocks) == 1 {
					VPDPWSSD_BCST(query, k[0], sums[0][sum])
					continue
				}
				both := a.Reg()
				VPBROADCASTD(query, both)
				for j := range blocks {
					VPDPWSSD(both, k[j], sums[j][sum])
				}
			}
		}
		for _, block := range blocks {
			lookAhead(block, ahead, 4*e.register(a))
			ADDQ(I32(4*e.register(a)), block)
		}
		ADDQ(Imm(16), at)
	})
	scale := lanes.Pointer("qscale")
	for j, block := range blocks {
		keys := a.Reg()
		VMOVUPS(Mem{Base: block}, keys)
		for i := range n {
			own, both := sums[j][i*parts:][:parts], a.Reg()
			for p := parts / 2; p > 0; p /= 2 {
				for h := range p {
					VPADDD(own[h+p], own[h], own[h])
				}
			}
			VMULPS_BCST(Mem{Base: scale, Disp: 4 * i}, keys, both)
			VCVTDQ2PS(own[0], own[0])
			VMULPS(both, own[0], own[0])
			VMOVUPS(own[0], Mem{Base: x.s, Disp: row*i + 4*tokens*j})
		}
	}
}

// narrowInt computes the scores of the block's first 8 tokens (half 0), of its
// last 8 (half 1), or of both.
func (x *scorer) narrowInt(e element, halves ...int) {
	a, n := x.Arch, x.n
	sums := a.Regs(n * len(halves))
	for _, r := range sums {
		a.Zero(r)
	}
	at, left := copyOf(x.q), copyOf(x.rounds)
	lanes.Loop(left, func() {
		for u := range 4 {
			k := a.Regs(len(halves))
			for j, h := range halves {
				e.load(a, Mem{Base: x.block, Disp: e.register(a) * (2*u + h)}, k[j])
			}
			for i := range n {
				b := a.Reg()
				VPBROADCASTD(Mem{Base: at, Disp: row*i + 4*u}, b)
				for j := range halves {
					multiplyAdd(a, b, k[j], sums[i*len(halves)+j])
				}
			}
		}
		if x.next != nil {
			prefetch(x.next, 8*e.register(a))
		}
		ADDQ(I32(8*e.register(a)), x.block)
		ADDQ(Imm(16), at)
	})
	for i := range n {
		own := a.Reg()
		VBROADCASTSS(Mem{Base: x.scale, Disp: 4 * i}, own)
		for j, h := range halves {
			score, both := sums[i*len(halves)+j], a.Reg()
			VMULPS(Mem{Base: x.block, Disp: 32 * h}, own, both)
			VCVTDQ2PS(score, score)
			VMULPS(both, score, score)
			VMOVUPS(score, Mem{Base: x.s, Disp: row*i + 32*h})
		}
	}
}

// valuesInt emits o_i += Σ_t w'_it v'_t * grid_i for groups of two blocks: the
// products of a group are summed as integers, then scaled.
func valuesInt(a lanes.Arch, e element) {
	begin("attendValues"+e.name+a.Name, "func(n int, w, o *float32, v, ahead *byte, blocks *int32, count, stride, hd int, grid *float32)",
		fmt.Sprintf("attendValues%s%s adds the weighted values of count blocks, in groups of two, to n outputs; hd is a", e.name, a.Name),
		fmt.Sprintf("multiple of %d. It asks for the keys that are needed next: those of the blocks %d places after blocks, from", a.Lanes, places),
		"ahead on.")
	ids, count := AllocLocal(8), AllocLocal(8) // there are not enough registers for all
	perQueries(func(n int) {
		w, grid, pitch := lanes.Pointer("w"), lanes.Pointer("grid"), lanes.Pointer("hd")
		MOVQ(lanes.Pointer("blocks"), ids)
		MOVQ(lanes.Pointer("count"), count)
		SHLQ(Imm(uint64(e.bytes)), pitch) // bytes of the pairs of two tokens' rows
		zero := a.Reg()                   // avo takes the usual XOR for a use of what a sum held before
		a.Zero(zero)
		again, done := lanes.NewLabel("group"), lanes.NewLabel("done")
		Label(again)
		CMPQ(count, Imm(0))
		JLE(LabelRef(done))
		g := nextGroup(ids, count)
		left, out := copyOf(pitch), lanes.Pointer("o")
		for _, c := range columns(a, n, 2) {
			again, next := lanes.NewLabel("columns"), lanes.NewLabel("narrower")
			bytes := c * e.register(a)
			Label(again)
			CMPQ(left, I32(bytes))
			JLT(LabelRef(next))
			x := adder{Arch: a, n: n, width: c, weights: w, out: out, pitch: pitch}
			x.columnsInt(e, g, grid, zero)
			ADDQ(I32(c*a.Bytes()), out)
			ADDQ(I32(bytes), g.even)
			ADDQ(I32(bytes), g.odd)
			SUBQ(I32(bytes), left)
			JMP(LabelRef(again))
			Label(next)
		}
		ADDQ(Imm(2*2*tokens), w)
		ADDQ(Imm(4*queries), grid)
		SUBQ(Imm(2), count)
		JMP(LabelRef(again))
		Label(done)
		lanes.Finish()
	})
}

// group is two blocks whose weights share a scale.
type group struct {
	even, odd reg.GPVirtual // addresses
	ahead     reg.GPVirtual // distance to what is asked for meanwhile, which lies like this group
	halves    reg.GPVirtual // 1 if only even counts; odd is the same then
}

func nextGroup(ids, count Mem) group {
	v, stride, at := lanes.Pointer("v"), lanes.Pointer("stride"), GP64()
	MOVQ(ids, at)
	g := group{even: nextBlock(v, stride, at), odd: nextBlock(v, stride, at), halves: GP64()}
	g.ahead = GP64()
	MOVLQSX(Mem{Base: at, Disp: 4 * (places - 2)}, g.ahead)
	IMULQ(stride, g.ahead)
	ADDQ(lanes.Pointer("ahead"), g.ahead)
	SUBQ(g.even, g.ahead)
	MOVQ(at, ids)
	MOVQ(U32(2), g.halves)
	CMPQ(count, Imm(1))
	both := lanes.NewLabel("both")
	JNE(LabelRef(both))
	MOVQ(U32(1), g.halves)
	Label(both)
	return g
}

// columnsInt adds the weighted values of one group; grid points at the scales of
// its weights, one for each output.
func (x *adder) columnsInt(e element, g group, grid reg.GPVirtual, zero reg.VecVirtual) {
	a, n, c := x.Arch, x.n, x.width
	sums := a.Regs(n * c)
	for _, r := range sums {
		VMOVAPS(zero, r)
	}
	weight, blocks := copyOf(x.weights), copyOf(g.halves)
	lanes.Loop(blocks, func() {
		at, left := copyOf(g.even), GP64()
		MOVQ(U32(tokens/2/unroll), left)
		lanes.Loop(left, func() {
			for u := range unroll {
				x.pairs(e, at, Mem{Base: weight, Disp: 4 * u}, sums)
				lookAhead(at, g.ahead, c*e.register(a))
				ADDQ(x.pitch, at)
			}
			ADDQ(Imm(4*unroll), weight)
		})
		XCHGQ(g.even, g.odd) // of one block alone there are two copies
	})
	for i := range n {
		scale := a.Reg()
		VBROADCASTSS(Mem{Base: grid, Disp: 4 * i}, scale)
		for j := range c {
			m := Mem{Base: x.out, Disp: row*i + a.Bytes()*j}
			sum := sums[i*c+j]
			VCVTDQ2PS(sum, sum)
			VFMADD213PS(m, scale, sum)
			VMOVUPS(sum, m)
		}
	}
}

// pairs adds the values of a pair of tokens, which lie at at, times their
// weights; weight is that of the first output.
func (x *adder) pairs(e element, at reg.GPVirtual, weight Mem, sums []reg.VecVirtual) {
	a, n, c := x.Arch, x.n, x.width
	value := func(j int) reg.VecVirtual {
		r := a.Reg()
		e.load(a, Mem{Base: at, Disp: e.register(a) * j}, r)
		return r
	}
	spread := func(i int) reg.VecVirtual {
		r := a.Reg()
		VPBROADCASTD(weight.Offset(row*i), r)
		return r
	}
	var held []reg.VecVirtual
	if n <= c {
		for i := range n {
			held = append(held, spread(i))
		}
		for j := range c {
			r := value(j)
			for i := range n {
				multiplyAdd(a, held[i], r, sums[i*c+j])
			}
		}
		return
	}
	for j := range c {
		held = append(held, value(j))
	}
	for i := range n {
		r := spread(i)
		for j := range c {
			multiplyAdd(a, r, held[j], sums[i*c+j])
		}
	}
}

// Limits of the integers (attend_int_generic.go explains them).
const (
	weightSum = 32700
	tiny      = 1e-30
	intLimit  = 1e15
)

// quantize emits the conversion of a vector to int16 multiples of the scale
// max(peak*perPeak, norm*perNorm). It leaves vectors with NaN or absurd
// elements to the caller.
func quantize(a lanes.Arch) {
	name := "attendQuantize" + a.Name
	begin(name, "func(dst *int16, x *float32, n int, perPeak, perNorm float32) float32",
		fmt.Sprintf("%s rounds n*%d elements to multiples of the scale that it returns. A negative", name, a.Lanes),
		"scale says that an element is NaN or above 1e15, and nothing was written.")
	dst := lanes.Pointer("dst")
	rounded(a, name, func(v reg.VecVirtual) {
		if a.Wide() {
			VPMOVDW(v, Mem{Base: dst})
		} else {
			hi := XMM()
			VEXTRACTI128(U8(1), v, hi)
			VPACKSSDW(hi, v.AsX(), hi)
			VMOVDQU(hi, Mem{Base: dst})
		}
		ADDQ(I32(a.Bytes()/2), dst)
	})
}

// storeKeyInt and storeValueInt emit quantize for an element's type and for the places of
// one token in a block. A key's pairs lie 16 pairs apart.
func storeKeyInt(a lanes.Arch, e element) {
	name := "attendStoreKey" + e.name + a.Name
	begin(name, "func(dst *byte, x *float32, n int, perPeak, perNorm float32) float32",
		fmt.Sprintf("%s is attendQuantize%s for a key that begins at dst.", name, a.Name))
	dst := lanes.Pointer("dst")
	rounded(a, name, func(v reg.VecVirtual) {
		x, pair := YMM(), tokens*2*e.bytes
		parts := []reg.VecVirtual{x.AsX().(reg.VecVirtual), XMM()}
		if e.bytes == 1 {
			VPMOVDB(v, parts[0])
		} else {
			VPMOVDW(v, x)
			VEXTRACTI128(U8(1), x, parts[1])
		}
		for i := range a.Lanes / 2 {
			at := Mem{Base: dst, Disp: pair * i}
			if e.bytes == 1 {
				VPEXTRW(U8(i), parts[0], at)
			} else {
				VPEXTRD(U8(i%4), parts[i/4], at)
			}
		}
		ADDQ(I32(pair*a.Lanes/2), dst)
	})
}

// A value's elements are every other one of a row of pairs; the others belong to another
// token and are not touched.
func storeValueInt(a lanes.Arch, e element) {
	name := "attendStoreValue" + e.name + a.Name
	begin(name, "func(dst *byte, x *float32, n int, perPeak, perNorm float32) float32",
		fmt.Sprintf("%s is attendQuantize%s for a value whose first element is at dst.", name, a.Name))
	dst, bits, even := lanes.Pointer("dst"), GP64(), K()
	MOVQ(U32(0x55555555), bits)
	KMOVD(bits.As32(), even)
	rounded(a, name, func(v reg.VecVirtual) {
		if e.bytes == 1 { // the lower halves of the int16
			x := YMM()
			VPMOVDW(v, x)
			VMOVDQU8(x, even, Mem{Base: dst})
		} else {
			VMOVDQU16(v, even, Mem{Base: dst})
		}
		ADDQ(I32(a.Bytes()*e.bytes/2), dst)
	})
}

// rounded emits the body of quantize: store gets the integers, a register of int32 at a
// time.
func rounded(a lanes.Arch, name string, store func(v reg.VecVirtual)) {
	x, n := lanes.Pointer("x"), lanes.Pointer("n")
	peak, norm, magnitude := a.Reg(), a.Reg(), a.Reg()
	a.Zero(peak)
	a.Zero(norm)
	VBROADCASTSS(lanes.Word(0x7fffffff), magnitude)
	at, left := copyOf(x), copyOf(n)
	lanes.Loop(left, func() {
		v := a.Reg()
		VMOVUPS(Mem{Base: at}, v)
		VFMADD231PS(v, v, norm) // NaN stays here
		VANDPS(magnitude, v, v)
		VMAXPS(v, peak, peak)
		ADDQ(I32(a.Bytes()), at)
	})
	top, square, limit := a.Reduce(peak, VMAXPS), a.Reduce(norm, VADDPS), XMM()
	VMOVSS(lanes.Word(math.Float32bits(intLimit)), limit)
	VUCOMISS(top, limit)
	JB(LabelRef("odd")) // the limit is below
	VUCOMISS(square, square)
	JP(LabelRef("odd"))
	VMULSS(lanes.Argument("perPeak"), top, top)
	VSQRTSS(square, square, square)
	VMULSS(lanes.Argument("perNorm"), square, square)
	VMAXSS(square, top, top)
	VMAXSS(lanes.Word(math.Float32bits(tiny)), top, top)
	lanes.SetResult(top)
	per := XMM()
	VMOVSS(lanes.Word(math.Float32bits(1)), per)
	VDIVSS(top, per, per)
	inverse := a.Reg()
	VBROADCASTSS(per, inverse)
	lanes.Loop(n, func() {
		v := a.Reg()
		VMULPS(Mem{Base: x}, inverse, v)
		VCVTPS2DQ(v, v)
		store(v)
		ADDQ(I32(a.Bytes()), x)
	})
	lanes.Finish()
	Label("odd")
	minus := XMM()
	VMOVSS(lanes.Word(math.Float32bits(-1)), minus)
	lanes.SetResult(minus)
	lanes.Finish()
}
