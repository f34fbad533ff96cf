package main

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/lanes"
)

// The AVX2 kernels take the 16 rows of a group in two passes of 8. Values stay
// as small as they are, so that VPMADDUBSW can add several products in 16 bits;
// values of 8 bits are multiplied as magnitude and sign.
//
// With AVX-VNNI the same loops have VPDPBUSD, which multiplies values of 8 bits
// without a sign and adds the products in 32 bits: nothing of that is needed.

const avx2Signature = "func(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, width, add int)"

// avx2 emits the loop of one format for one number of columns.
type avx2 struct {
	*asm
	f    *format
	cols int
	vnni bool

	// Sums: float32, int16, int32, and the first half's product. With VPDPBUSD words
	// are a second sum of 32 bits, of odd vectors, so that no product has to wait
	// for the one before it.
	y, words, acc, first []vec
	t, u, v, p           vec
}

var (
	// half8 is 0 or 8: the pass's first row, half the place of its float16
	// scales and a quarter of that of its quants in a vector.
	half8  = reg.R12
	unit   = reg.R13 // start of the unit of the scales
	stride = reg.R14 // bytes of four values, or one field, of all columns
)

// avx2Cols are the numbers of columns that have a loop, largest first.
func (f *format) avx2Cols(vnni bool) []int {
	if f.stream == halves && !vnni {
		return []int{2, 1}
	}
	return []int{4, 2, 1}
}

func avx2Kernel(a *asm, f *format, vnni bool) {
	name := "avx2" + f.name
	if vnni {
		name = "avxVNNI" + f.name
	}
	a.begin(name, avx2Signature, fmt.Sprintf("%s multiplies groups of %s weights.", name, f.name))
	a.param("quants", quants)
	a.param("scales", scales)
	a.param("y", out)
	a.param("groups", groups)
	a.param("ldy", ldy)
	a.SHLQ(operand.Imm(2), ldy)
	a.param("width", stride)
	a.SHLQ(operand.Imm(2), stride)
	a.choose(f.avx2Cols(vnni), func(c int, label string) {
		k := &avx2{asm: a, f: f, cols: c, vnni: vnni}
		k.y, k.words, k.acc = ymm[:c], ymm[c:2*c], ymm[2*c:3*c]
		switch {
		case f.stream == halves && vnni:
			k.words, k.first = nil, k.words
		case f.stream == halves:
			k.first = ymm[3*c : 4*c]
		}
		k.t, k.u, k.v, k.p = ymm[12], ymm[13], ymm[14], ymm[15]
		k.loop(label)
	})
}

func (k *avx2) loop(label string) {
	k.Label(label + "_group")
	k.XORQ(half8, half8)
	k.Label(label + "_pass")
	for _, y := range k.y {
		k.VPXOR(y, y, y)
	}
	k.param("x", xs)
	k.param("fields", fields)
	k.param("blocks", blocks)
	if k.f.blocks > 1 {
		k.SHRQ(k.f.unitShift(), blocks)
		k.Label(label + "_unit")
		k.MOVQ(scales, unit)
		k.ADDQ(operand.Imm(uint64(k.f.header)), scales)
		k.MOVQ(operand.U32(uint32(k.f.blocks)), inUnit)
	}
	k.Label(label + "_block")
	k.block()
	k.nextBlock(k.f, label)
	if k.f.gain > 1 {
		for _, y := range k.y {
			k.VMULPS(k.repeat(math.Float32bits(1/float32(k.f.gain))), y, y)
		}
	}
	k.store(k.y, 0, label+"_store")
	k.ADDQ(operand.Imm(32), out)
	k.XORQ(operand.Imm(8), half8)
	k.JZ(operand.LabelRef(label + "_next"))
	k.rewind()
	k.JMP(operand.LabelRef(label + "_pass"))
	k.Label(label + "_next")
	k.DECQ(groups)
	k.JNZ(operand.LabelRef(label + "_group"))
	k.VZEROUPPER()
	k.RET()
}

// rewind puts the cursors back to the start of the group.
func (k *avx2) rewind() {
	k.param("blocks", blocks)
	k.IMUL3Q(operand.U32(uint32(k.f.quants)), blocks, tmp)
	k.SUBQ(tmp, quants)
	if k.f.blocks > 1 {
		k.SHRQ(k.f.unitShift(), blocks)
	}
	k.IMUL3Q(operand.U32(uint32(k.f.header+k.f.blocks*k.f.scales)), blocks, tmp)
	k.SUBQ(tmp, scales)
}

func (k *avx2) block() {
	for h := range k.f.parts() {
		for c := range k.cols {
			k.start(h, c)
		}
		first, count := h*8/k.f.parts(), 8/k.f.parts()
		for j := first; j < first+count; j++ {
			k.value(j)
			if k.vnni {
				k.dot(j)
			} else {
				k.multiply((j-first)%k.f.run == 0, (j-first)%k.f.run == k.f.run-1 || j == first+count-1)
			}
		}
		for c := range k.cols {
			if k.vnni && k.words != nil {
				k.VPADDD(k.words[c], k.acc[c], k.acc[c])
			}
		}
		for c := range k.cols {
			to := k.acc[c]
			if k.f.stream == halves && h == 0 {
				to = k.first[c]
			}
			k.float(k.acc[c], to)
		}
	}
	if k.f.stream == halves {
		k.addHalves()
	} else {
		k.addWhole()
	}
	k.ADDQ(operand.U32(uint32(k.f.quants)), quants)
	if k.f.scales > 0 {
		k.ADDQ(operand.Imm(uint64(k.f.scales)), scales)
	}
	for range k.f.stream.fields() {
		k.ADDQ(stride, fields)
	}
}

// start sets the integer sum of part h to its correction in a field, or to the magic
// number. Either is brought down to values that are as small as they are stored: all is
// divisible by the gain.
func (k *avx2) start(h, c int) {
	if k.signed() || k.f.stream == affine || k.f.minimum {
		k.VMOVDQU(k.repeat(magicBits>>k.shift()), k.acc[c])
		return
	}
	k.VPBROADCASTD(k.field(1+h, c), k.acc[c])
	if k.shift() > 0 {
		k.VPSRAD(operand.Imm(uint64(k.shift())), k.acc[c], k.acc[c])
	}
}

// float makes an integer sum the number that vnni.go has: the bits of magic plus gain
// times the sum.
func (k *avx2) float(acc, to vec) {
	switch {
	case k.shift() > 0:
		k.VPSLLD(operand.Imm(uint64(k.shift())), acc, to)
	case acc != to:
		k.VMOVDQA(acc, to)
	}
}

// shift is the bits by which values are smaller than in vnni.go.
func (k *avx2) shift() int { return bits.TrailingZeros(uint(k.f.gain)) }

// signed reports whether the values are multiplied as magnitude and sign.
func (k *avx2) signed() bool { return k.f.signed && !k.vnni }

// dot adds vector j, in k.v, times every column.
func (k *avx2) dot(j int) {
	for c := range k.cols {
		k.VPBROADCASTD(at(xs, 4*c), k.p)
		switch {
		case k.words == nil || j%2 == 0:
			k.dotVEX(k.p, k.v, k.acc[c])
		case j == 1:
			k.VPXOR(k.words[c], k.words[c], k.words[c])
			k.dotVEX(k.p, k.v, k.words[c])
		default:
			k.dotVEX(k.p, k.v, k.words[c])
		}
	}
	k.ADDQ(stride, xs)
}

// multiply adds the next vector, in k.v, times every column. Products are added
// in 16 bits from the first to the last vector of a run.
func (k *avx2) multiply(first, last bool) {
	if k.signed() {
		k.VPABSB(k.v, k.u)
	}
	for c := range k.cols {
		product := k.p
		if first {
			product = k.words[c]
		}
		k.VPBROADCASTD(at(xs, 4*c), k.p)
		if k.signed() {
			k.VPSIGNB(k.v, k.p, k.p)
			k.VPMADDUBSW(k.p, k.u, product)
		} else {
			k.VPMADDUBSW(k.p, k.v, product)
		}
		if !first {
			k.VPADDW(k.p, k.words[c], k.words[c])
		}
		if last {
			k.VPMADDWD(k.repeat(0x00010001), k.words[c], k.words[c])
			k.VPADDD(k.words[c], k.acc[c], k.acc[c])
		}
	}
	k.ADDQ(stride, xs)
}

// value unpacks vector j to k.v.
func (k *avx2) value(j int) {
	switch planes := k.f.planes; {
	case planes[0] == 8:
		k.VMOVDQU(k.quant(j), k.v)
		if k.signed() {
			k.VPXOR(k.repeat(0x80808080), k.v, k.v)
		}
	case planes[0] == 4 && k.f.odd:
		k.plane(k.quant(j%4), 1-4*(j/4), 0x1e1e1e1e, k.v)
	case planes[0] == 4:
		k.plane(k.quant(j%4), -4*(j/4), 0x0f0f0f0f, k.v)
	case planes[0] == 2:
		k.plane(k.quant(j/4), -2*(j%4), 0x03030303, k.v)
	case planes[0] == 1: // odd
		k.plane(k.quant(0), 1-j, 0x02020202, k.v)
	}
	switch planes := k.f.planes; {
	case planes == [2]int{4, 1}:
		k.plane(k.quant(4), 4-j, 0x10101010, k.u)
		k.VPOR(k.u, k.v, k.v)
	case planes == [2]int{4, 2}:
		k.plane(k.quant(4+j/4), 4-2*(j%4), 0x30303030, k.u)
		k.VPOR(k.u, k.v, k.v)
	case planes == [2]int{2, 1}:
		k.plane(k.quant(2), 2-j, 0x04040404, k.u)
		k.VPOR(k.u, k.v, k.v)
	}
	if k.f.odd {
		k.VPOR(k.repeat(0x01010101), k.v, k.v)
	}
	if k.f.levels != nil {
		k.VBROADCASTI128(k.levelTable(k.f, k.signed()), k.u)
		k.VPSHUFB(k.v, k.u, k.v)
	}
}

// plane is dst = (src << n) & mask; n may be negative.
func (k *avx2) plane(src operand.Mem, n int, mask uint32, dst vec) {
	k.VMOVDQU(src, dst)
	switch {
	case n > 0:
		k.VPSLLW(operand.Imm(uint64(n)), dst, dst)
	case n < 0:
		k.VPSRLW(operand.Imm(uint64(-n)), dst, dst)
	}
	k.VPAND(k.repeat(mask), dst, dst)
}

// scaleFactor is what multiplies the integer sums of part h.
func (k *avx2) scaleFactor(h int, d vec) {
	switch {
	case k.f.exponent:
		k.VPMOVZXBD(k.byteScale(0), d)
		k.VPSLLD(operand.Imm(23), d, d)
		return
	case k.f.blocks == 1:
		k.VCVTPH2PS(k.half(scales, 0), d)
		return
	case k.f.scales == 0:
		k.VCVTPH2PS(k.half(unit, 0), d)
		return
	case k.f.nibbles:
		k.VPMOVZXBD(k.byteScale(0), d)
		if h == 0 {
			k.VPAND(k.repeat(15), d, d)
		} else {
			k.VPSRLD(operand.Imm(4), d, d)
		}
	case k.f.stream == affine:
		k.VPMOVZXBD(k.byteScale(0), d)
	case k.f.minimum:
		k.VPMOVZXBD(k.byteScale(h), d)
		k.VPAND(k.repeat(15), d, d)
	default:
		k.VPMOVSXBD(k.byteScale(h), d)
	}
	k.VCVTDQ2PS(d, d)
	if k.f.nibbles {
		k.VADDPS(k.repeat(math.Float32bits(0.5)), d, d)
	}
	k.VCVTPH2PS(k.half(unit, 0), k.p)
	if k.f.divide > 0 {
		k.VMULPS(k.repeat(math.Float32bits(1/float32(k.f.divide))), d, d)
	}
	k.VMULPS(k.p, d, d)
}

// addWhole is y = fma(I·d, dx, y) and, if affine, y = fma(m, dx·sum, y).
func (k *avx2) addWhole() {
	d, base := k.t, k.u
	k.scaleFactor(0, d)
	k.VMULPS(k.repeat(math.Float32bits(-magic)), d, base)
	for c := range k.cols {
		k.VFMADD213PS(base, d, k.acc[c])
		k.VBROADCASTSS(k.field(0, c), k.p)
		k.VFMADD231PS(k.p, k.acc[c], k.y[c])
	}
	if k.f.stream == affine {
		k.addMinimum()
	}
}

// addMinimum is y = fma(±m, dx·sum, y).
func (k *avx2) addMinimum() {
	if k.f.blocks == 1 {
		k.VCVTPH2PS(k.half(scales, 32), k.t)
	} else {
		k.VPMOVZXBD(k.byteScale(1), k.t)
		k.VCVTDQ2PS(k.t, k.t)
		k.VCVTPH2PS(k.half(unit, 32), k.p)
		k.VMULPS(k.p, k.t, k.t)
	}
	for c := range k.cols {
		k.VBROADCASTSS(k.field(1, c), k.p)
		if k.f.minimum {
			k.VFNMADD231PS(k.p, k.t, k.y[c])
		} else {
			k.VFMADD231PS(k.p, k.t, k.y[c])
		}
	}
}

// addHalves is t = fma(magic+I0, d0, -magic·(d0+d1)); t = fma(magic+I1, d1, t), then
// Q2_K's minima, and y = fma(t, dx, y).
func (k *avx2) addHalves() {
	d0, d1, base := k.t, k.u, k.v
	k.scaleFactor(0, d0)
	k.scaleFactor(1, d1)
	k.VADDPS(d0, d1, base)
	k.VMULPS(k.repeat(math.Float32bits(-magic)), base, base)
	for c := range k.cols {
		k.VFMADD213PS(base, d0, k.first[c])
		k.VFMADD231PS(d1, k.acc[c], k.first[c])
	}
	if k.f.minimum {
		for h := range 2 {
			k.VPMOVZXBD(k.byteScale(h), k.t)
			k.VPSRLD(operand.Imm(4), k.t, k.t)
			k.VCVTDQ2PS(k.t, k.t)
			k.VCVTPH2PS(k.half(unit, 32), k.p)
			k.VMULPS(k.p, k.t, k.t)
			k.VMULPS(k.repeat(math.Float32bits(float32(k.f.gain)/128)), k.t, k.t)
			for c := range k.cols {
				k.VBROADCASTSS(k.field(1+h, c), k.p)
				k.VSUBPS(k.repeat(math.Float32bits(magic)), k.p, k.p)
				k.VFMADD231PS(k.t, k.p, k.first[c])
			}
		}
	}
	for c := range k.cols {
		k.VBROADCASTSS(k.field(0, c), k.p)
		k.VFMADD231PS(k.p, k.first[c], k.y[c])
	}
}

// quant is the pass's half of vector i of the quants.
func (k *avx2) quant(i int) operand.Mem {
	return operand.Mem{Base: quants, Index: half8, Scale: 4, Disp: 64 * i}
}

// half is the pass's float16 scales at an offset from r.
func (k *avx2) half(r reg.Register, disp int) operand.Mem {
	return operand.Mem{Base: r, Index: half8, Scale: 2, Disp: disp}
}

// byteScale is the pass's half of entry i of the block's byte scales.
func (k *avx2) byteScale(i int) operand.Mem {
	return operand.Mem{Base: scales, Index: half8, Scale: 1, Disp: 16 * i}
}

// field is field i, up to 2, of column c in the panel's stream.
func (k *avx2) field(i, c int) operand.Mem {
	if i == 0 {
		return at(fields, 4*c)
	}
	return operand.Mem{Base: fields, Index: stride, Scale: uint8(i), Disp: 4 * c}
}

// repeat is a read-only vector of equal dwords.
func (a *asm) repeat(v uint32) operand.Mem {
	m, ok := a.repeats[v]
	if !ok {
		m = a.dwords(fmt.Sprintf("all_%08x", v), v, v, v, v, v, v, v, v)
		a.repeats[v] = m
	}
	return m
}

// dotVEX is VPDPBUSD as AVX-VNNI encodes it.
func (a *asm) dotVEX(x, v, acc vec) { a.Instruction(lanes.DotVEX(x, v, acc)) }
