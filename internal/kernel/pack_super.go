package kernel

// Packers of the 256-value formats with integer scales. In GGUF the values of
// one 32-block share bytes with other blocks; here every block stands alone.

const (
	low4 = 0x0f0f0f0f
	low2 = 0x03030303
	low1 = 0x01010101
)

// sixBitScales unpacks the eight scales and eight minima of Q4_K and Q5_K.
func sixBitScales(s *[12]byte) (scale, minimum [8]byte) {
	for i := range 4 {
		scale[i], minimum[i] = s[i]&63, s[i+4]&63
		scale[i+4] = s[i+8]&15 | s[i]>>6<<4
		minimum[i+4] = s[i+8]>>4 | s[i+4]>>6<<4
	}
	return
}

// superScales writes d, dmin and the eight scale and minimum bytes.
func superScales(dst groupRow, u int, s *[16]byte) {
	out := dst.unit(u)
	le.PutUint16(out[2*dst.r:], le.Uint16(s[0:]))
	le.PutUint16(out[halfRow+2*dst.r:], le.Uint16(s[2:]))
	scale, minimum := sixBitScales((*[12]byte)(s[4:]))
	for i := range 8 {
		out[2*halfRow+byteRow*2*i+dst.r] = scale[i]
		out[2*halfRow+byteRow*(2*i+1)+dst.r] = minimum[i]
	}
}

// pairNibbles stores the two blocks that share 32 bytes: the first in the low
// halves, the second in the high ones. stride is the distance of the blocks.
func pairNibbles(out []byte, stride int, s *[32]byte) {
	second := out[stride:]
	for j := range 4 {
		a, b := le.Uint32(s[4*j:]), le.Uint32(s[16+4*j:])
		le.PutUint32(out[64*j:], a&low4|b&low4<<4)
		le.PutUint32(second[64*j:], a>>4&low4|b&^low4)
	}
}

func packQ4_K(dst groupRow, src []byte) {
	const block = 144
	for u := 0; u < len(src)/block; u++ {
		s := (*[block]byte)(src[u*block:])
		superScales(dst, u, (*[16]byte)(s[:]))
		for i := range 4 {
			pairNibbles(dst.block(8*u+2*i), dst.format.quants, (*[32]byte)(s[16+32*i:]))
		}
	}
}

func packQ5_K(dst groupRow, src []byte) {
	const block = 176
	for u := 0; u < len(src)/block; u++ {
		s := (*[block]byte)(src[u*block:])
		superScales(dst, u, (*[16]byte)(s[:]))
		for i := range 4 {
			pairNibbles(dst.block(8*u+2*i), dst.format.quants, (*[32]byte)(s[48+32*i:]))
		}
		for i := range 8 {
			le.PutUint32(dst.secondPlane(8*u+i), bitPlane((*[32]byte)(s[16:]), i))
		}
	}
}

// bitPlane gathers bit i of 32 bytes, in value order, into a row of bits.
func bitPlane(s *[32]byte, i int) uint32 {
	var out uint32
	for j := range 8 {
		out |= le.Uint32(s[4*j:]) >> i & low1 << j
	}
	return out
}

// pairPlane gathers bits 2c and 2c+1 of 32 bytes into the two vectors of pairs.
func pairPlane(s *[32]byte, c int) (v0, v1 uint32) {
	for f := range 4 {
		v0 |= le.Uint32(s[4*f:]) >> (2 * c) & low2 << (2 * f)
		v1 |= le.Uint32(s[16+4*f:]) >> (2 * c) & low2 << (2 * f)
	}
	return
}

func packQ6_K(dst groupRow, src []byte) {
	const block = 210
	for u := 0; u < len(src)/block; u++ {
		s := (*[block]byte)(src[u*block:])
		byteScales(dst, u, s[208:], (*[16]byte)(s[192:]))
		for i := range 4 { // blocks c and c+2 of a half share 32 bytes
			n, c := i/2, i%2
			b := 4*n + c
			pairNibbles(dst.block(8*u+b), 2*dst.format.quants, (*[32]byte)(s[64*n+32*c:]))
		}
		for b := range 8 {
			out := dst.secondPlane(8*u + b)
			v0, v1 := pairPlane((*[32]byte)(s[128+32*(b/4):]), b%4)
			le.PutUint32(out, v0)
			le.PutUint32(out[64:], v1)
		}
	}
}

// byteScales writes d and sixteen scale bytes, one per 16 values.
func byteScales(dst groupRow, u int, d []byte, scale *[16]byte) {
	out := dst.unit(u)
	le.PutUint16(out[2*dst.r:], le.Uint16(d))
	for i, v := range scale {
		out[halfRow+byteRow*i+dst.r] = v
	}
}

func packQ3_K(dst groupRow, src []byte) {
	const block = 110
	for u := 0; u < len(src)/block; u++ {
		s := (*[block]byte)(src[u*block:])
		q3Scales(dst, u, (*[14]byte)(s[96:]))
		for b := range 8 {
			out := dst.block(8*u + b)
			v0, v1 := pairPlane((*[32]byte)(s[32+32*(b/4):]), b%4)
			le.PutUint32(out, v0)
			le.PutUint32(out[64:], v1)
			le.PutUint32(out[2*planeBytes:], bitPlane((*[32]byte)(s[:]), b))
		}
	}
}

// q3Scales writes the sixteen scale bytes, and d, which comes after them.
func q3Scales(dst groupRow, u int, s *[14]byte) {
	var scale [16]byte
	for i := range 8 {
		low, high := s[i], s[8+i%4]
		scale[i] = low&15 | high>>(2*(i/4))&3<<4 - 32
		scale[i+8] = low>>4 | high>>(2*(i/4)+4)&3<<4 - 32
	}
	byteScales(dst, u, s[12:], &scale)
}

func packQ2_K(dst groupRow, src []byte) {
	const block = 84
	for u := 0; u < len(src)/block; u++ {
		s := (*[block]byte)(src[u*block:])
		scales := dst.unit(u)
		le.PutUint16(scales[2*dst.r:], le.Uint16(s[80:]))
		le.PutUint16(scales[halfRow+2*dst.r:], le.Uint16(s[82:]))
		for i := range 16 {
			scales[2*halfRow+byteRow*i+dst.r] = s[i]
		}
		for b := range 8 {
			out := dst.block(8*u + b)
			v0, v1 := pairPlane((*[32]byte)(s[16+32*(b/4):]), b%4)
			le.PutUint32(out, v0)
			le.PutUint32(out[64:], v1)
		}
	}
}
