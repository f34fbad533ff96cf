package kernel

import "github.com/penstock-llm/penstock/internal/quant"

// packGrid returns the packer of an IQ2 or IQ3 format.
func packGrid(t quant.Type) func(dst groupRow, src []byte) {
	g, block := quant.GridOf(t), t.BlockBytes()
	store := storeIQ2
	if len(g.Levels) == 8 {
		store = storeIQ3
	}
	return func(dst groupRow, src []byte) {
		for u := 0; u < len(src)/block; u++ {
			s := src[u*block:][:block]
			scales := dst.unit(u)
			le.PutUint16(scales[2*dst.r:], le.Uint16(s))
			for i := range 8 {
				scale := 2*g.Scale(s, 2*i) + 1
				if dst.format.stream == halvesStream {
					scale = g.Scale(s, 2*i) | g.Scale(s, 2*i+1)<<4
				}
				scales[halfRow+byteRow*i+dst.r] = scale
				store(g, dst.block(8*u+i), s, 4*i)
			}
		}
	}
}

// storeIQ2 writes the block that begins with the given eight values: the codes of
// magnitudes as pairs, signs as bits.
func storeIQ2(g *quant.Grid, out, s []byte, eight int) {
	var pairs [2]uint32
	var minus uint32
	for i := range 4 {
		codes, signs := g.Eight(s, eight+i)
		pairs[i/2] |= (uint32(codes) | uint32(codes>>32)<<2) << (i % 2 * 4)
		minus |= spread[signs] << (2 * i)
	}
	le.PutUint32(out, pairs[0])
	le.PutUint32(out[64:], pairs[1])
	le.PutUint32(out[2*planeBytes:], minus)
}

// storeIQ3 numbers the 16 values from the most negative on: a magnitude's code
// counts up from 8 or, with a minus, down from 7.
func storeIQ3(g *quant.Grid, out, s []byte, eight int) {
	const eights = 0x08080808
	var fours [4]uint32
	for i := range 4 {
		codes, signs := g.Eight(s, eight+i)
		minus := spread[signs]
		low := (uint32(codes) | eights) ^ minus&low1*15
		high := (uint32(codes>>32) | eights) ^ minus>>1&low1*15
		fours[i%2*2] |= low << (i / 2 * 4)
		fours[i%2*2+1] |= high << (i / 2 * 4)
	}
	for j, v := range fours {
		le.PutUint32(out[64*j:], v)
	}
}
