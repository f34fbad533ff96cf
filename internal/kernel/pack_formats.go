package kernel

import "encoding/binary"

var le = binary.LittleEndian

// The packers below read one row of blocks in GGUF's layout and scatter it into
// its lane of the group. They move four values at a time: GGUF keeps
// neighbouring values in neighbouring bytes, and so do the planes.

func packF32(dst groupRow, src []byte) {
	out := dst.quants[4*dst.r:]
	for k := 0; k < len(src)/4; k++ {
		le.PutUint32(out[64*k:], le.Uint32(src[4*k:]))
	}
}

func packF16(dst groupRow, src []byte) {
	out := dst.quants[2*dst.r:]
	for k := 0; k < len(src)/2; k++ {
		le.PutUint16(out[32*k:], le.Uint16(src[2*k:]))
	}
}

// halfAt copies a float16 from src to entry i of the scales.
func (g groupRow) halfAt(i int, src []byte) {
	le.PutUint16(g.scales[halfRow*i+2*g.r:], le.Uint16(src))
}

func packQ8_0(dst groupRow, src []byte) {
	const block = 34
	for b := 0; b < len(src)/block; b++ {
		s := (*[block]byte)(src[b*block:])
		dst.halfAt(b, s[:])
		out := dst.block(b)
		for j := range 8 {
			le.PutUint32(out[64*j:], le.Uint32(s[2+4*j:])^0x80808080)
		}
	}
}

// nibbles stores the 16 bytes of a block's quants. Their low halves are values
// 0-15 of the block, their high halves values 16-31, and the plane keeps it so.
func nibbles(out []byte, s *[16]byte) {
	_ = out[195]
	le.PutUint32(out, le.Uint32(s[0:]))
	le.PutUint32(out[64:], le.Uint32(s[4:]))
	le.PutUint32(out[128:], le.Uint32(s[8:]))
	le.PutUint32(out[192:], le.Uint32(s[12:]))
}

func packQ4_0(dst groupRow, src []byte) {
	const block = 18
	for b := 0; b < len(src)/block; b++ {
		s := (*[block]byte)(src[b*block:])
		dst.halfAt(b, s[:])
		nibbles(dst.block(b), (*[16]byte)(s[2:]))
	}
}

func packQ4_1(dst groupRow, src []byte) {
	const block = 20
	for b := 0; b < len(src)/block; b++ {
		s := (*[block]byte)(src[b*block:])
		dst.halfAt(2*b, s[:])
		dst.halfAt(2*b+1, s[2:])
		nibbles(dst.block(b), (*[16]byte)(s[4:]))
	}
}

// spread moves bit t of a nibble to byte t, so that bits 0-3 of an index fill
// bit 0 of the four bytes and bits 4-7 fill bit 1.
var spread = func() (tab [256]uint32) {
	for i := range tab {
		for t := range 8 {
			tab[i] |= uint32(i>>t&1) << (8*(t%4) + t/4)
		}
	}
	return
}()

// fifthBits turns a mask with bit k for value k into a row of the bits plane.
func fifthBits(s []byte) uint32 {
	return spread[s[0]] | spread[s[1]]<<2 | spread[s[2]]<<4 | spread[s[3]]<<6
}

func packQ5_0(dst groupRow, src []byte) {
	const block = 22
	for b := 0; b < len(src)/block; b++ {
		s := (*[block]byte)(src[b*block:])
		dst.halfAt(b, s[:])
		out := dst.block(b)
		nibbles(out, (*[16]byte)(s[6:]))
		le.PutUint32(out[4*planeBytes:], fifthBits(s[2:6]))
	}
}

func packQ5_1(dst groupRow, src []byte) {
	const block = 24
	for b := 0; b < len(src)/block; b++ {
		s := (*[block]byte)(src[b*block:])
		dst.halfAt(2*b, s[:])
		dst.halfAt(2*b+1, s[2:])
		out := dst.block(b)
		nibbles(out, (*[16]byte)(s[8:]))
		le.PutUint32(out[4*planeBytes:], fifthBits(s[4:8]))
	}
}

// packMXFP4 stores the exponents less 1, so that they are the exponents of the
// factors as float32. Of the two smallest it makes 0, and so zeros of weights
// below 2^-123, which no product could tell from zeros.
func packMXFP4(dst groupRow, src []byte) {
	const block = 17
	for b := 0; b < len(src)/block; b++ {
		s := (*[block]byte)(src[b*block:])
		dst.unit(b)[dst.r] = max(s[0], 1) - 1
		nibbles(dst.block(b), (*[16]byte)(s[1:]))
	}
}

func packIQ4_XS(dst groupRow, src []byte) {
	const block = 136
	for u := 0; u < len(src)/block; u++ {
		s := (*[block]byte)(src[u*block:])
		iq4Scales(dst, u, (*[8]byte)(s[:]))
		for i := range 8 {
			nibbles(dst.block(8*u+i), (*[16]byte)(s[8+16*i:]))
		}
	}
}

// iq4Scales writes d and the eight scale bytes.
func iq4Scales(dst groupRow, u int, s *[8]byte) {
	out := dst.unit(u)
	le.PutUint16(out[2*dst.r:], le.Uint16(s[:]))
	high := le.Uint16(s[2:])
	for i := range 8 {
		low := s[4+i/2] >> (4 * (i % 2)) & 15
		out[halfRow+byteRow*i+dst.r] = low | byte(high>>(2*i)&3)<<4 - 32
	}
}
