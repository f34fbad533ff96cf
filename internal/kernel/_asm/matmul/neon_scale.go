package main

import (
	"math"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/a64"
)

// half loads eight float16 factors that lie disp bytes from r, as floats.
func (k *neon) half(r a64.R, disp int, to a64.V) {
	k.Op("ADD R%d, R%d, R%d", nHalf, r, nAt)
	k.Load(to+1, nAt, disp)
	k.Halves(to, to+1, false)
	k.Halves(to+1, to+1, true)
}

// bytes loads entry i of the block's byte scales: as signed or unsigned dwords, or
// the low or the high nibbles.
func (k *neon) bytes(i int, signed bool, nibble int, to a64.V) {
	const low, high = 1, 2
	k.Op("ADD R%d, R%d, R%d", nByte, nScales, nAt)
	k.Load8(to, nAt, 16*i)
	switch nibble {
	case low:
		k.ShiftBytes(to, to, 4)
		k.ShiftBytes(to, to, -4)
	case high:
		k.ShiftBytes(to, to, -4)
	}
	if signed {
		k.SignedBytes(to, to)
		k.SignedWords(to+1, to, true)
		k.SignedWords(to, to, false)
		return
	}
	k.UnsignedBytes(to, to)
	k.UnsignedWords(to+1, to, true)
	k.UnsignedWords(to, to, false)
}

// float makes floats of the dwords of two registers, times v if it is not 0.
func (k *neon) float(to a64.V, factor float32) {
	for r := range a64.V(2) {
		k.Float(to+r, to+r)
	}
	if factor != 0 && factor != 1 {
		k.Constant(vQ, nAt, math.Float32bits(factor))
		for r := range a64.V(2) {
			k.Fmul(to+r, to+r, vQ)
		}
	}
}

// times multiplies two registers by two others.
func (k *neon) times(to, by a64.V) {
	for r := range a64.V(2) {
		k.Fmul(to+r, to+r, by+r)
	}
}

// expand leaves what multiplies the integer sums of part h in vD and the next, and
// the minima, if the format has any for whole blocks, in vM and the next.
func (k *neon) expand(h int) {
	switch {
	case k.f.exponent:
		k.bytes(0, false, 0, vD)
		for r := range a64.V(2) {
			k.Shift(vD+r, vD+r, 23)
		}
	case k.f.blocks == 1:
		k.half(nScales, 0, vD)
	case k.f.scales == 0:
		k.half(nUnit, 0, vD)
	default:
		switch {
		case k.f.nibbles:
			k.bytes(0, false, 1+h, vD)
		case k.f.stream == affine:
			k.bytes(0, false, 0, vD)
		case k.f.minimum:
			k.bytes(h, false, 1, vD)
		default:
			k.bytes(h, true, 0, vD)
		}
		k.float(vD, 1)
		if k.f.nibbles {
			k.Constant(vQ, nAt, math.Float32bits(0.5))
			for r := range a64.V(2) {
				k.Fadd(vD+r, vD+r, vQ)
			}
		}
		k.half(nUnit, 0, vT)
		if k.f.divide > 0 {
			k.Constant(vQ, nAt, math.Float32bits(1/float32(k.f.divide)))
			for r := range a64.V(2) {
				k.Fmul(vT+r, vT+r, vQ)
			}
		}
		k.times(vD, vT)
	}
	switch {
	case k.f.stream != affine:
	case k.f.blocks == 1:
		k.half(nScales, 32, vM)
	default:
		k.bytes(1, false, 0, vM)
		k.float(vM, 1)
		k.half(nUnit, 32, vT)
		k.times(vM, vT)
	}
}

// load and save are the way of a float sum between its place and a register: it is
// there already if sums are kept.
func (k *neon) load(kept a64.V, at int, to a64.V) a64.V {
	if k.kept() {
		return kept
	}
	k.Load(to, nSums, at)
	return to
}

func (k *neon) save(v a64.V, at int) {
	if !k.kept() {
		k.Store(v, nSums, at)
	}
}

// expandFirst is expand of the first of two halves. It also leaves what the magic number
// in the sums of both makes, negative, in vBase and the next, and keeps the factors of
// the second half.
func (k *neon) expandFirst() {
	k.expand(1)
	d1 := k.second()
	for r := range a64.V(2) {
		k.Mov(d1+r, vD+r)
	}
	k.expand(0)
	k.Constant(vQ, nAt, math.Float32bits(-magic/float32(k.f.gain)))
	for r := range a64.V(2) {
		k.Fadd(vBase+r, d1+r, vD+r)
		k.Fmul(vBase+r, vBase+r, vQ)
	}
}

// expandSecond is expand of the second half.
func (k *neon) expandSecond() {
	if k.f.minimum || k.mmla { // something else needed the registers
		k.expand(1)
		return
	}
	for r := range a64.V(2) {
		k.Mov(vD+r, k.second()+r)
	}
}

// second is where the second half's factors are kept, and the next.
func (k *neon) second() a64.V {
	if k.kept() {
		return sumsOf8 - 2 // few sums leave it free
	}
	return vM
}

// scaleWhole is y = fma(I·d, dx, y) and, if affine, y = fma(±m, dx·sum, y).
func (k *neon) scaleWhole() {
	k.field(0, vX)
	if k.f.stream == affine {
		k.field(1, vT)
	}
	for c := range k.cols {
		for r := range 2 {
			acc, part, lane, number := k.acc(r, c), a64.V(c/4), c%4, r*k.cols+c
			k.Float(acc, acc)
			k.Fmul(acc, acc, vD+a64.V(r))
			y := k.load(k.y(r, c), sumAt(number), vQ)
			k.FmlaBy(y, acc, vX+part, lane)
			switch {
			case k.f.stream == affine && k.f.minimum:
				k.FmlsBy(y, vM+a64.V(r), vT+part, lane)
			case k.f.stream == affine:
				k.FmlaBy(y, vM+a64.V(r), vT+part, lane)
			}
			k.save(y, sumAt(number))
		}
	}
}

// scaleHalf is t = fma(M+I0, d0, -M·(d0+d1)), and for the second half
// t = fma(M+I1, d1, t), then Q2_K's minima, and y = fma(t, dx, y).
func (k *neon) scaleHalf(h int) {
	const m1 = a64.V(16)
	if h == 1 {
		if k.f.minimum {
			k.minima(0, vM)
			k.minima(1, m1)
			k.corrections()
		}
		k.field(0, vX)
	}
	for c := range k.cols {
		for r := range 2 {
			acc, row, part, lane, number := k.acc(r, c), a64.V(r), a64.V(c/4), c%4, r*k.cols+c
			k.Float(acc, acc)
			if h == 0 {
				t := vP
				if k.kept() {
					t = k.first(r, c)
				}
				k.Mov(t, vBase+row)
				k.Fmla(t, acc, vD+row)
				k.save(t, firstAt(number))
				continue
			}
			t := k.load(k.first(r, c), firstAt(number), vP)
			k.Fmla(t, acc, vD+row)
			if k.f.minimum {
				k.FmlaBy(t, vM+row, vT+part, lane)
				k.FmlaBy(t, m1+row, vMasks+1+part, lane)
			}
			y := k.load(k.y(r, c), sumAt(number), vQ)
			k.FmlaBy(y, t, vX+part, lane)
			k.save(y, sumAt(number))
		}
	}
}

// minima are dmin/128 times the high nibbles of the block's scales of part h.
func (k *neon) minima(h int, to a64.V) {
	k.bytes(h, false, 2, to)
	k.float(to, 1)
	k.half(nUnit, 32, vT)
	k.times(to, vT)
	k.Constant(vQ, nAt, math.Float32bits(1./128))
	for r := range a64.V(2) {
		k.Fmul(to+r, to+r, vQ)
	}
}

// corrections loads the fields with the sums of either half, as floats, to vT and the
// registers behind the only mask.
func (k *neon) corrections() {
	k.Constant(vQ, nAt, math.Float32bits(magic))
	for h, v := range []a64.V{vT, vMasks + 1} {
		k.field(1+h, v)
		for i := 0; i < k.cols; i += 4 {
			k.Fsub(v+a64.V(i/4), v+a64.V(i/4), vQ)
		}
	}
}

// finish writes the float sums of a pass to y, or adds them.
func (k *neon) finish() {
	k.Op("MOVD R%d, R%d", nOut, nTmp)
	plain := k.label + "_plain"
	write := func(add bool) {
		for c := 0; c < k.cols; c++ {
			for r := range 2 {
				var y a64.V
				if k.mmla {
					y = k.unzip(r, c, vX+a64.V(r))
				} else {
					y = k.load(k.y(r, c), sumAt(r*k.cols+c), vX+a64.V(r))
				}
				if add {
					k.Load(vP, nTmp, 16*r)
					k.Fadd(y, y, vP)
				}
				k.Store(y, nTmp, 16*r)
			}
			if c < k.cols-1 {
				k.Op("ADD R%d, R%d", nLdy, nTmp)
			}
		}
	}
	k.Op("CBZ R%d, %s", nAdd, plain)
	write(true)
	k.Op("B %s_written", k.label)
	k.Label(plain)
	write(false)
	k.Label(k.label + "_written")
}
