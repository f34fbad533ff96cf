//go:build !purego

package kernel

import "github.com/penstock-llm/penstock/internal/cpu"

//go:noescape
func ceilingDotSDOT(rounds int)

//go:noescape
func ceilingDotSMMLA(rounds int)

//go:noescape
func ceilingRead1NEON(p *byte, part int)

//go:noescape
func ceilingRead1AheadNEON(p *byte, part int)

//go:noescape
func ceilingRead2NEON(p *byte, part int)

//go:noescape
func ceilingRead2AheadNEON(p *byte, part int)

//go:noescape
func ceilingRead4NEON(p *byte, part int)

//go:noescape
func ceilingRead4AheadNEON(p *byte, part int)

func (s Set) dotCeiling(rounds int) int {
	const perRound = 24 // instructions of either loop that multiply
	switch s.products {
	case cpu.I8MM:
		ceilingDotSMMLA(rounds)
		return 2 * 32 * perRound * rounds
	case cpu.DotProd:
		ceilingDotSDOT(rounds)
		return 2 * 16 * perRound * rounds
	}
	return 0
}

// readFuncs are the loops by tier, number of streams and prefetching.
var readFuncs = map[ReadPattern]func(p *byte, part int){
	{cpu.DotProd, 1, false}: ceilingRead1NEON,
	{cpu.DotProd, 1, true}:  ceilingRead1AheadNEON,
	{cpu.DotProd, 2, false}: ceilingRead2NEON,
	{cpu.DotProd, 2, true}:  ceilingRead2AheadNEON,
	{cpu.DotProd, 4, false}: ceilingRead4NEON,
	{cpu.DotProd, 4, true}:  ceilingRead4AheadNEON,
}

func (s Set) read(b []byte, p ReadPattern) { readFuncs[p](&b[0], len(b)/p.Streams) }
