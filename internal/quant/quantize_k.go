package quant

import "encoding/binary"

// refinements is how often a fit alternates between choosing the integers for
// a scale and the best scale for the integers. Most sub-blocks settle in three.
const refinements = 8

// fitAffine finds scale, minimum >= 0 so that scale*q - minimum with q in
// [0, qmax] comes close to x, where an error in x[i] counts w[i] times, squared.
func fitAffine(x, w []float32, qmax int) (scale, minimum float32) {
	lo, hi := bounds(x)
	f := affineFit{x: x, w: w, qmax: qmax}
	for _, reach := range starts {
		f.improve((max(hi, 0)-min(lo, 0))*reach/float32(qmax), -min(lo, 0)*reach)
	}
	return f.scale, f.minimum
}

// fitOffset is fitAffine for formats whose offset may have either sign: scale*q + offset.
func fitOffset(x, w []float32, qmax int) (scale, offset float32) {
	lo, hi := bounds(x)
	f := affineFit{x: x, w: w, qmax: qmax, signed: true}
	for _, reach := range starts {
		f.improve((hi-lo)*reach/float32(qmax), -(lo+hi)/2+(hi-lo)/2*reach)
	}
	return f.scale, -f.minimum
}

// starts are the parts of the range of values from which fits start. A range that leaves
// out the largest values is often the better one.
var starts = [...]float32{1, 0.93, 0.86, 0.79}

// affineFit is the best fit that was found so far.
type affineFit struct {
	x, w           []float32
	qmax           int
	signed         bool // the minimum may be negative
	found          bool
	err            float32
	scale, minimum float32
}

// improve alternates between choosing the integers for a scale and minimum and the best
// scale and minimum for the integers.
func (f *affineFit) improve(s, m float32) {
	last := float32(-1)
	for range refinements {
		// Least squares of x over q: the sums below are its normal equations.
		var err, n, sumQ, sumQQ, sumX, sumQX float32
		inv := inverse(s)
		for i, v := range f.x {
			w := f.w[i]
			q := float32(nearest((v+m)*inv, 0, f.qmax))
			e := s*q - m - v
			err += w * e * e
			n, sumQ, sumQQ, sumX, sumQX = n+w, sumQ+w*q, sumQQ+w*q*q, sumX+w*v, sumQX+w*q*v
		}
		if !f.found || err < f.err {
			f.found, f.err, f.scale, f.minimum = true, err, s, m
		}
		if last >= 0 && err >= last {
			return
		}
		last = err
		det := n*sumQQ - sumQ*sumQ
		if !(det > 0) {
			return
		}
		s, m = (n*sumQX-sumQ*sumX)/det, (sumQ*sumQX-sumQQ*sumX)/det
		if m < 0 && !f.signed { // the formats have no negative minimum: fit the scale alone
			s, m = sumQX/sumQQ, 0
		}
	}
}

// fitSymmetric finds a scale, of either sign, so that scale*q with q in
// [-n, n-1] comes close to x.
func fitSymmetric(x, w []float32, n int) float32 {
	return fitScale(x, w, extreme(x)/float32(-n), func(v, inv float32) float32 {
		return float32(nearest(v*inv, -n, n-1))
	})
}

// fitLevels is fitSymmetric for the levels of the IQ4 formats.
func fitLevels(x, w []float32) float32 {
	return fitScale(x, w, extreme(x)/float32(iq4Values[0]), levelOf)
}

func levelOf(v, inv float32) float32 { return float32(iq4Values[closestLevel(v*inv)]) }

// fitScale improves a scale by turns: round the elements for the scale, then find
// the best scale for those integers. It starts from several scales around first,
// because the one that meets the largest element exactly is rarely the best.
func fitScale(x, w []float32, first float32, round func(v, inv float32) float32) float32 {
	best, scale := float32(-1), first
	for start := range 9 {
		s := first * (1 + 0.04*float32(start-4))
		for range refinements {
			var err, sumQQ, sumQX float32
			inv := inverse(s)
			for i, v := range x {
				q := round(v, inv)
				e := s*q - v
				err += w[i] * e * e
				sumQQ, sumQX = sumQQ+w[i]*q*q, sumQX+w[i]*q*v
			}
			if best < 0 || err < best {
				best, scale = err, s
			}
			if !(sumQQ > 0) || s == sumQX/sumQQ {
				break
			}
			s = sumQX / sumQQ
		}
	}
	return scale
}

// closestLevel is the index of the IQ4 level nearest to v.
func closestLevel(v float32) byte {
	for i := range iq4Values[:15] {
		if v < (float32(iq4Values[i])+float32(iq4Values[i+1]))/2 {
			return byte(i)
		}
	}
	return 15
}

func nearestLevel(v, scale float32) byte { return closestLevel(v * inverse(scale)) }

// affine is a super-block's sub-block scales and minimums as small integers,
// with the halves that give them their size.
type affine struct {
	d, dmin         float32
	scale, minimum  [16]byte
	scaleOf, minOff [16]float32 // d*scale, dmin*minimum: what a reader will compute
}

// steps are the sizes of a format: sub-blocks of n elements with integers in [0, qmax],
// and their scales and minimums in [0, limit].
type steps struct{ n, qmax, limit int }

// fitAffines fits sub-blocks. It writes d and dmin to dst, two halves.
func fitAffines(x, w []float32, by steps, dst []byte) (a affine) {
	n, qmax, limit := by.n, by.qmax, by.limit
	var scales, minimums [16]float32
	count := len(x) / n
	for s := range count {
		scales[s], minimums[s] = fitAffine(x[n*s:][:n], w[n*s:][:n], qmax)
	}
	a.d = putHalf(dst, extreme(scales[:])/float32(limit))
	a.dmin = putHalf(dst[2:], extreme(minimums[:])/float32(limit))
	for s := range count {
		scale, minimum := nearest(scales[s]*inverse(a.d), 0, limit), nearest(minimums[s]*inverse(a.dmin), 0, limit)
		a.settle(s, [2]int{scale, minimum}, limit, affineFit{x: x[n*s:][:n], w: w[n*s:][:n], qmax: qmax})
	}
	return a
}

// settle chooses the small integers of a sub-block's scale and minimum: rounded by
// themselves they are not always the ones that fit best together.
func (a *affine) settle(s int, at [2]int, limit int, f affineFit) {
	best := float32(-1)
	for scale := max(at[0]-1, 0); scale <= min(at[0]+1, limit); scale++ {
		for minimum := max(at[1]-1, 0); minimum <= min(at[1]+1, limit); minimum++ {
			d, m := a.d*float32(scale), a.dmin*float32(minimum)
			var err float32
			inv := inverse(d)
			for i, v := range f.x {
				e := d*float32(nearest((v+m)*inv, 0, f.qmax)) - m - v
				err += f.w[i] * e * e
			}
			if best < 0 || err < best {
				best = err
				a.scale[s], a.minimum[s], a.scaleOf[s], a.minOff[s] = byte(scale), byte(minimum), d, m
			}
		}
	}
}

// quantum is the integer in [0, qmax] that stands for v in sub-block s.
func (a *affine) quantum(s int, v float32, qmax int) byte {
	return byte(nearest((v+a.minOff[s])*inverse(a.scaleOf[s]), 0, qmax))
}

func encodeQ2_K(b []byte, x, w []float32) {
	clear(b)
	a := fitAffines(x, orOnes(w, len(x)), steps{16, 3, 15}, b[80:])
	scales, q := b[:16], b[16:80]
	for s := range 16 {
		scales[s] = a.scale[s] | a.minimum[s]<<4
		for i, v := range x[16*s:][:16] {
			q[s/8*32+s%2*16+i] |= a.quantum(s, v, 3) << (s % 8 / 2 * 2)
		}
	}
}

func encodeQ4_K(b []byte, x, w []float32) {
	clear(b)
	a := fitAffines(x, orOnes(w, len(x)), steps{32, 15, 63}, b)
	scales, q := b[4:16], b[16:144]
	for s := range 8 {
		putScaleMinK(scales, s, a.scale[s], a.minimum[s])
		for i, v := range x[32*s:][:32] {
			q[s/2*32+i] |= a.quantum(s, v, 15) << (s % 2 * 4)
		}
	}
}

func encodeQ5_K(b []byte, x, w []float32) {
	clear(b)
	a := fitAffines(x, orOnes(w, len(x)), steps{32, 31, 63}, b)
	scales, high, q := b[4:16], b[16:48], b[48:176]
	for s := range 8 {
		putScaleMinK(scales, s, a.scale[s], a.minimum[s])
		for i, v := range x[32*s:][:32] {
			v := a.quantum(s, v, 31)
			q[s/2*32+i] |= v & 15 << (s % 2 * 4)
			high[i] |= v >> 4 << s
		}
	}
}

// putScaleMinK is the inverse of scaleMinK over zeroed bytes.
func putScaleMinK(scales []byte, s int, scale, minimum byte) {
	if s < 4 {
		scales[s] |= scale
		scales[s+4] |= minimum
		return
	}
	scales[s+4] |= scale&15 | minimum&15<<4
	scales[s-4] |= scale >> 4 << 6
	scales[s] |= minimum >> 4 << 6
}

// symmetric is the scales of sub-blocks without a minimum.
type symmetric struct {
	scale   [16]int
	scaleOf [16]float32 // d*scale: what a reader will compute
}

// rounding is how the elements of symmetric sub-blocks are rounded: the best scale for
// them, and the integer that v is nearest to for the inverse of a scale.
type rounding struct {
	w     []float32 // of the columns
	fit   func(x, w []float32) float32
	level func(v, inv float32) float32
}

// integers are roundings to [-n, n-1].
func integers(w []float32, n int) rounding {
	return rounding{w, func(x, w []float32) float32 { return fitSymmetric(x, w, n) }, func(v, inv float32) float32 {
		return float32(nearest(v*inv, -n, n-1))
	}}
}

// fitSymmetrics fits count sub-blocks, and puts their scales into [-limit, limit-1].
// d is written to bd.
func fitSymmetrics(x []float32, count, limit int, bd []byte, by rounding) (y symmetric) {
	var scales [16]float32
	n := len(x) / count
	for s := range count {
		scales[s] = by.fit(x[n*s:][:n], by.w[n*s:][:n])
	}
	d := putHalf(bd, extreme(scales[:])/float32(-limit))
	for s := range count {
		at, best := nearest(scales[s]*inverse(d), -limit, limit-1), float32(-1)
		for scale := max(at-1, -limit); scale <= min(at+1, limit-1); scale++ {
			var err float32
			ds := d * float32(scale)
			inv := inverse(ds)
			for i, v := range x[n*s:][:n] {
				e := ds*by.level(v, inv) - v
				err += by.w[n*s+i] * e * e
			}
			if best < 0 || err < best {
				best, y.scale[s], y.scaleOf[s] = err, scale, ds
			}
		}
	}
	return y
}

func encodeQ3_K(b []byte, x, w []float32) {
	clear(b)
	high, q, scales := b[:32], b[32:96], b[96:108]
	y := fitSymmetrics(x, 16, 32, b[108:], integers(orOnes(w, len(x)), 4))
	for s := range 16 {
		sc := byte(y.scale[s] + 32)
		scales[s%8] |= sc & 15 << (s / 8 * 4)
		scales[8+s%4] |= sc >> 4 << (s / 4 * 2)
		inv := inverse(y.scaleOf[s])
		for i, v := range x[16*s:][:16] {
			v := byte(nearest(v*inv, -4, 3) + 4)
			q[s/8*32+s%2*16+i] |= v & 3 << (s % 8 / 2 * 2)
			high[s%2*16+i] |= v >> 2 << (s / 2)
		}
	}
}

func encodeQ6_K(b []byte, x, w []float32) {
	clear(b)
	low, high, scales := b[:128], b[128:192], b[192:208]
	y := fitSymmetrics(x, 16, 128, b[208:], integers(orOnes(w, len(x)), 32))
	for s := range 16 {
		scales[s] = byte(y.scale[s])
		quarter := s % 8 / 2
		inv := inverse(y.scaleOf[s])
		for i, v := range x[16*s:][:16] {
			v := byte(nearest(v*inv, -32, 31) + 32)
			low[s/8*64+quarter%2*32+s%2*16+i] |= v & 15 << (quarter / 2 * 4)
			high[s/8*32+s%2*16+i] |= v >> 4 << (quarter * 2)
		}
	}
}

func encodeIQ4_XS(b []byte, x, w []float32) {
	clear(b)
	low, q := b[4:8], b[8:136]
	y := fitSymmetrics(x, 8, 32, b, rounding{orOnes(w, len(x)), fitLevels, levelOf})
	var high uint16
	for s := range 8 {
		sc := y.scale[s] + 32
		low[s/2] |= byte(sc&15) << (s % 2 * 4)
		high |= uint16(sc>>4) << (2 * s)
		x, d := x[32*s:][:32], y.scaleOf[s]
		for i := range 16 {
			q[16*s+i] = nearestLevel(x[i], d) | nearestLevel(x[i+16], d)<<4
		}
	}
	binary.LittleEndian.PutUint16(b[2:], high)
}
