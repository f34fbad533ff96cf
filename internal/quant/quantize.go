package quant

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Quantize writes src to dst as whole blocks of type t. The 32-element formats
// from Q4_0 to Q8_0 round as ggml does; the K formats and IQ4 minimise the
// squared error of each sub-block, where ggml may choose other scales.
func Quantize(t Type, dst []byte, src []float32) error { return QuantizeRows(t, dst, src, nil) }

// QuantizeRows is Quantize for rows whose columns matter differently: an error in column
// i counts importance[i] times, squared. A row is as long as importance; nil: all columns
// are alike. F32 to BF16, Q8_0, MXFP4 and Q1_0 round the same either way.
func QuantizeRows(t Type, dst []byte, src, importance []float32) error {
	if err := checkLengths(t, len(src), len(dst)); err != nil {
		return err
	}
	encode := encoder(t)
	if encode == nil {
		return fmt.Errorf("quantising to %v is not supported", t)
	}
	size, bytes := t.BlockSize(), t.BlockBytes()
	if size == 1 { // plain numbers are encoded in one call
		encode(dst, src, nil)
		return nil
	}
	if n := len(importance); n > 0 && (len(src)%n != 0 || n%size != 0) {
		return fmt.Errorf("%d weights of columns for %d elements in blocks of %d", n, len(src), size)
	}
	for at := 0; len(src) > 0; at += size {
		var w []float32
		if n := len(importance); n > 0 {
			w = usable(importance[at%n:][:size])
		}
		encode(dst[:bytes], src[:size], w)
		dst, src = dst[bytes:], src[size:]
	}
	return nil
}

// usable is w, or nil if it says nothing about the columns of a block.
func usable(w []float32) []float32 {
	var sum float32
	for _, v := range w {
		if !(v >= 0) {
			return nil
		}
		sum += v
	}
	if !(sum > 0) || sum-sum != 0 {
		return nil
	}
	return w
}

// ones are the weights of columns that are alike.
var ones = func() (w [256]float32) {
	for i := range w {
		w[i] = 1
	}
	return w
}()

// orOnes is w, or weights of 1 for as many as n columns.
func orOnes(w []float32, n int) []float32 {
	if w == nil {
		return ones[:n]
	}
	return w
}

// Targets are the types that Quantize writes.
func Targets() []Type {
	var types []Type
	for t := range layouts {
		if encoder(Type(t)) != nil {
			types = append(types, Type(t))
		}
	}
	return types
}

// encoders encode x as one block b of a type, the inverse of decoders. w are the weights
// of the columns; nil: all are alike. They write every byte of b. Types without one are not written by Quantize.
var encoders = [...]func(b []byte, x, w []float32){
	F32:     encodeF32,
	F16:     encodeF16,
	BF16:    encodeBF16,
	Q4_0:    encodeQ4_0,
	Q4_1:    encodeQ4_1,
	Q5_0:    encodeQ5_0,
	Q5_1:    encodeQ5_1,
	Q8_0:    encodeQ8_0,
	Q2_K:    encodeQ2_K,
	Q3_K:    encodeQ3_K,
	Q4_K:    encodeQ4_K,
	Q5_K:    encodeQ5_K,
	Q6_K:    encodeQ6_K,
	IQ4_NL:  encodeIQ4_NL,
	IQ4_XS:  encodeIQ4_XS,
	MXFP4:   encodeMXFP4,
	IQ2_XXS: grids[IQ2_XXS].encoder(),
	IQ2_XS:  grids[IQ2_XS].encoder(),
	IQ2_S:   grids[IQ2_S].encoder(),
	IQ3_XXS: grids[IQ3_XXS].encoder(),
	IQ3_S:   grids[IQ3_S].encoder(),
	TQ1_0:   encodeTQ1_0,
	TQ2_0:   encodeTQ2_0,
	Q1_0:    encodeQ1_0,
	Q2_0:    encodeQ2_0,
}

// encoder is nil for types that Quantize does not write.
func encoder(t Type) func(b []byte, x, w []float32) {
	if int(t) >= len(encoders) {
		return nil
	}
	return encoders[t]
}

func encodeF32(b []byte, x, _ []float32) {
	for i, v := range x {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
	}
}

func encodeF16(b []byte, x, _ []float32) {
	for i, v := range x {
		putHalf(b[2*i:], v)
	}
}

func encodeBF16(b []byte, x, _ []float32) {
	for i, v := range x {
		binary.LittleEndian.PutUint16(b[2*i:], F32ToBF16(v))
	}
}

// putHalf writes v to the start of b as F16 and returns what a reader will get.
func putHalf(b []byte, v float32) float32 {
	h := F32ToF16(v)
	binary.LittleEndian.PutUint16(b, h)
	return F16ToF32(h)
}

func encodeQ4_0(b []byte, x, w []float32) {
	d := extreme(x) / -8
	if w != nil {
		d = fitSymmetric(x, w, 8)
	}
	d = rounded(b, d, w)
	inv := inverse(d)
	for i := range 16 {
		b[2+i] = truncate(x[i], inv, 8.5, 15) | truncate(x[i+16], inv, 8.5, 15)<<4
	}
}

func encodeQ4_1(b []byte, x, w []float32) {
	lo, hi := bounds(x)
	d := (hi - lo) / 15
	if w != nil {
		d, lo = fitOffset(x, w, 15)
	}
	d, lo = rounded(b, d, w), rounded(b[2:], lo, w)
	inv := inverse(d)
	for i := range 16 {
		b[4+i] = truncate(x[i]-lo, inv, 0.5, 15) | truncate(x[i+16]-lo, inv, 0.5, 15)<<4
	}
}

func encodeQ5_0(b []byte, x, w []float32) {
	d := extreme(x) / -16
	if w != nil {
		d = fitSymmetric(x, w, 16)
	}
	d = rounded(b, d, w)
	inv := inverse(d)
	var high uint32
	for i := range 16 {
		q0, q1 := truncate(x[i], inv, 16.5, 31), truncate(x[i+16], inv, 16.5, 31)
		b[6+i] = q0&15 | q1&15<<4
		high |= uint32(q0>>4)<<i | uint32(q1>>4)<<(i+16)
	}
	binary.LittleEndian.PutUint32(b[2:], high)
}

func encodeQ5_1(b []byte, x, w []float32) {
	lo, hi := bounds(x)
	d := (hi - lo) / 31
	if w != nil {
		d, lo = fitOffset(x, w, 31)
	}
	d, lo = rounded(b, d, w), rounded(b[2:], lo, w)
	inv := inverse(d)
	var high uint32
	for i := range 16 {
		q0, q1 := truncate(x[i]-lo, inv, 0.5, 31), truncate(x[i+16]-lo, inv, 0.5, 31)
		b[8+i] = q0&15 | q1&15<<4
		high |= uint32(q0>>4)<<i | uint32(q1>>4)<<(i+16)
	}
	binary.LittleEndian.PutUint32(b[4:], high)
}

func encodeQ8_0(b []byte, x, _ []float32) {
	d := max(extreme(x), -extreme(x)) / 127
	putHalf(b, d)
	inv := inverse(d)
	for i, v := range x {
		b[2+i] = byte(nearest(v*inv, -127, 127))
	}
}

func encodeIQ4_NL(b []byte, x, w []float32) {
	d := putHalf(b, fitLevels(x, orOnes(w, 32)))
	for i := range 16 {
		b[2+i] = nearestLevel(x[i], d) | nearestLevel(x[i+16], d)<<4
	}
}

// The exponent leaves the largest magnitude between 4 and 8, of which the format
// has 4 and 6: what is above 6 is cut. ggml chooses the same.
func encodeMXFP4(b []byte, x, _ []float32) {
	peak := max(extreme(x), -extreme(x))
	e := 0
	if peak > 0 {
		_, power := math.Frexp(float64(peak)) // peak < 2^power
		e = min(max(power-3+127, 0), 255)
	}
	b[0] = byte(e)
	inv := 1 / float64(mxfp4Scale(b[0]))
	for i := range 16 {
		b[1+i] = nearestMXFP4(float64(x[i])*inv) | nearestMXFP4(float64(x[i+16])*inv)<<4
	}
}

// nearestMXFP4 is the code of the level nearest to v, the smaller at a tie.
func nearestMXFP4(v float64) byte {
	best, distance := byte(0), math.Inf(1)
	for code, level := range mxfp4Levels {
		if d := math.Abs(v - float64(level)); d < distance {
			best, distance = byte(code), d
		}
	}
	return best
}

// extreme is the element furthest from zero, with its sign.
func extreme(x []float32) float32 {
	var e float32
	for _, v := range x {
		if max(v, -v) > max(e, -e) {
			e = v
		}
	}
	return e
}

func bounds(x []float32) (lo, hi float32) {
	lo, hi = x[0], x[0]
	for _, v := range x[1:] {
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, hi
}

// inverse is 1/d, or 0 so that a block of zeros quantises to zeros.
func inverse(d float32) float32 {
	if d == 0 {
		return 0
	}
	return 1 / d
}

// rounded writes v to the start of b as F16. With weights of columns it returns what a
// reader will get, for the integers to be chosen by; without, v itself, as ggml has it.
func rounded(b []byte, v float32, w []float32) float32 {
	if h := putHalf(b, v); w != nil {
		return h
	}
	return v
}

// truncate returns v*inv + bias without its fraction, within 0 and limit. It computes
// in float64, where the product of two float32 is exact, so the result is the same on
// every machine.
func truncate(v, inv float32, bias float64, limit int) byte {
	return byte(max(min(int(float64(v)*float64(inv)+bias), limit), 0))
}

// nearest rounds to the nearest integer, half away from zero, within [lo, hi].
func nearest(v float32, lo, hi int) int {
	return min(max(int(math.Round(float64(v))), lo), hi)
}
