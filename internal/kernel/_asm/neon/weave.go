package main

import "github.com/penstock-llm/penstock/internal/kernel/_asm/a64"

// weave transposes four dwords of sixteen rows at a time, those of four rows together.
func weave(k *vector) {
	const (
		dst, src, stride, rounds, row a64.R = 0, 1, 2, 3, 4

		rows, line = 16, 64
	)
	k.Function("weaveNEON", "sets dst[j][r] to dword j of row r, for four dwords a step.", "dst", "src", "stride", "steps")
	k.pointers("dst", "src", "stride", "steps")
	k.Op("CBZ R%d, done", rounds)
	k.Label("loop")
	k.Op("MOVD R%d, R%d", src, row)
	for r := range a64.V(rows) {
		k.Load(r, row, 0)
		k.Op("ADD R%d, R%d", stride, row)
	}
	for q := range a64.V(rows / 4) {
		const even, odd, out a64.V = 16, 17, 18
		x := 4 * q
		for half, zip := range []func(d, n, m a64.V){k.Zip1, k.Zip2} {
			zip(even, x, x+2)
			zip(odd, x+1, x+3)
			k.Zip1(out, even, odd)
			k.Zip2(out+1, even, odd)
			k.Store(out, dst, line*2*half+16*int(q))
			k.Store(out+1, dst, line*(2*half+1)+16*int(q))
		}
	}
	k.Op("ADD $16, R%d", src)
	k.Op("ADD $%d, R%d", 4*line, dst)
	k.Op("SUBS $1, R%d, R%d", rounds, rounds)
	k.Op("BNE loop")
	k.Label("done")
	k.Op("RET")
}
