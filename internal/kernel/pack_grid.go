package kernel

import "github.com/penstock-llm/penstock/internal/quant"

// packGrid returns the packer of an IQ2 or IQ3 format.
func packGrid(t quant.Type) func(dst groupRow, src []byte) {
	g := quant.GridOf(t)
	return func(dst groupRow, src []byte) { packGridRow(dst, src, g, t.BlockBytes()) }
}

func packGridRow(dst groupRow, src []byte, g *quant.Grid, block int) {
	var v quant.GridBlock
	three := len(g.Levels) < 8 // bits
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

// storeIQ2 writes a block: the codes of magnitudes as pairs, signs as bits.
func storeIQ2(out []byte, eights *[4]uint64, signs *[4]byte) {
	_ = out[2*planeBytes+3]
	v0, v1 := eights[0]|eights[1]<<4, eights[2]|eights[3]<<4
	le.PutUint32(out, uint32(v0)|uint32(v0>>32)<<2)
	le.PutUint32(out[64:], uint32(v1)|uint32(v1>>32)<<2)
	le.PutUint32(out[2*planeBytes:], fifthBits(signs[:]))
}

// minusNibbles has 15 in byte i for each bit i of an index.
var minusNibbles = func() (tab [256]uint64) {
	for i := range tab {
		for t := range 8 {
			tab[i] |= uint64(i>>t&1) * 15 << (8 * t)
		}
	}
	return
}()

// storeIQ3 numbers the 16 values from the most negative on: a magnitude's code
// counts up from 8 or, with a minus, down from 7.
func storeIQ3(out []byte, eights *[4]uint64, signs *[4]byte) {
	_ = out[195]
	var v [4]uint64
	for i, codes := range eights {
		v[i] = (codes | 8*eachLow1) ^ minusNibbles[signs[i]]
	}
	v0, v1 := v[0]|v[2]<<4, v[1]|v[3]<<4
	le.PutUint32(out, uint32(v0))
	le.PutUint32(out[64:], uint32(v0>>32))
	le.PutUint32(out[128:], uint32(v1))
	le.PutUint32(out[192:], uint32(v1>>32))
}
