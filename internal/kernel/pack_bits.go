package kernel

// Packers of the formats with one or two bits for a value, or three levels. Of the
// latter, a code 0 to 3 stands for -1 to 2. Its complement is stored, with the
// factor's sign changed: it stands for -2 to 1, which are those of an offset of 2.

const signBit = 0x8000 // of a float16

// negativeHalfAt is halfAt with the other sign.
func (g groupRow) negativeHalfAt(i int, src []byte) {
	le.PutUint16(g.scales[halfRow*i+2*g.r:], le.Uint16(src)^signBit)
}

// complements stores a block of pairs.
func complements(out []byte, v0, v1 uint32) {
	le.PutUint32(out, ^v0)
	le.PutUint32(out[64:], ^v1)
}

func packTQ2_0(dst groupRow, src []byte) {
	const block = 66
	for u := 0; u < len(src)/block; u++ {
		s := (*[block]byte)(src[u*block:])
		dst.negativeHalfAt(u, s[64:])
		for b := range 8 {
			v0, v1 := pairPlane((*[32]byte)(s[32*(b/4):]), b%4)
			complements(dst.block(8*u+b), v0, v1)
		}
	}
}

// trits are the five ternary digits of a byte of TQ1_0, two bits each.
var trits = func() (tab [256]uint16) {
	for i := range tab {
		for k, rest := 0, byte(i); k < 5; k, rest = k+1, rest*3 {
			tab[i] |= uint16(rest) * 3 >> 8 << (2 * k)
		}
	}
	return
}()

// fourTrits are the digits of four bytes, a byte each: the first four digits two
// bits each in low, the fifth in high.
func fourTrits(q []byte) (low, high uint32) {
	for i, b := range q {
		t := uint32(trits[b])
		low |= t & 255 << (8 * i)
		high |= t >> 8 << (8 * i)
	}
	return low, high
}

// packTQ1_0 makes the codes of TQ2_0 of the digits.
func packTQ1_0(dst groupRow, src []byte) {
	const block = 54
	for u := 0; u < len(src)/block; u++ {
		s := (*[block]byte)(src[u*block:])
		dst.negativeHalfAt(u, s[52:])
		var fours [64]uint32 // codes of values 4j to 4j+3
		for i := range 12 {
			first, step := i, 8 // of 32 bytes, and then of 16
			if i >= 8 {
				first, step = 32+i, 4
			}
			low, high := fourTrits(s[4*i:][:4])
			for k := range 4 {
				fours[first+k*step] = low >> (2 * k) & low2
			}
			fours[first+4*step] = high
		}
		low, _ := fourTrits(s[48:52])
		for k := range 4 {
			fours[60+k] = low >> (2 * k) & low2
		}
		for b := range 8 {
			f := (*[8]uint32)(fours[8*b:])
			complements(dst.block(8*u+b), f[0]|f[1]<<2|f[2]<<4|f[3]<<6, f[4]|f[5]<<2|f[6]<<4|f[7]<<6)
		}
	}
}

func packQ2_0(dst groupRow, src []byte) {
	const block = 18
	for u := 0; u < len(src)/block; u++ {
		s := (*[block]byte)(src[u*block:])
		dst.negativeHalfAt(u, s[:])
		for b := range 2 {
			q := (*[8]byte)(s[2+8*b:])
			complements(dst.block(2*u+b), fourPairs(q[:4]), fourPairs(q[4:]))
		}
	}
}

// fourPairs moves pair t of byte f to bits 2f and 2f+1 of byte t.
func fourPairs(q []byte) (v uint32) {
	for f, b := range q {
		x := uint32(b)
		v |= (x | x<<6 | x<<12 | x<<18) & low2 << (2 * f)
	}
	return v
}

func packQ1_0(dst groupRow, src []byte) {
	const block = 18
	for u := 0; u < len(src)/block; u++ {
		s := (*[block]byte)(src[u*block:])
		dst.halfAt(u, s[:])
		for b := range 4 {
			le.PutUint32(dst.block(4*u+b), fifthBits(s[2+4*b:][:4]))
		}
	}
}
