package quant

// Q1_0 keeps the signs; the magnitude with the least squared error is the mean.
func encodeQ1_0(b []byte, x, _ []float32) {
	clear(b)
	var sum float32
	for i, v := range x {
		sum += max(v, -v)
		if v >= 0 {
			b[2+i/8] |= 1 << (i % 8)
		}
	}
	putHalf(b, sum/float32(len(x)))
}

func encodeQ2_0(b []byte, x, w []float32) {
	clear(b)
	d := putHalf(b, -fitSymmetric(x, orOnes(w, len(x)), 2))
	inv := inverse(d)
	for i, v := range x {
		b[2+i/4] |= byte(nearest(v*inv, -1, 2)+1) << (i % 4 * 2)
	}
}

// ternary fits the scale of levels -1, 0 and 1, writes it to dst, and returns what
// rounds a value to a digit 0, 1 or 2.
func ternary(dst []byte, x, w []float32) func(v float32) byte {
	digit := func(v, inv float32) float32 { return float32(nearest(v*inv, -1, 1)) }
	inv := inverse(putHalf(dst, fitScale(x, orOnes(w, len(x)), max(extreme(x), -extreme(x))/2, digit)))
	return func(v float32) byte { return byte(nearest(v*inv, -1, 1) + 1) }
}

func encodeTQ2_0(b []byte, x, w []float32) {
	clear(b)
	digit := ternary(b[64:], x, w)
	for i, v := range x {
		b[i/128*32+i%32] |= digit(v) << (i / 32 % 4 * 2)
	}
}

func encodeTQ1_0(b []byte, x, w []float32) {
	digit := ternary(b[52:], x, w)
	var sums [52]int // of digits times 3^4 for the first to 3^0 for the fifth
	for i, v := range x {
		at, power := trit(i)
		sums[at] += int(digit(v)) * 81 / int(power)
	}
	for i, sum := range sums {
		b[i] = byte((sum*256 + 242) / 243)
	}
}
