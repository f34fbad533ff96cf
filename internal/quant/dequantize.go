package quant

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Dequantize writes the values of src, whole blocks of type t, to dst. Each
// product is rounded to float32 before it is added, as in ggml. Without that, a
// machine with fused multiply-add would give other results.
func Dequantize(t Type, dst []float32, src []byte) error {
	if err := checkLengths(t, len(dst), len(src)); err != nil {
		return err
	}
	decode := decoder(t)
	if decode == nil {
		return fmt.Errorf("dequantising %v is not supported", t)
	}
	size, bytes := t.BlockSize(), t.BlockBytes()
	if size == 1 { // plain numbers are decoded in one call
		decode(dst, src)
		return nil
	}
	for len(dst) > 0 {
		decode(dst[:size], src[:bytes])
		dst, src = dst[size:], src[bytes:]
	}
	return nil
}

// decoders decode one block b of a type to y. For types whose blocks are single
// elements, they decode any number of them. Types without one are not supported.
var decoders = [...]func(y []float32, b []byte){
	F32:     decodeF32,
	F16:     decodeF16,
	BF16:    decodeBF16,
	Q4_0:    decodeQ4_0,
	Q4_1:    decodeQ4_1,
	Q5_0:    decodeQ5_0,
	Q5_1:    decodeQ5_1,
	Q8_0:    decodeQ8_0,
	Q2_K:    decodeQ2_K,
	Q3_K:    decodeQ3_K,
	Q4_K:    decodeQ4_K,
	Q5_K:    decodeQ5_K,
	Q6_K:    decodeQ6_K,
	IQ4_NL:  decodeIQ4_NL,
	IQ4_XS:  decodeIQ4_XS,
	MXFP4:   decodeMXFP4,
	IQ2_XXS: grids[IQ2_XXS].decode,
	IQ2_XS:  grids[IQ2_XS].decode,
	IQ2_S:   grids[IQ2_S].decode,
	IQ3_XXS: grids[IQ3_XXS].decode,
	IQ3_S:   grids[IQ3_S].decode,
	TQ1_0:   decodeTQ1_0,
	TQ2_0:   decodeTQ2_0,
	Q1_0:    decodeQ1_0,
	Q2_0:    decodeQ2_0,
}

// decoder is nil for types that are not supported.
func decoder(t Type) func(y []float32, b []byte) {
	if int(t) >= len(decoders) {
		return nil
	}
	return decoders[t]
}

func decodeF32(y []float32, b []byte) {
	for i := range y {
		y[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
}

func decodeF16(y []float32, b []byte) {
	for i := range y {
		y[i] = half(b[2*i:])
	}
}

func decodeBF16(y []float32, b []byte) {
	for i := range y {
		y[i] = BF16ToF32(binary.LittleEndian.Uint16(b[2*i:]))
	}
}

// half reads the little-endian F16 at the start of b.
func half(b []byte) float32 { return F16ToF32(binary.LittleEndian.Uint16(b)) }

// The 32-element formats keep element i in the low nibble of byte i and
// element i+16 in its high nibble.

// Q4_0: d f16, q [16]byte; y = d*(q-8)
func decodeQ4_0(y []float32, b []byte) {
	d, q := half(b), b[2:18]
	for i, v := range q {
		y[i] = d * float32(int(v&15)-8)
		y[i+16] = d * float32(int(v>>4)-8)
	}
}

// Q4_1: d, m f16, q [16]byte; y = d*q + m
func decodeQ4_1(y []float32, b []byte) {
	d, m, q := half(b), half(b[2:]), b[4:20]
	for i, v := range q {
		y[i] = float32(d*float32(v&15)) + m
		y[i+16] = float32(d*float32(v>>4)) + m
	}
}

// Q5_0: d f16, high bits [4]byte, q [16]byte; y = d*(q-16)
func decodeQ5_0(y []float32, b []byte) {
	d, high, q := half(b), binary.LittleEndian.Uint32(b[2:]), b[6:22]
	for i, v := range q {
		y[i] = d * float32(int(uint32(v&15)|high>>i&1<<4)-16)
		y[i+16] = d * float32(int(uint32(v>>4)|high>>(i+16)&1<<4)-16)
	}
}

// Q5_1: d, m f16, high bits [4]byte, q [16]byte; y = d*q + m
func decodeQ5_1(y []float32, b []byte) {
	d, m, high, q := half(b), half(b[2:]), binary.LittleEndian.Uint32(b[4:]), b[8:24]
	for i, v := range q {
		y[i] = float32(d*float32(uint32(v&15)|high>>i&1<<4)) + m
		y[i+16] = float32(d*float32(uint32(v>>4)|high>>(i+16)&1<<4)) + m
	}
}

// Q8_0: d f16, q [32]int8; y = d*q
func decodeQ8_0(y []float32, b []byte) {
	d, q := half(b), b[2:34]
	for i, v := range q {
		y[i] = d * float32(int8(v))
	}
}

// iq4Values are the 16 levels of IQ4_NL and IQ4_XS: denser around zero, where
// weights are.
var iq4Values = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// IQ4_NL: d f16, q [16]byte; y = d*level(q)
func decodeIQ4_NL(y []float32, b []byte) {
	d, q := half(b), b[2:18]
	for i, v := range q {
		y[i] = d * float32(iq4Values[v&15])
		y[i+16] = d * float32(iq4Values[v>>4])
	}
}

// mxfp4Levels are twice the numbers that a sign, two bits of exponent and one of
// mantissa (e2m1) express.
var mxfp4Levels = [16]int8{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

// MXFP4: exponent byte, q [16]byte; y = 2^(exponent-128)*level(q)
func decodeMXFP4(y []float32, b []byte) {
	d, q := mxfp4Scale(b[0]), b[1:17]
	for i, v := range q {
		y[i] = d * float32(mxfp4Levels[v&15])
		y[i+16] = d * float32(mxfp4Levels[v>>4])
	}
}

// mxfp4Scale is 2^(e-128). The two smallest are subnormal.
func mxfp4Scale(e byte) float32 {
	if e < 2 {
		return math.Float32frombits(1 << 21 << e)
	}
	return math.Float32frombits(uint32(e-1) << 23)
}
