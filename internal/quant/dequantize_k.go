package quant

import "encoding/binary"

// The K formats split a super-block of 256 elements into sub-blocks of 16 or 32.
// Each sub-block has a small integer as its scale, and in some formats another as
// its minimum; the super-block has one or two float16 factors that they are
// multiplied by. Below, sub-block s is elements [16s, 16s+16) or [32s, 32s+32).

// Q2_K: scales [16]byte (scale low, minimum high nibble), q [64]byte,
// d, dmin f16; y = d*scale*q - dmin*minimum
func decodeQ2_K(y []float32, b []byte) {
	scales, q := b[:16], b[16:80]
	d, dmin := half(b[80:]), half(b[82:])
	for s, sc := range scales {
		scale, minimum := d*float32(sc&15), dmin*float32(sc>>4)
		q, shift := q[s/8*32+s%2*16:][:16], s%8/2*2
		y := y[16*s:][:16]
		for i := range y {
			y[i] = float32(scale*float32(q[i]>>shift&3)) - minimum
		}
	}
}

// Q3_K: high bits [32]byte, q [64]byte, scales [12]byte (see scaleQ3_K),
// d f16; y = d*(scale-32)*(q-4)
func decodeQ3_K(y []float32, b []byte) {
	high, q, scales, d := b[:32], b[32:96], b[96:108], half(b[108:])
	for s := range 16 {
		scale := d * float32(scaleQ3_K(scales, s)-32)
		q, shift := q[s/8*32+s%2*16:][:16], s%8/2*2
		high, bit := high[s%2*16:][:16], s/2
		y := y[16*s:][:16]
		for i := range y {
			y[i] = scale * float32(int(q[i]>>shift&3|high[i]>>bit&1<<2)-4)
		}
	}
}

// scaleQ3_K unpacks the 6-bit scale of sub-block s: 4 low bits in the nibbles
// of bytes 0-7, 2 high bits in bytes 8-11.
func scaleQ3_K(scales []byte, s int) int {
	return int(scales[s%8]>>(s/8*4)&15 | scales[8+s%4]>>(s/4*2)&3<<4)
}

// Q4_K: d, dmin f16, scales [12]byte (see scaleMinK), q [128]byte;
// y = d*scale*q - dmin*minimum
func decodeQ4_K(y []float32, b []byte) {
	d, dmin, scales, q := half(b), half(b[2:]), b[4:16], b[16:144]
	for s := range 8 {
		sc, mn := scaleMinK(scales, s)
		scale, minimum := d*float32(sc), dmin*float32(mn)
		q, shift := q[s/2*32:][:32], s%2*4
		y := y[32*s:][:32]
		for i := range y {
			y[i] = float32(scale*float32(q[i]>>shift&15)) - minimum
		}
	}
}

// Q5_K: d, dmin f16, scales [12]byte, high bits [32]byte (bit s of byte i
// belongs to element i of sub-block s), q [128]byte; y = d*scale*q - dmin*minimum
func decodeQ5_K(y []float32, b []byte) {
	d, dmin, scales, high, q := half(b), half(b[2:]), b[4:16], b[16:48], b[48:176]
	for s := range 8 {
		sc, mn := scaleMinK(scales, s)
		scale, minimum := d*float32(sc), dmin*float32(mn)
		q, shift := q[s/2*32:][:32], s%2*4
		y := y[32*s:][:32]
		for i := range y {
			y[i] = float32(scale*float32(q[i]>>shift&15|high[i]>>s&1<<4)) - minimum
		}
	}
}

// scaleMinK unpacks the 6-bit scale and minimum of sub-block s of Q4_K and
// Q5_K. Those of the first four lie in bytes 0-3 and 4-7; the other four have
// their low nibbles in bytes 8-11 and their upper two bits above the first four.
func scaleMinK(scales []byte, s int) (scale, minimum byte) {
	if s < 4 {
		return scales[s] & 63, scales[s+4] & 63
	}
	return scales[s+4]&15 | scales[s-4]>>6<<4, scales[s+4]>>4 | scales[s]>>6<<4
}

// Q6_K: q low nibbles [128]byte, high bits [64]byte, scales [16]int8, d f16;
// y = d*scale*(q-32)
func decodeQ6_K(y []float32, b []byte) {
	low, high, scales, d := b[:128], b[128:192], b[192:208], half(b[208:])
	for s, sc := range scales {
		scale := d * float32(int8(sc))
		quarter := s % 8 / 2 // of a run of 128 elements
		low, lowShift := low[s/8*64+quarter%2*32+s%2*16:][:16], quarter/2*4
		high, highShift := high[s/8*32+s%2*16:][:16], quarter*2
		y := y[16*s:][:16]
		for i := range y {
			y[i] = scale * float32(int(low[i]>>lowShift&15|high[i]>>highShift&3<<4)-32)
		}
	}
}

// IQ4_XS: d f16, high scale bits uint16, low scale nibbles [4]byte,
// q [128]byte; y = d*(scale-32)*level(q)
func decodeIQ4_XS(y []float32, b []byte) {
	d, high, low, q := half(b), binary.LittleEndian.Uint16(b[2:]), b[4:8], b[8:136]
	for s := range 8 {
		sc := int(low[s/2]>>(s%2*4)&15) | int(high>>(2*s)&3)<<4
		scale := d * float32(sc-32)
		y := y[32*s:][:32]
		for i, v := range q[16*s:][:16] {
			y[i] = scale * float32(iq4Values[v&15])
			y[i+16] = scale * float32(iq4Values[v>>4])
		}
	}
}
