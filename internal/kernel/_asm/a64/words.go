package a64

// Words of 16 bits, which attention over integers multiplies.

// LoadPairs loads eight pairs of words, the first ones of all to v and the second ones
// to the next, and moves r behind them.
func (a *Asm) LoadPairs(v V, r R) {
	a.word(0x4cdf8400|uint32(r)<<5|uint32(v), "ld2 { v%d.8h, v%d.8h }, [x%d], #32", v, v+1, r)
}

// UnzipWords takes the even words of n and m, or the odd ones.
func (a *Asm) UnzipWords(d, n, m V, odd bool) {
	if odd {
		a.three(op{0x4e405800, "uzp2", "8h"}, d, n, m)
		return
	}
	a.three(op{0x4e401800, "uzp1", "8h"}, d, n, m)
}

// UpperSignedBytes widens the upper half of n to words.
func (a *Asm) UpperSignedBytes(d, n V) {
	a.word(0x4f08a400|uint32(n)<<5|uint32(d), "sshll2 v%d.8h, v%d.16b, #0", d, n)
}

// WordsBy adds to the dwords of d the words of a half of n times word i of m, which is
// one of the first 16 registers.
func (a *Asm) WordsBy(d, n, m V, i int, upper bool) {
	code := uint32(0x0f402000) | uint32(i&1)<<20 | uint32(i>>1&1)<<21 | uint32(i>>2)<<11 | uint32(m)<<16 | uint32(n)<<5 | uint32(d)
	if m > 15 {
		panic("the element is of a register above 15")
	}
	if upper {
		a.word(code|1<<30, "smlal2 v%d.4s, v%d.8h, v%d.h[%d]", d, n, m, i)
		return
	}
	a.word(code, "smlal v%d.4s, v%d.4h, v%d.h[%d]", d, n, m, i)
}
