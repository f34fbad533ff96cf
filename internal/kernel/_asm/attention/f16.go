package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/lanes"
)

// scoresF16 emits s[i][t] = q_i·k_t. K is [hd][16] halves: a register holds the
// same element of consecutive tokens, so no sum goes across lanes. A score has
// the same order of summation for every n.
func scoresF16(a lanes.Arch) {
	begin("attendScoresF16"+a.Name, "func(n int, q, s *float32, k *byte, blocks *int32, count, stride, hd int)",
		"attendScoresF16"+a.Name+" fills the scores of n queries against count blocks; hd is a multiple of 4.")
	perQueries(func(n int) { scoresF16For(a, n) })
}

func scoresF16For(a lanes.Arch, n int) {
	q, s, k, ids := lanes.Pointer("q"), lanes.Pointer("s"), lanes.Pointer("k"), lanes.Pointer("blocks")
	count, stride, quads := lanes.Pointer("count"), lanes.Pointer("stride"), lanes.Pointer("hd")
	SHRQ(Imm(2), quads)
	lanes.Loop(count, func() {
		block := nextBlock(k, stride, ids)
		next := following(k, stride, ids)
		x := scorer{Arch: a, n: n, q: q, s: s, block: block, next: next, rounds: quads}
		switch {
		case a.Wide():
			x.wideF16()
		case n <= 6: // both halves of the tokens at once
			x.narrowF16(0, 1)
		default:
			x.again().narrowF16(0)
			x.narrowF16(1)
		}
		ADDQ(Imm(4*tokens), s)
	})
	lanes.Finish()
}

// scorer is one block of keys and the queries that it is multiplied by.
type scorer struct {
	lanes.Arch
	n      int           // queries
	q, s   reg.GPVirtual // the first query; where the block's scores for it go
	block  reg.GPVirtual // the keys; the loop over them moves it to their end
	next   reg.GPVirtual // what is needed next and prefetched: the next block's keys (f16), this block's values
	rounds reg.GPVirtual // how often the loop runs: four elements (f16) or four pairs a time
	scale  reg.GPVirtual // the queries' scales; of integers only
}

// again returns a copy of x for the first of two passes over the block, and
// leaves x for the second. Each has its own pointer to the keys; only the first
// prefetches the next block.
func (x *scorer) again() *scorer {
	first := *x
	first.block = copyOf(x.block)
	x.next = nil
	return &first
}

// wideF16 keeps two sums per query, of the even and of the odd elements, so
// that one query alone does not wait for every addition.
func (x *scorer) wideF16() {
	a, n := x.Arch, x.n
	sums := a.Regs(2 * n)
	for _, r := range sums {
		a.Zero(r)
	}
	at, left := copyOf(x.q), copyOf(x.rounds)
	lanes.Loop(left, func() {
		for u := range 4 {
			k := a.Reg()
			VCVTPH2PS(Mem{Base: x.block, Disp: 2 * tokens * u}, k)
			for i := range n {
				VFMADD231PS_BCST(Mem{Base: at, Disp: row*i + 4*u}, k, sums[2*i+u%2])
			}
		}
		prefetch(x.next, 4*2*tokens)
		ADDQ(I32(4*2*tokens), x.block)
		ADDQ(Imm(16), at)
	})
	for i := range n {
		VADDPS(sums[2*i+1], sums[2*i], sums[2*i])
		VMOVUPS(sums[2*i], Mem{Base: x.s, Disp: row * i})
	}
}

// narrowF16 computes the scores of the block's first 8 tokens (half 0), of its
// last 8 (half 1), or of both.
func (x *scorer) narrowF16(halves ...int) {
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
				VCVTPH2PS(Mem{Base: x.block, Disp: 2*tokens*u + 16*h}, k[j])
			}
			for i := range n {
				b := a.Reg()
				VBROADCASTSS(Mem{Base: at, Disp: row*i + 4*u}, b)
				for j := range halves {
					VFMADD231PS(b, k[j], sums[i*len(halves)+j])
				}
			}
		}
		if x.next != nil {
			prefetch(x.next, 4*2*tokens)
		}
		ADDQ(I32(4*2*tokens), x.block)
		ADDQ(Imm(16), at)
	})
	for i := range n {
		for j, h := range halves {
			VMOVUPS(sums[i*len(halves)+j], Mem{Base: x.s, Disp: row*i + 32*h})
		}
	}
}

// columns are the widths, in registers, in which a row of V is taken: n*width
// sums, the width values or the n weights (whichever are fewer), and spare
// registers must fit.
func columns(a lanes.Arch, n, spare int) []int {
	registers := 16
	if a.Wide() {
		registers = 32
	}
	var ws []int
	for w := 8; w > 0; w /= 2 {
		if n*w+min(n, w)+1+spare <= registers && !(a.Wide() && n > 6 && w > 2) {
			ws = append(ws, w)
		}
	}
	return ws
}

// valuesF16 emits o_i += Σ_t p[i][t] v_t, block by block, so that V is read as
// one stream; a block's columns are taken a few registers at a time, with the
// sums in registers over its 16 tokens.
func valuesF16(a lanes.Arch) {
	begin("attendValuesF16"+a.Name, "func(n int, p, o *float32, v *byte, blocks *int32, count, stride, hd int)",
		fmt.Sprintf("attendValuesF16%s adds the weighted values of count blocks to n outputs; hd is a multiple of %d.", a.Name, a.Lanes))
	perQueries(func(n int) { valuesF16For(a, n) })
}

func valuesF16For(a lanes.Arch, n int) {
	p, o, v, ids := lanes.Pointer("p"), lanes.Pointer("o"), lanes.Pointer("v"), lanes.Pointer("blocks")
	count, stride, pitch := lanes.Pointer("count"), lanes.Pointer("stride"), lanes.Pointer("hd")
	ADDQ(pitch, pitch) // bytes of a row of V
	lanes.Loop(count, func() {
		block := nextBlock(v, stride, ids)
		ahead := following(v, stride, ids)
		SUBQ(block, ahead)
		left, out := copyOf(pitch), copyOf(o)
		for _, w := range columns(a, n, 0) {
			again, next := lanes.NewLabel("columns"), lanes.NewLabel("narrower")
			bytes := w * 2 * a.Lanes
			Label(again)
			CMPQ(left, I32(bytes))
			JLT(LabelRef(next))
			x := adder{Arch: a, n: n, width: w, weights: p, out: out, pitch: pitch}
			x.columnsF16(block, ahead)
			ADDQ(I32(2*bytes), out)
			ADDQ(I32(bytes), block)
			SUBQ(I32(bytes), left)
			JMP(LabelRef(again))
			Label(next)
		}
		ADDQ(Imm(4*tokens), p)
	})
	lanes.Finish()
}

// adder is some columns of values and the outputs that they are added to.
type adder struct {
	lanes.Arch
	n       int           // outputs
	width   int           // columns, in registers
	weights reg.GPVirtual // of the first output
	out     reg.GPVirtual // the columns of the first output
	pitch   reg.GPVirtual // bytes from one token's values (a pair's, of integers) to the next
}

// columnsF16 adds the weighted values of one block. The next block is ahead
// bytes away, and is prefetched.
func (x *adder) columnsF16(block, ahead reg.GPVirtual) {
	a, n, w := x.Arch, x.n, x.width
	sums := a.Regs(n * w)
	each := func(do func(r reg.VecVirtual, m Mem)) {
		for i := range n {
			for c := range w {
				do(sums[i*w+c], Mem{Base: x.out, Disp: row*i + a.Bytes()*c})
			}
		}
	}
	each(func(r reg.VecVirtual, m Mem) { VMOVUPS(m, r) })
	at, weight, left := copyOf(block), copyOf(x.weights), GP64()
	MOVQ(U32(tokens/unroll), left)
	value := func(c int) reg.VecVirtual {
		r := a.Reg()
		VCVTPH2PS(Mem{Base: at, Disp: 2 * a.Lanes * c}, r)
		return r
	}
	spread := func(i, u int) reg.VecVirtual {
		r := a.Reg()
		VBROADCASTSS(Mem{Base: weight, Disp: row*i + 4*u}, r)
		return r
	}
	lanes.Loop(left, func() {
		for u := range unroll {
			var held []reg.VecVirtual
			if n <= w {
				for i := range n {
					held = append(held, spread(i, u))
				}
				for c := range w {
					r := value(c)
					for i := range n {
						VFMADD231PS(held[i], r, sums[i*w+c])
					}
				}
			} else {
				for c := range w {
					held = append(held, value(c))
				}
				for i := range n {
					r := spread(i, u)
					for c := range w {
						VFMADD231PS(r, held[c], sums[i*w+c])
					}
				}
			}
			lookAhead(at, ahead, 2*a.Lanes*w)
			ADDQ(x.pitch, at)
		}
		ADDQ(Imm(4*unroll), weight)
	})
	each(func(r reg.VecVirtual, m Mem) { VMOVUPS(r, m) })
}

// lookAhead asks for the n bytes that lie ahead of those at p.
func lookAhead(p, ahead reg.GPVirtual, n int) {
	for at := 0; at < n; at += 64 {
		PREFETCHT1(Mem{Base: p, Index: ahead, Scale: 1, Disp: at})
	}
}

const halfMax = 65504.0

// finite replaces NaN by 0 and clamps x to what a half can hold.
func finite(a lanes.Arch, x, limit, minus reg.VecVirtual) {
	if a.Wide() {
		k := K()
		VCMPPS(U8(7), x, x, k) // ordered
		VMOVAPS_Z(x, k, x)
	} else {
		y := a.Reg()
		VCMPPS(U8(7), x, x, y)
		VANDPS(y, x, x)
	}
	VMINPS(limit, x, x)
	VMAXPS(minus, x, x)
}

// storeK emits the conversion of n registers to halves that lie a row of 16
// tokens apart.
func storeK(a lanes.Arch) {
	begin("attendStoreK"+a.Name, "func(dst *byte, k *float32, n int)",
		fmt.Sprintf("attendStoreK%s writes n*%d keys as halves, 32 bytes apart.", a.Name, a.Lanes))
	dst, k, n := lanes.Pointer("dst"), lanes.Pointer("k"), lanes.Pointer("n")
	limit, minus := a.Const(halfMax), a.Const(-halfMax)
	lanes.Loop(n, func() {
		x, h := a.Reg(), a.Half()
		VMOVUPS(Mem{Base: k}, x)
		finite(a, x, limit, minus)
		VCVTPS2PH(U8(0), x, h)
		parts := []reg.VecVirtual{h}
		if a.Wide() {
			lo, hi := h.AsX().(reg.VecVirtual), XMM()
			VEXTRACTI128(U8(1), h, hi)
			parts = []reg.VecVirtual{lo, hi}
		}
		for j, part := range parts {
			for i := range 8 {
				VPEXTRW(U8(i), part, Mem{Base: dst, Disp: 2 * tokens * (8*j + i)})
			}
		}
		ADDQ(I32(a.Bytes()), k)
		ADDQ(I32(2*tokens*a.Lanes), dst)
	})
	lanes.Finish()
}

func storeV(a lanes.Arch) {
	begin("attendStoreV"+a.Name, "func(dst *byte, v *float32, n int)",
		fmt.Sprintf("attendStoreV%s writes n*%d values as halves.", a.Name, a.Lanes))
	dst, v, n := lanes.Pointer("dst"), lanes.Pointer("v"), lanes.Pointer("n")
	limit, minus := a.Const(halfMax), a.Const(-halfMax)
	lanes.Loop(n, func() {
		x := a.Reg()
		VMOVUPS(Mem{Base: v}, x)
		finite(a, x, limit, minus)
		VCVTPS2PH(U8(0), x, Mem{Base: dst})
		ADDQ(I32(a.Bytes()), v)
		ADDQ(I32(a.Bytes()/2), dst)
	})
	lanes.Finish()
}
