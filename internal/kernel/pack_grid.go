package kernel

import "github.com/penstock-llm/penstock/internal/quant"

// packGrid returns the packer of an IQ2 or IQ3 format.
func packGrid(t quant.Type) func(dst groupRow, src []byte) {
	g, block := quant.GridOf(t), t.BlockBytes()
	three := len(g.Levels) < 8 // bits
	return func(dst groupRow, src []byte) {
		var v quant.GridBlock
		for u := 0; u < len(src)/block; u++ {
			s := src[u*block:][:block]
			g.Read(s, &v)
			scales := dst.unit(u)
			le.PutUint16(scales[2*dst.r:], le.Uint16(s))
			for i := range 8 {
				scale := 2*v.Scales[2*i] + 1
				if dst.format.stream == halvesStream {
					scale = v.Scales[2*i] | v.Scales[2*i+1]<<4
				}
				scales[halfRow+byteRow*i+dst.r] = scale
				eights := (*[4]uint64)(v.Codes[4*i:])
				signs := (*[4]byte)(v.Signs[4*i:])
				if out := dst.block(8*u + i); three {
					storeIQ2(out, eights, signs)
				} else {
					storeIQ3(out, eights, signs)
				}
			}
		}
	}
}

// storeIQ2 writes a block: the codes of magnitudes as pairs, signs as bits.
func storeIQ2(out []byte, eights *[4]uint64, signs *[4]byte) {
	pair := func(codes uint64) uint32 { return uint32(codes) | uint32(codes>>32)<<2 }
	le.PutUint32(out, pair(eights[0])|pair(eights[1])<<4)
	le.PutUint32(out[64:], pair(eights[2])|pair(eights[3])<<4)
	le.PutUint32(out[2*planeBytes:], fifthBits(signs[:]))
}

// storeIQ3 numbers the 16 values from the most negative on: a magnitude's code
// counts up from 8 or, with a minus, down from 7.
func storeIQ3(out []byte, eights *[4]uint64, signs *[4]byte) {
	var fours [4]uint32
	for i, codes := range eights {
		minus := spread[signs[i]]
		low := (uint32(codes) | 8*low1) ^ minus&low1*15
		high := (uint32(codes>>32) | 8*low1) ^ minus>>1&low1*15
		fours[i%2*2] |= low << (i / 2 * 4)
		fours[i%2*2+1] |= high << (i / 2 * 4)
	}
	for j, v := range fours {
		le.PutUint32(out[64*j:], v)
	}
}
