// Command ceiling generates loops that do nothing but one thing, as fast as the
// processor can: 8-bit dot products of registers, and loads from memory. The
// benchmark compares the kernels with them.
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/lanes"
)

func main() {
	ConstraintExpr("!purego")
	dotWide(lanes.AVX512)
	dotVEX()
	dotNarrow(lanes.AVX2)
	chain()
	for _, a := range lanes.All {
		for _, streams := range []int{1, 2, 4} {
			for _, ahead := range []bool{false, true} {
				read(a, streams, ahead)
			}
		}
	}
	Generate()
}

// perRound is the number of products, or of additions, of a round of dotWide and chain.
const perRound = 24

// chain emits additions that wait for each other: one a cycle.
func chain() {
	TEXT("ceilingChain", NOSPLIT, "func(rounds int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("ceilingChain does %d additions a round, one after the other.", perRound))
	rounds, x := lanes.Pointer("rounds"), GP64()
	XORQ(x, x)
	lanes.Loop(rounds, func() {
		for range perRound {
			ADDQ(x, x)
		}
	})
	RET()
}

// dotWide emits 24 independent VPDPBUSD a round. With a latency of five cycles
// and two ports ten would do.
func dotWide(a lanes.Arch) {
	const sums = perRound
	TEXT("ceilingDot"+a.Name, NOSPLIT, "func(rounds int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("ceilingDot%s does %d products of 64 bytes a round.", a.Name, sums))
	rounds, x := lanes.Pointer("rounds"), a.Reg()
	a.Zero(x)
	accs := a.Regs(sums)
	for _, acc := range accs {
		a.Zero(acc)
	}
	lanes.Loop(rounds, func() {
		for _, acc := range accs {
			VPDPBUSD(x, x, acc)
		}
	})
	lanes.Finish()
}

// dotVEX emits VPDPBUSD of 32 bytes, 12 independent ones twice a round: there are 16
// registers.
func dotVEX() {
	const sums = perRound / 2
	TEXT("ceilingDotAVXVNNI", NOSPLIT, "func(rounds int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("ceilingDotAVXVNNI does %d products of 32 bytes a round.", perRound))
	rounds, x := lanes.Pointer("rounds"), reg.Y15
	VPXOR(x, x, x)
	accs := [sums]reg.VecPhysical{
		reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10, reg.Y11,
	}
	for _, acc := range accs {
		VPXOR(acc, acc, acc)
	}
	lanes.Loop(rounds, func() {
		for i := range perRound {
			Instruction(lanes.DotVEX(x, x, accs[i%sums]))
		}
	})
	lanes.Finish()
}

// dotNarrow emits the dot product without VNNI at its cheapest, which is how the
// avx2 kernels do Q4_0: the products of eight vectors are added in 16 bits, and
// only their sums widened. Three such runs are independent of each other.
func dotNarrow(a lanes.Arch) {
	const run, sums = 8, 3
	TEXT("ceilingDot"+a.Name, NOSPLIT, "func(rounds int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("ceilingDot%s does %d products of 32 bytes a round.", a.Name, run*sums))
	rounds, x := lanes.Pointer("rounds"), a.Reg()
	a.Zero(x)
	accs := a.Regs(sums)
	for _, acc := range accs {
		a.Zero(acc)
	}
	lanes.Loop(rounds, func() {
		words := a.Regs(sums)
		for _, w := range words {
			VPMADDUBSW(x, x, w)
		}
		for range run - 1 {
			for _, w := range words {
				t := a.Reg()
				VPMADDUBSW(x, x, t)
				VPADDW(t, w, w)
			}
		}
		for i, w := range words {
			VPMADDWD(x, w, w)
			VPADDD(w, accs[i], accs[i])
		}
	})
	lanes.Finish()
}

// read emits loads of everything in part bytes of each stream, which lie part
// bytes apart. With ahead, lines are asked for 2 KB before they are loaded.
func read(a lanes.Arch, streams int, ahead bool) {
	const chunk, distance = 256, 2048
	name := fmt.Sprintf("ceilingRead%d", streams)
	if ahead {
		name += "Ahead"
	}
	TEXT(name+a.Name, NOSPLIT, "func(p *byte, part int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s%s loads part bytes of %d streams; part is a multiple of %d.", name, a.Name, streams, chunk))
	left := lanes.Pointer("part")
	ps := []reg.GPVirtual{lanes.Pointer("p")}
	for len(ps) < streams {
		next := GP64()
		MOVQ(ps[len(ps)-1], next)
		ADDQ(left, next)
		ps = append(ps, next)
	}
	SHRQ(Imm(8), left)
	lanes.Loop(left, func() {
		for _, p := range ps {
			for at := 0; at < chunk; at += a.Bytes() {
				if ahead && at%64 == 0 {
					PREFETCHT0(Mem{Base: p, Disp: at + distance})
				}
				VMOVUPS(Mem{Base: p, Disp: at}, a.Reg())
			}
			ADDQ(I32(chunk), p)
		}
	})
	lanes.Finish()
}
