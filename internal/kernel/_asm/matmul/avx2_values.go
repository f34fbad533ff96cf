package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// How the AVX2 kernels take values from the quants, and what they make of the sums.

// loadMasks puts masks into registers that are free until the block ends.
func (k *avx2) loadMasks() {
	k.mask = map[uint32]vec{}
	all := k.masks()
	if k.wide() {
		all = append(all, 0x00ff00ff)
	}
	for i, m := range all {
		if i < len(k.free) {
			k.VMOVDQA(k.repeat(m), k.free[i])
			k.mask[m] = k.free[i]
		}
	}
}

// packed is the source of a group as it is in memory: quants from the register of that
// name on, and a panel's activations, of which two vectors at a time are within reach.
type packed struct{ *avx2 }

// masks are those of the format's planes.
func (k packed) masks() (masks []uint32) {
	f := k.f
	switch {
	case f.planes[0] == 4 && f.odd:
		masks = append(masks, 0x1e1e1e1e)
	case f.planes[0] == 4:
		masks = append(masks, 0x0f0f0f0f)
	case f.planes[0] == 2:
		masks = append(masks, 0x03030303)
	case f.planes[0] == 1:
		masks = append(masks, 0x02020202)
	}
	switch f.planes {
	case [2]int{4, 1}:
		masks = append(masks, 0x10101010)
	case [2]int{4, 2}:
		masks = append(masks, 0x30303030)
	case [2]int{2, 1}:
		masks = append(masks, 0x04040404)
	}
	return masks
}

// and is dst = src & mask.
func (k *avx2) and(mask uint32, src operand.Op, dst vec) {
	if m, ok := k.mask[mask]; ok {
		k.VPAND(src, m, dst)
		return
	}
	if m, ok := src.(operand.Mem); ok {
		k.VMOVDQU(m, dst)
		src = dst
	}
	k.VPAND(k.repeat(mask), src, dst)
}

func (k packed) value(j, r int) {
	v, u, masks := k.v[r], k.u[r], k.masks()
	switch planes := k.f.planes; {
	case planes[0] == 8:
		k.VMOVDQU(k.quant(j, r), v)
		if k.signed() {
			k.VPXOR(k.repeat(0x80808080), v, v)
		}
	case planes[0] == 4 && k.f.odd:
		k.plane(k.quant(j%4, r), 1-4*(j/4), masks[0], v)
	case planes[0] == 4:
		k.plane(k.quant(j%4, r), -4*(j/4), masks[0], v)
	case planes[0] == 2:
		k.plane(k.quant(j/4, r), -2*(j%4), masks[0], v)
	case planes[0] == 1: // odd
		k.plane(k.quant(0, r), 1-j, masks[0], v)
	}
	switch planes := k.f.planes; planes {
	case [2]int{4, 1}:
		k.plane(k.quant(4, r), 4-j, masks[1], u)
	case [2]int{4, 2}:
		k.plane(k.quant(4+j/4, r), 4-2*(j%4), masks[1], u)
	case [2]int{2, 1}:
		k.plane(k.quant(2, r), 2-j, masks[1], u)
	}
	if k.f.planes[1] > 0 {
		k.VPOR(u, v, v)
	}
	if k.f.odd {
		k.VPOR(k.repeat(0x01010101), v, v)
	}
	if k.f.levels != nil {
		k.VBROADCASTI128(k.levelTable(k.f, k.signed()), u)
		k.VPSHUFB(v, u, v)
	}
}

// plane is dst = (src << n) & mask; n may be negative.
func (k *avx2) plane(src operand.Mem, n int, mask uint32, dst vec) {
	switch {
	case n > 0:
		k.VMOVDQU(src, dst)
		k.VPSLLW(operand.Imm(uint64(n)), dst, dst)
	case n < 0:
		k.VMOVDQU(src, dst)
		k.VPSRLW(operand.Imm(uint64(-n)), dst, dst)
	default:
		k.and(mask, src, dst)
		return
	}
	k.and(mask, dst, dst)
}

// scaleFactor is what multiplies the integer sums of part h of side r.
func (k *avx2) scaleFactor(h, r int, d vec) {
	switch {
	case k.f.exponent:
		k.VPMOVZXBD(k.byteScale(0, r), d)
		k.VPSLLD(operand.Imm(23), d, d)
		return
	case k.f.blocks == 1:
		k.VCVTPH2PS(k.half(scales, 0, r), d)
		return
	case k.f.scales == 0:
		k.VCVTPH2PS(k.half(unit, 0, r), d)
		return
	case k.f.nibbles:
		k.VPMOVZXBD(k.byteScale(0, r), d)
		if h == 0 {
			k.VPAND(k.repeat(15), d, d)
		} else {
			k.VPSRLD(operand.Imm(4), d, d)
		}
	case k.f.stream == affine:
		k.VPMOVZXBD(k.byteScale(0, r), d)
	case k.f.minimum:
		k.VPMOVZXBD(k.byteScale(h, r), d)
		k.VPAND(k.repeat(15), d, d)
	default:
		k.VPMOVSXBD(k.byteScale(h, r), d)
	}
	k.VCVTDQ2PS(d, d)
	if k.f.nibbles {
		k.VADDPS(k.repeat(math.Float32bits(0.5)), d, d)
	}
	k.VCVTPH2PS(k.half(unit, 0, r), k.p)
	if k.f.divide > 0 {
		k.VMULPS(k.repeat(math.Float32bits(1/float32(k.f.divide))), d, d)
	}
	k.VMULPS(k.p, d, d)
}

// addWhole is y = fma(I·d, dx, y) and, if affine, y = fma(±m, dx·sum, y).
func (k *avx2) addWhole() {
	d, base, m := k.v, k.u, k.free
	for r := range sides {
		k.wholeFactors(r, d[r], m[r], base[r])
	}
	for c := range k.cols {
		k.VBROADCASTSS(k.field(0, c), k.p)
		if k.f.stream == affine {
			k.VBROADCASTSS(k.field(1, c), k.q)
		}
		for r := range sides {
			sum, y := k.sums[r][c], k.sum(r, c)
			k.VFMADD213PS(base[r], d[r], sum)
			k.VFMADD213PS(y, k.p, sum)
			switch {
			case k.subtracts():
				k.VFNMADD231PS(k.q, m[r], sum)
			case k.f.stream == affine:
				k.VFMADD231PS(k.q, m[r], sum)
			}
			k.VMOVAPS(sum, y)
		}
	}
}

func (k packed) wholeFactors(r int, d, m, base vec) {
	k.scaleFactor(0, r, d)
	k.VMULPS(k.repeat(math.Float32bits(-magic)), d, base)
	if k.f.stream == affine {
		k.minimumFactor(r, m)
	}
}

// minimumFactor is what an affine format adds, or subtracts, for each unit of dx·sum.
func (k *avx2) minimumFactor(r int, m vec) {
	if k.f.blocks == 1 {
		k.VCVTPH2PS(k.half(scales, 32, r), m)
		return
	}
	k.VPMOVZXBD(k.byteScale(1, r), m)
	k.VCVTDQ2PS(m, m)
	k.VCVTPH2PS(k.half(unit, 32, r), k.p)
	k.VMULPS(k.p, m, m)
}

// addHalves is t = fma(magic+I0, d0, -magic·(d0+d1)); t = fma(magic+I1, d1, t), then
// Q2_K's minima, and y = fma(t, dx, y).
func (k *avx2) addHalves() {
	d0, d1, base, t, m := k.v[0], k.v[1], k.u[0], k.u[1], k.free
	for r := range sides {
		k.halfFactors(r, d0, d1, m, base)
		for c := range k.cols {
			k.VMOVAPS(base, t)
			k.VFMADD231PS(k.slot(k.first, r, c), d0, t)
			k.VFMADD231PS(d1, k.sums[r][c], t)
			for h := range 2 {
				if k.f.minimum {
					k.VBROADCASTSS(k.field(1+h, c), k.p)
					k.VSUBPS(k.repeat(math.Float32bits(magic)), k.p, k.p)
					k.VFMADD231PS(m[h], k.p, t)
				}
			}
			k.VBROADCASTSS(k.field(0, c), k.p)
			k.VFMADD213PS(k.sum(r, c), k.p, t)
			k.VMOVAPS(t, k.sum(r, c))
		}
	}
}

func (k packed) halfFactors(r int, d0, d1 vec, m [2]vec, base vec) {
	k.scaleFactor(0, r, d0)
	k.scaleFactor(1, r, d1)
	k.VADDPS(d0, d1, base)
	k.VMULPS(k.repeat(math.Float32bits(-magic)), base, base)
	if k.f.minimum {
		k.halfMinima(r, m)
	}
}

// halfMinima are Q2_K's minima of the halves of a block, as the fields want them.
func (k *avx2) halfMinima(r int, m [2]vec) {
	for h := range 2 {
		k.VPMOVZXBD(k.byteScale(h, r), m[h])
		k.VPSRLD(operand.Imm(4), m[h], m[h])
		k.VCVTDQ2PS(m[h], m[h])
		k.VCVTPH2PS(k.half(unit, 32, r), k.p)
		k.VMULPS(k.p, m[h], m[h])
		k.VMULPS(k.repeat(math.Float32bits(float32(k.f.gain)/128)), m[h], m[h])
	}
}

// quant is vector i of the quants of side r.
func (k *avx2) quant(i, r int) operand.Mem { return at(quants, 64*i+32*r) }

// half is the float16 scales of side r at an offset from a register.
func (k *avx2) half(from reg.Register, disp, r int) operand.Mem { return at(from, disp+16*r) }

// byteScale is entry i, of side r, of the block's byte scales.
func (k *avx2) byteScale(i, r int) operand.Mem { return at(scales, 16*i+8*r) }

func (k packed) activation(j, c int) operand.Mem {
	if j%2 == 0 {
		return at(xs, 4*c)
	}
	return operand.Mem{Base: xs, Index: stride, Scale: 1, Disp: 4 * c}
}

// advance moves on every second time.
func (k packed) advance(j int) {
	if j%2 == 1 {
		k.LEAQ(operand.Mem{Base: xs, Index: stride, Scale: 2}, xs)
	}
}

// activations has a cursor of its own.
func (k packed) activations(j int) (low, high operand.Mem) {
	if j == 0 {
		k.MOVQ(xs, tmp)
	} else {
		k.LEAQ(operand.Mem{Base: tmp, Index: stride, Scale: 2}, tmp)
	}
	return at(tmp, 0), operand.Mem{Base: tmp, Index: stride, Scale: 1}
}

func (k packed) sum(r, c int) operand.Mem { return k.slot(k.y, r, c) }

func (k packed) subtracts() bool { return k.f.minimum }

func (k packed) field(i, c int) operand.Mem {
	if i == 0 {
		return at(fields, 4*c)
	}
	return operand.Mem{Base: fields, Index: stride, Scale: uint8(i), Disp: 4 * c}
}
