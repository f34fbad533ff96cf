package quant

import "math"

// F16ToF32 widens an IEEE 754 half. Every half is exact as a float32.
func F16ToF32(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	magnitude := uint32(h & 0x7fff)
	switch {
	case magnitude < 0x0400: // zero and subnormals: multiples of 2^-24
		return math.Float32frombits(sign | math.Float32bits(float32(magnitude)*0x1p-24))
	case magnitude >= 0x7c00: // infinity and NaN, payload kept
		return math.Float32frombits(sign | 0x7f800000 | magnitude<<13)
	default: // rebias the exponent from 15 to 127
		return math.Float32frombits(sign | (magnitude<<13 + (127-15)<<23))
	}
}

// F32ToF16 rounds to the nearest half, ties to even. What is too large becomes
// infinity, what is too small a subnormal or zero; NaN stays NaN.
func F32ToF16(f float32) uint16 {
	bits := math.Float32bits(f)
	sign := uint16(bits >> 16 & 0x8000)
	bits &= 0x7fffffff
	switch {
	case bits > 0x7f800000: // quiet NaN with the upper payload bits
		return sign | 0x7e00 | uint16(bits>>13&0x01ff)
	case bits >= 0x47800000: // 65536 and above
		return sign | 0x7c00
	case bits < 0x38800000: // below 2^-14: adding 0.5 leaves units of 2^-24 in the mantissa, rounded by the FPU
		return sign | uint16(math.Float32bits(math.Float32frombits(bits)+0.5)-math.Float32bits(0.5))
	default: // a carry out of the mantissa rightly moves to the next exponent, 65520 to infinity
		bits += 0x0fff + bits>>13&1
		return sign | uint16((bits-(127-15)<<23)>>13)
	}
}

// BF16ToF32 widens a bfloat16, which is the upper half of a float32.
func BF16ToF32(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// F32ToBF16 rounds to the nearest bfloat16, ties to even; NaN stays NaN.
func F32ToBF16(f float32) uint16 {
	bits := math.Float32bits(f)
	if bits&0x7fffffff > 0x7f800000 {
		return uint16(bits>>16) | 0x0040
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
