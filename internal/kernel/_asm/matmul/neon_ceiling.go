package main

import (
	"fmt"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/a64"
)

// armCeilings are the loops of command ceiling for arm64: dot products of registers,
// and loads.
func armCeilings(a *a64.Asm) {
	const perRound, sums = 24, 24
	const rounds, p, part a64.R = 0, 0, 1
	for _, name := range []string{"SDOT", "SMMLA"} {
		a.Function("ceilingDot"+name, fmt.Sprintf("does %d products of 16 or 2·16 bytes a round.", perRound), "rounds")
		a.Arg("rounds", rounds)
		for i := range a64.V(sums + 1) {
			a.Zero(i)
		}
		a.Label("round")
		for i := range a64.V(perRound) {
			if name == "SDOT" {
				a.Dot(i, sums, sums, 0)
			} else {
				a.Mmla(i, sums, sums)
			}
		}
		a.Op("SUBS $1, R%d, R%d", rounds, rounds)
		a.Op("BNE round")
		a.Op("RET")
	}
	for _, streams := range []int{1, 2, 4} {
		for _, ahead := range []bool{false, true} {
			name := fmt.Sprintf("ceilingRead%d", streams)
			if ahead {
				name += "Ahead"
			}
			a.Function(name+"NEON", fmt.Sprintf("loads part bytes of %d streams; part is a multiple of 256.", streams), "p", "part")
			a.Arg("p", p)
			a.Arg("part", part)
			for i := 1; i < streams; i++ {
				a.Op("ADD R%d, R%d, R%d", part, a64.R(2*i-2), a64.R(2*i))
			}
			a.Label("chunk")
			for i := range streams {
				stream := a64.R(2 * i)
				for at := 0; at < 256; at += 32 {
					if ahead && at%64 == 0 {
						a.Op("PRFM %d(R%d), PLDL1KEEP", at+2048, stream)
					}
					a.LoadPair(a64.V(at/16), stream, at)
				}
				a.Op("ADD $256, R%d", stream)
			}
			a.Op("SUBS $256, R%d, R%d", part, part)
			a.Op("BNE chunk")
			a.Op("RET")
		}
	}
}
