package kernel

import (
	"math"

	"github.com/penstock-llm/penstock/internal/quant"
)

// The unpack functions turn the quants of one block of a group into bytes; pack.go
// describes the planes. The expand functions compute the factors of block i of a
// unit. Both are called through function variables. They return their results by
// value, because a buffer passed by address to such a call would be allocated.

const (
	eachLow4 = 0x0f0f0f0f0f0f0f0f
	eachLow2 = 0x0303030303030303
	eachLow1 = 0x0101010101010101
)

func unpackBytes(q []byte) (u unpacked) {
	for i := range u {
		u[i] = le.Uint64(q[8*i:])
	}
	return u
}

func unpackNibbles(q []byte) (u unpacked) {
	for i := range 32 {
		v := le.Uint64(q[8*i:])
		u[i] = v & eachLow4
		u[32+i] = v >> 4 & eachLow4
	}
	return u
}

func unpackFive(q []byte) (u unpacked) {
	u = unpackNibbles(q)
	addBits(&u, q[4*planeBytes:], 4)
	return u
}

// addBits puts a plane of bits at the given position of the values.
func addBits(dst *unpacked, plane []byte, at int) {
	for i := range 8 {
		v := le.Uint64(plane[8*i:])
		for j := range 8 {
			dst[8*j+i] |= v >> j & eachLow1 << at
		}
	}
}

// addPairs puts a plane of pairs at the given position of the values.
func addPairs(dst *unpacked, plane []byte, at int) {
	for i := range 16 {
		v := le.Uint64(plane[8*i:])
		for f := range 4 {
			dst[8*(i/8*4+f)+i%8] |= v >> (2 * f) & eachLow2 << at
		}
	}
}

func unpackSix(q []byte) (u unpacked) {
	u = unpackNibbles(q)
	addPairs(&u, q[4*planeBytes:], 4)
	return u
}

func unpackThree(q []byte) (u unpacked) {
	addPairs(&u, q, 0)
	addBits(&u, q[2*planeBytes:], 2)
	return u
}

func unpackTwo(q []byte) (u unpacked) {
	addPairs(&u, q, 0)
	return u
}

// iq4Levels are the levels of IQ4_NL and IQ4_XS plus 128.
var iq4Levels = [16]byte{1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241}

// mxfp4Levels are those of MXFP4 plus 128.
var mxfp4Levels = [16]byte{128, 129, 130, 131, 132, 134, 136, 140, 128, 127, 126, 125, 124, 122, 120, 116}

func unpackIQ4(q []byte) unpacked   { return lookUp(&iq4Levels, unpackNibbles(q)) }
func unpackMXFP4(q []byte) unpacked { return lookUp(&mxfp4Levels, unpackNibbles(q)) }

// iq2Levels are those of the IQ2 formats plus 128, the negative ones from 4 on.
var iq2Levels = [16]byte{136, 153, 171, 0, 120, 103, 85}

// iq3Levels are those of IQ3_XXS plus 128, in order.
var iq3Levels = [16]byte{66, 76, 84, 92, 100, 108, 116, 124, 132, 140, 148, 156, 164, 172, 180, 190}

func unpackIQ2(q []byte) unpacked     { return lookUp(&iq2Levels, unpackThree(q)) }
func unpackIQ3_XXS(q []byte) unpacked { return lookUp(&iq3Levels, unpackNibbles(q)) }

// unpackOddNibbles makes 2q+1 of q.
func unpackOddNibbles(q []byte) unpacked {
	u := unpackNibbles(q)
	for i := range u {
		u[i] = u[i]<<1 | eachLow1
	}
	return u
}

// unpackOddBits makes 3 of a bit that is set, and 1 of another.
func unpackOddBits(q []byte) (u unpacked) {
	addBits(&u, q, 1)
	for i := range u {
		u[i] |= eachLow1
	}
	return u
}

// lookUp replaces codes by their levels.
func lookUp(levels *[16]byte, u unpacked) unpacked {
	for i, codes := range u {
		var v uint64
		for t := range 8 {
			v |= uint64(levels[codes>>(8*t)&15]) << (8 * t)
		}
		u[i] = v
	}
	return u
}

// halfFactor is the i-th float16 factor of row r in a unit of the scales.
func halfFactor(s []byte, i, r int) float32 { return quant.F16ToF32(le.Uint16(s[halfRow*i+2*r:])) }

// byteFactor is the i-th byte factor of row r, in a unit that begins with so many
// float16 factors.
func byteFactor(s []byte, halves, i, r int) byte { return s[halfRow*halves+byteRow*i+r] }

func expandD(s []byte, _ int) (f blockScales) {
	for r := range Lanes {
		f.d[0][r] = halfFactor(s, 0, r)
	}
	return f
}

func expandExponent(s []byte, _ int) (f blockScales) {
	for r := range Lanes {
		f.d[0][r] = math.Float32frombits(uint32(byteFactor(s, 0, 0, r)) << 23)
	}
	return f
}

func expandDM(s []byte, _ int) (f blockScales) {
	for r := range Lanes {
		f.d[0][r] = halfFactor(s, 0, r)
		f.m[0][r] = halfFactor(s, 1, r)
	}
	return f
}

func expandIQ4_XS(s []byte, i int) (f blockScales) {
	for r := range Lanes {
		f.d[0][r] = halfFactor(s, 0, r) * float32(int8(byteFactor(s, 1, i, r)))
	}
	return f
}

func expandIQ2_XXS(s []byte, i int) blockScales { return expandDivided(s, i, 8) }
func expandIQ3_XXS(s []byte, i int) blockScales { return expandDivided(s, i, 4) }

// expandDivided is expandIQ4_XS with a float16 factor that is to be divided.
func expandDivided(s []byte, i int, by float32) (f blockScales) {
	for r := range Lanes {
		f.d[0][r] = halfFactor(s, 0, r) / by * float32(byteFactor(s, 1, i, r))
	}
	return f
}

// expandIQ2_XS has a nibble for either half of a block.
func expandIQ2_XS(s []byte, i int) (f blockScales) {
	for r := range Lanes {
		d, v := halfFactor(s, 0, r)/4, byteFactor(s, 1, i, r)
		f.d[0][r] = d * (float32(v&15) + 0.5)
		f.d[1][r] = d * (float32(v>>4) + 0.5)
	}
	return f
}

func expandQ4_K(s []byte, i int) (f blockScales) {
	for r := range Lanes {
		f.d[0][r] = halfFactor(s, 0, r) * float32(byteFactor(s, 2, 2*i, r))
		f.m[0][r] = -halfFactor(s, 1, r) * float32(byteFactor(s, 2, 2*i+1, r))
	}
	return f
}

func expandQ6_K(s []byte, i int) (f blockScales) {
	for r := range Lanes {
		d := halfFactor(s, 0, r)
		f.d[0][r] = d * float32(int8(byteFactor(s, 1, 2*i, r)))
		f.d[1][r] = d * float32(int8(byteFactor(s, 1, 2*i+1, r)))
	}
	return f
}

func expandQ2_K(s []byte, i int) (f blockScales) {
	for r := range Lanes {
		d, m := halfFactor(s, 0, r), halfFactor(s, 1, r)/128
		for h := range 2 {
			v := byteFactor(s, 2, 2*i+h, r)
			f.d[h][r] = d * float32(v&15)
			f.m[h][r] = m * float32(v>>4)
		}
	}
	return f
}
