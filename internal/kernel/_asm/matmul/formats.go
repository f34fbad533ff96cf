package main

import (
	"math"
	"strings"

	"github.com/mmcloughlin/avo/operand"
)

// stream is what a kernel reads of a panel besides the quants, see panel.go.
type stream int

const (
	offset stream = iota // dx, -128·sum
	affine               // dx, dx·sum
	halves               // dx, -128·sum of either half
)

// fields is the number of fields of an entry, 4 bytes for each column.
func (s stream) fields() int { return [...]int{offset: 2, affine: 2, halves: 3}[s] }

// format is a weight format: how package kernel packs it, and how the kernels
// take it apart.
type format struct {
	geometry
	name string

	// The AVX2 kernels add run products in 16 bits; signed values one at a time.
	run    int
	signed bool

	unpack func(*vnni, visit)
	expand func(*vnni)
	masks  []uint32 // of the unpacker, for spare registers

	levels   []int8 // what the codes stand for, if values are looked up
	exponent bool   // the factor of a block is a power of two, its exponent a byte
	nibbles  bool   // a byte of the scales has a nibble for either half of a block
}

// visit multiplies one unpacked vector, values 4j..4j+3 of 16 rows.
type visit func(j int)

// The levels of IQ4_NL and IQ4_XS, of MXFP4, of the IQ2 formats and of IQ3_XXS.
var (
	iq4   = []int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}
	mxfp4 = []int8{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}
	iq2   = []int8{8, 25, 43, 0, -8, -25, -43, 0}
	iq3   = []int8{-62, -52, -44, -36, -28, -20, -12, -4, 4, 12, 20, 28, 36, 44, 52, 62}
)

var formats = []*format{
	{name: "Q8_0", run: 1, signed: true, unpack: (*vnni).bytes, expand: (*vnni).scaleD},
	{name: "Q4_0", run: 8, unpack: (*vnni).highNibbles, expand: (*vnni).scaleD, masks: []uint32{0xf0f0f0f0}},
	{name: "Q5_0", run: 4, unpack: (*vnni).highFives, expand: (*vnni).scaleD, masks: []uint32{0x78787878, 0x80808080}},
	{name: "IQ4_NL", run: 1, signed: true, unpack: (*vnni).levels, expand: (*vnni).scaleD, masks: []uint32{0x0f0f0f0f}, levels: iq4},
	{name: "IQ4_XS", run: 1, signed: true, unpack: (*vnni).levels, expand: (*vnni).scaleByte, masks: []uint32{0x0f0f0f0f}, levels: iq4},
	{name: "MXFP4", run: 8, signed: true, unpack: (*vnni).levels, expand: (*vnni).scaleExponent, masks: []uint32{0x0f0f0f0f}, levels: mxfp4, exponent: true},
	{name: "IQ2_XXS", run: 2, signed: true, unpack: (*vnni).threeLevels, expand: (*vnni).scaleByte, masks: []uint32{0x03030303, 0x04040404}, levels: iq2},
	{name: "IQ2_XS", run: 2, signed: true, unpack: (*vnni).threeLevels, expand: (*vnni).scaleHalfNibbles, masks: []uint32{0x03030303, 0x04040404}, levels: iq2, nibbles: true},
	{name: "IQ3_XXS", run: 2, signed: true, unpack: (*vnni).levels, expand: (*vnni).scaleByte, masks: []uint32{0x0f0f0f0f}, levels: iq3},
	{name: "IQ3_S", run: 4, unpack: (*vnni).oddNibbles, expand: (*vnni).scaleByte, masks: []uint32{0xf0f0f0f0, 0x08080808}},
	{name: "TQ2_0", run: 8, unpack: (*vnni).highTwos, expand: (*vnni).scaleUnit, masks: []uint32{0xc0c0c0c0}},
	{name: "Q2_0", run: 8, unpack: (*vnni).highTwos, expand: (*vnni).scaleUnit, masks: []uint32{0xc0c0c0c0}},
	{name: "Q1_0", run: 8, unpack: (*vnni).oddBits, expand: (*vnni).scaleUnit, masks: []uint32{0x80808080, 0x40404040}},
	{name: "Q4_1", run: 8, unpack: (*vnni).nibbles, expand: (*vnni).scaleDM, masks: []uint32{0x0f0f0f0f}},
	{name: "Q5_1", run: 4, unpack: (*vnni).fives, expand: (*vnni).scaleDM, masks: []uint32{0x0f0f0f0f, 0x10101010}},
	{name: "Q4_K", run: 8, unpack: (*vnni).nibbles, expand: (*vnni).scaleBytes, masks: []uint32{0x0f0f0f0f}},
	{name: "Q5_K", run: 4, unpack: (*vnni).fives, expand: (*vnni).scaleBytes, masks: []uint32{0x0f0f0f0f, 0x10101010}},
	{name: "Q6_K", run: 2, unpack: (*vnni).highSixes, expand: (*vnni).scaleHalves, masks: []uint32{0x3c3c3c3c, 0xc0c0c0c0}},
	{name: "Q3_K", run: 4, unpack: (*vnni).highThrees, expand: (*vnni).scaleHalves, masks: []uint32{0x60606060, 0x80808080}},
	{name: "Q2_K", run: 4, unpack: (*vnni).highTwos, expand: (*vnni).scaleNibbles, masks: []uint32{0xc0c0c0c0, 15}},
}

// The unpackers leave each vector in k.v and call visit. k.t, k.u are free.

func (k *vnni) bytes(mul visit) {
	for j := range 8 {
		k.VMOVDQU64(k.quant(j), k.v)
		mul(j)
	}
}

func (k *vnni) nibbles(mul visit) {
	for j := range 4 {
		k.VMOVDQU64(k.quant(j), k.t)
		k.and(0x0f0f0f0f, k.t, k.v)
		mul(j)
		k.VPSRLW(operand.Imm(4), k.t, k.t)
		k.and(0x0f0f0f0f, k.t, k.v)
		mul(j + 4)
	}
}

// highNibbles are 16 times as large: 128 stands for Q4_0's offset 8.
func (k *vnni) highNibbles(mul visit) {
	for j := range 4 {
		k.VMOVDQU64(k.quant(j), k.t)
		k.and(0xf0f0f0f0, k.t, k.v)
		mul(j + 4)
		k.VPSLLW(operand.Imm(4), k.t, k.t)
		k.and(0xf0f0f0f0, k.t, k.v)
		mul(j)
	}
}

func (k *vnni) levels(mul visit) {
	for j := range 4 {
		k.VMOVDQU64(k.quant(j), k.t)
		k.and(0x0f0f0f0f, k.t, k.v)
		k.VPSHUFB(k.v, k.table, k.v)
		mul(j)
		k.VPSRLW(operand.Imm(4), k.t, k.t)
		k.and(0x0f0f0f0f, k.t, k.v)
		k.VPSHUFB(k.v, k.table, k.v)
		mul(j + 4)
	}
}

// fives sets bit 4 of the nibbles from bit j of the plane.
func (k *vnni) fives(mul visit) {
	for j := range 4 {
		k.VMOVDQU64(k.quant(j), k.t)
		for h := range 2 {
			k.shift(k.quant(4), 4-(j+4*h), k.u)
			if h == 1 {
				k.VPSRLW(operand.Imm(4), k.t, k.t)
			}
			k.and(0x0f0f0f0f, k.t, k.v)
			k.orAnd(0x10101010, k.u, k.v)
			mul(j + 4*h)
		}
	}
}

// highFives is fives times 8.
func (k *vnni) highFives(mul visit) {
	for j := range 4 {
		k.VMOVDQU64(k.quant(j), k.t)
		for h := range 2 {
			k.shift(k.quant(4), 7-(j+4*h), k.u)
			k.shift(k.t, 3-4*h, k.v)
			k.and(0x78787878, k.v, k.v)
			k.orAnd(0x80808080, k.u, k.v)
			mul(j + 4*h)
		}
	}
}

// highSixes are 4 times as large. They come in order, half after half: the nibbles
// are loaded for either half, so that a pair of groups needs the sums of one half
// at a time.
func (k *vnni) highSixes(mul visit) {
	for h := range 2 {
		k.VMOVDQU64(k.quant(4+h), k.t)
		for j := range 4 {
			k.shift(k.t, 6-2*j, k.u)
			k.shift(k.quant(j), 2-4*h, k.v)
			k.and(0x3c3c3c3c, k.v, k.v)
			k.orAnd(0xc0c0c0c0, k.u, k.v)
			mul(j + 4*h)
		}
	}
}

func (k *vnni) highThrees(mul visit) {
	for h := range 2 {
		k.VMOVDQU64(k.quant(h), k.t)
		for f := range 4 {
			k.shift(k.quant(2), 7-(f+4*h), k.u)
			k.shift(k.t, 5-2*f, k.v)
			k.and(0x60606060, k.v, k.v)
			k.orAnd(0x80808080, k.u, k.v)
			mul(f + 4*h)
		}
	}
}

// threeLevels are looked up by two bits of magnitude and a sign.
func (k *vnni) threeLevels(mul visit) {
	for h := range 2 {
		k.VMOVDQU64(k.quant(h), k.t)
		for f := range 4 {
			k.shift(k.quant(2), 2-(f+4*h), k.u)
			k.shift(k.t, -2*f, k.v)
			k.and(0x03030303, k.v, k.v)
			k.orAnd(0x04040404, k.u, k.v)
			k.VPSHUFB(k.v, k.table, k.v)
			mul(f + 4*h)
		}
	}
}

// oddNibbles are 2q+1, 8 times as large.
func (k *vnni) oddNibbles(mul visit) {
	for j := range 4 {
		k.VMOVDQU64(k.quant(j), k.t)
		k.VMOVDQA64(k.t, k.v)
		k.andOr(0xf0f0f0f0, 0x08080808, k.v)
		mul(j + 4)
		k.VPSLLW(operand.Imm(4), k.t, k.v)
		k.andOr(0xf0f0f0f0, 0x08080808, k.v)
		mul(j)
	}
}

// oddBits are 2q+1, 64 times as large.
func (k *vnni) oddBits(mul visit) {
	for j := range 8 {
		k.shift(k.quant(0), 7-j, k.v)
		k.andOr(0x80808080, 0x40404040, k.v)
		mul(j)
	}
}

// highTwos are 64 times as large.
func (k *vnni) highTwos(mul visit) {
	for h := range 2 {
		k.VMOVDQU64(k.quant(h), k.t)
		for f := range 4 {
			k.shift(k.t, 6-2*f, k.v)
			k.and(0xc0c0c0c0, k.v, k.v)
			mul(f + 4*h)
		}
	}
}

// The expanders leave the factors of a block in k.d0, k.d1, k.m0, k.m1.

func (k *vnni) scaleD()  { k.VCVTPH2PS(k.scale(0), k.d0) }
func (k *vnni) scaleDM() { k.scaleD(); k.VCVTPH2PS(k.scale(32), k.m0) }

// scaleExponent moves the byte to the exponent of a float32.
func (k *vnni) scaleExponent() {
	k.VPMOVZXBD(k.scale(0), k.d0)
	k.VPSLLD(operand.Imm(23), k.d0, k.d0)
}

// scaleUnit is the factor of the unit.
func (k *vnni) scaleUnit() { k.d0 = k.unitD }

// scaleHalfNibbles is d times a nibble and a half, for either half of the block.
func (k *vnni) scaleHalfNibbles() {
	for h, d := range []vec{k.d0, k.d1} {
		if d == nil {
			continue
		}
		k.VPMOVZXBD(k.scale(0), d)
		if h == 0 {
			k.and(15, d, d)
		} else {
			k.VPSRLD(operand.Imm(4), d, d)
		}
		k.VCVTDQ2PS(d, d)
		k.VADDPS_BCST(k.constant(math.Float32bits(0.5)), d, d)
		k.VMULPS(k.unitD, d, d)
	}
}

// scaleByte is d times a signed byte.
func (k *vnni) scaleByte() { k.signed(0, k.d0) }

// scaleHalves is d times a signed byte for either half.
func (k *vnni) scaleHalves() {
	for h, d := range []vec{k.d0, k.d1} {
		if d != nil {
			k.signed(16*h, d)
		}
	}
}

func (k *vnni) signed(at_ int, d vec) {
	k.VPMOVSXBD(k.scale(at_), d)
	k.VCVTDQ2PS(d, d)
	k.VMULPS(k.unitD, d, d)
}

// scaleBytes is d and dmin times an unsigned byte each.
func (k *vnni) scaleBytes() {
	k.VPMOVZXBD(k.scale(0), k.d0)
	k.VPMOVZXBD(k.scale(16), k.m0)
	k.VCVTDQ2PS(k.d0, k.d0)
	k.VCVTDQ2PS(k.m0, k.m0)
	k.VMULPS(k.unitD, k.d0, k.d0)
	k.VMULPS(k.unitM, k.m0, k.m0)
}

// scaleNibbles is d times the low half of a byte.
func (k *vnni) scaleNibbles() {
	for h, d := range []vec{k.d0, k.d1} {
		if d == nil {
			continue
		}
		k.VPMOVZXBD(k.scale(16*h), d)
		k.and(15, d, d)
		k.VCVTDQ2PS(d, d)
		k.VMULPS(k.unitD, d, d)
	}
}

// scaleMinima is dmin/128 times the high half of a byte, as large as the values are. It
// comes when the registers of the vectors are free.
func (k *vnni) scaleMinima() {
	for h, m := range []vec{k.m0, k.m1} {
		k.VPMOVZXBD(k.scale(16*h), m)
		k.VPSRLD(operand.Imm(4), m, m)
		k.VCVTDQ2PS(m, m)
		k.VMULPS(k.unitM, m, m)
		k.VMULPS_BCST(k.constant(math.Float32bits(float32(k.f.gain)/128)), m, m)
	}
}

// parts is the number of integer sums of a block.
func (f *format) parts() int {
	if f.stream == halves {
		return 2
	}
	return 1
}

// levelTable is the format's 16 levels, plus 128 unless signed.
func (a *asm) levelTable(f *format, signed bool) operand.Mem {
	if m, ok := a.levels[signed]; ok {
		return m
	}
	table, name := make([]byte, 16), strings.ToLower(f.name)+"_levels"
	for i, v := range f.levels {
		table[i] = byte(v)
		if !signed {
			table[i] ^= 0x80
		}
	}
	if signed {
		name += "_signed"
	}
	a.levels[signed] = a.ConstData(name, operand.String(table))
	return a.levels[signed]
}
