//go:build amd64 && !purego

package kernel

import "github.com/penstock-llm/penstock/internal/cpu"

//go:generate go run -C _asm ./ceiling -out ../ceiling_amd64.s -stubs ../ceiling_stubs_amd64.go -pkg kernel

func (s Set) dotCeiling(rounds int) int {
	const perRound = 24 // instructions of each loop that multiply
	switch s.products {
	case cpu.AVX512VNNI:
		ceilingDotAVX512(rounds)
		return 2 * 64 * perRound * rounds
	case cpu.AVXVNNI:
		ceilingDotAVXVNNI(rounds)
		return 2 * 32 * perRound * rounds
	case cpu.AVX2:
		ceilingDotAVX2(rounds)
		return 2 * 32 * perRound * rounds
	}
	return 0
}

// readFuncs are the loops by tier, number of streams and prefetching.
var readFuncs = map[ReadPattern]func(p *byte, part int){
	{cpu.AVX2, 1, false}:       ceilingRead1AVX2,
	{cpu.AVX2, 1, true}:        ceilingRead1AheadAVX2,
	{cpu.AVX2, 2, false}:       ceilingRead2AVX2,
	{cpu.AVX2, 2, true}:        ceilingRead2AheadAVX2,
	{cpu.AVX2, 4, false}:       ceilingRead4AVX2,
	{cpu.AVX2, 4, true}:        ceilingRead4AheadAVX2,
	{cpu.AVX512VNNI, 1, false}: ceilingRead1AVX512,
	{cpu.AVX512VNNI, 1, true}:  ceilingRead1AheadAVX512,
	{cpu.AVX512VNNI, 2, false}: ceilingRead2AVX512,
	{cpu.AVX512VNNI, 2, true}:  ceilingRead2AheadAVX512,
	{cpu.AVX512VNNI, 4, false}: ceilingRead4AVX512,
	{cpu.AVX512VNNI, 4, true}:  ceilingRead4AheadAVX512,
}

func (s Set) read(b []byte, p ReadPattern) { readFuncs[p](base(b), len(b)/p.Streams) }
