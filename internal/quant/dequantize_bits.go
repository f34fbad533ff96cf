package quant

// The formats with one or two bits for a value, or with three levels.

// Q1_0: d f16, q [16]byte, value i in bit i%8 of byte i/8; y = ±d
func decodeQ1_0(y []float32, b []byte) {
	d, q := half(b), b[2:18]
	for i := range y {
		if q[i/8]>>(i%8)&1 != 0 {
			y[i] = d
		} else {
			y[i] = -d
		}
	}
}

// Q2_0: d f16, q [16]byte, value i in bits from i%4*2 of byte i/4; y = d*(q-1)
func decodeQ2_0(y []float32, b []byte) {
	d, q := half(b), b[2:18]
	for i := range y {
		y[i] = d * float32(int(q[i/4]>>(i%4*2)&3)-1)
	}
}

// TQ2_0: q [64]byte, d f16; y = d*(q-1). Value 32k+i of either half is in bits 2k
// and 2k+1 of byte i.
func decodeTQ2_0(y []float32, b []byte) {
	q, d := b[:64], half(b[64:])
	for i := range y {
		y[i] = d * float32(int(q[i/128*32+i%32]>>(i/32%4*2)&3)-1)
	}
}

// TQ1_0: q [52]byte, d f16; y = d*(q-1). A byte is the fraction of 256 that five
// ternary digits are of 3^5, rounded up: multiplied by 3, each digit in turn moves
// above its eight bits. Digit k of bytes 0-31 is of values 32k to 32k+31, of bytes
// 32-47 of 160+16k and on, and of the last four bytes, with four digits, of 240+4k.
func decodeTQ1_0(y []float32, b []byte) {
	d := half(b[52:])
	for i := range y {
		at, power := trit(i)
		y[i] = d * float32(int(uint16(b[at]*power)*3>>8)-1)
	}
}

// trit is the byte of value i of a TQ1_0 block, and the power of 3 that moves its
// digit to the top.
func trit(i int) (at int, power byte) {
	powers := [...]byte{1, 3, 9, 27, 81}
	switch {
	case i < 160:
		return i % 32, powers[i/32]
	case i < 240:
		return 32 + i%16, powers[(i-160)/16]
	default:
		return 48 + i%4, powers[(i-240)/4]
	}
}
