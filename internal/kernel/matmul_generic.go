package kernel

import (
	"math"

	"github.com/penstock-llm/penstock/internal/quant"
)

// matmulGeneric is the specification of Mul. The integer dot products take two
// rows at a time: a 64-bit word holds values of two neighbouring rows 32 bits
// apart, and one multiplication by a signed activation serves both.
func matmulGeneric(m *Matrix, p *Panels, g0, g1 int, out Output) {
	var acc [PanelCols][Lanes]float32
	for g := g0; g < g1; g++ {
		quants, scales := m.group(g)
		for i := range p.panels() {
			q := p.panel(i)
			sums := acc[:q.width]
			clear(sums)
			if m.format.float {
				dotFloats(sums, m.Type, quants, p.floats(q))
			} else {
				dotBlocks(sums, m.format, scales, quants, p.streams(q))
			}
			for c := range sums {
				y := out.Y[(q.first+c)*out.LD+g*Lanes:][:Lanes]
				for r, v := range acc[c] {
					if out.Add {
						v += y[r]
					}
					y[r] = v
				}
			}
		}
	}
}

// unpacked is one block of a group: [8][16][4] unsigned values as in the bytes
// layout, two rows to a word.
type unpacked [64]uint64

// blockScales are the factors of one block: d of the first half and, in the
// halves formats, of the second; likewise what the affine formats add.
type blockScales struct {
	d, m [2][Lanes]float32
}

// dotBlocks adds the products of one group of weights with the columns of a
// panel, of which acc holds the sums.
func dotBlocks(acc [][Lanes]float32, f *format, scales, quants []byte, panel streams) {
	perUnit := f.unit / BlockLen
	for b := range panel.blocks {
		u := f.unpack(quants[b*f.quants:][:f.quants])
		s := f.expand(scales[b/perUnit*f.scales:][:f.scales], b%perUnit)
		for c := range acc {
			x := panel.column(f.stream, b, c)
			dx := math.Float32frombits(x.field(0))
			switch f.stream {
			case offsetStream:
				corr := int32(x.field(1)-magicBits) >> f.shift
				dots := dot(&u, x, 0, 8)
				for r := range Lanes {
					acc[c][r] = fma32(s.d[0][r]*float32(dots[r]+corr), dx, acc[c][r])
				}
			case affineStream:
				sum := math.Float32frombits(x.field(1))
				dots := dot(&u, x, 0, 8)
				for r := range Lanes {
					v := fma32(s.d[0][r]*float32(dots[r]), dx, acc[c][r])
					acc[c][r] = fma32(s.m[0][r], sum, v)
				}
			case halvesStream:
				dotHalves(&acc[c], f, &u, &s, x)
			}
		}
	}
}

// dotHalves adds one block of a format whose scales cover 16 values. Q2_K has a
// minimum instead of an offset, to be subtracted once for each activation: the
// fields hold the activations' sums times -128, and s.m the minimum over 128.
func dotHalves(acc *[Lanes]float32, f *format, u *unpacked, s *blockScales, x column) {
	dx := math.Float32frombits(x.field(0))
	corr0, corr1 := int32(x.field(1)-magicBits), int32(x.field(2)-magicBits)
	m := int32(magic) >> f.shift
	dots0, dots1 := dot(u, x, 0, 4), dot(u, x, 4, 8)
	for r := range Lanes {
		d0, d1 := s.d[0][r], s.d[1][r]
		i0, i1 := dots0[r], dots1[r]
		if !f.minimum {
			i0 += corr0 >> f.shift
			i1 += corr1 >> f.shift
		}
		t := fma32(float32(m+i0), d0, -float32(m)*(d0+d1))
		t = fma32(float32(m+i1), d1, t)
		if f.minimum {
			t = fma32(float32(corr0), s.m[0][r], t)
			t = fma32(float32(corr1), s.m[1][r], t)
		}
		acc[r] = fma32(t, dx, acc[r])
	}
}

// dot sums the products of a block's fours [j0, j1) with one column, for all
// rows. A sum of 32 products of 8-bit numbers fits into 21 bits and a sign, so a
// word's upper sum is disturbed by the lower one only by a borrow, which is undone.
func dot(u *unpacked, x column, j0, j1 int) (dots [Lanes]int32) {
	const two = 0x000000ff000000ff
	var xs [BlockLen]int64
	for j := j0; j < j1; j++ {
		four := x.quants[j*4*x.width:][:4]
		for t := range 4 {
			xs[4*j+t] = int64(int8(four[t]))
		}
	}
	for r := 0; r < Lanes/2; r++ {
		var sum int64
		for j := j0; j < j1; j++ {
			v := u[8*j+r]
			a := (*[4]int64)(xs[4*j:])
			sum += int64(v&two)*a[0] + int64(v>>8&two)*a[1] + int64(v>>16&two)*a[2] + int64(v>>24&two)*a[3]
		}
		low := int32(sum)
		dots[2*r] = low
		dots[2*r+1] = int32((sum - int64(low)) >> 32)
	}
	return dots
}

// dotFloats adds float weights times the float copy of the columns.
func dotFloats(acc [][Lanes]float32, t quant.Type, group []byte, x []float32) {
	w := len(acc)
	var odd [PanelCols][Lanes]float32
	var row [Lanes]float32
	for k := 0; k*w < len(x); k++ {
		for r := range Lanes {
			switch t {
			case quant.F32:
				row[r] = math.Float32frombits(le.Uint32(group[64*k+4*r:]))
			case quant.F16:
				row[r] = quant.F16ToF32(le.Uint16(group[32*k+2*r:]))
			default:
				row[r] = quant.BF16ToF32(le.Uint16(group[32*k+2*r:]))
			}
		}
		sums := acc
		if k%2 == 1 {
			sums = odd[:]
		}
		for c := range acc {
			v := x[k*w+c]
			for r := range Lanes {
				sums[c][r] += float32(row[r] * v)
			}
		}
	}
	for c := range acc {
		for r := range Lanes {
			acc[c][r] += odd[c][r]
		}
	}
}

// fma32 is a*b + c, rounded once.
func fma32(a, b, c float32) float32 {
	const (
		below   = 1<<29 - 1 // bits of a float64 that a float32 lacks
		tie     = 1 << 28
		smallex = 897 << 52 // exponent of the least normal float32
	)
	s := float64(a)*float64(b) + float64(c) // the product is exact
	if bits := math.Float64bits(s); bits&below != tie && bits&(1<<63-1) >= smallex {
		return float32(s)
	}
	return fma32Slow(a, b, c)
}

// fma32Slow rounds the sum to odd first, so that rounding it again is harmless.
func fma32Slow(a, b, c float32) float32 {
	p, q := float64(float64(a)*float64(b)), float64(c)
	s := float64(p + q)
	v := float64(s - p) // what of q is in s
	e := float64(p-float64(s-v)) + float64(q-v)
	bits := math.Float64bits(s)
	if e != 0 && bits&1 == 0 {
		if e > 0 == (s > 0) {
			bits++
		} else {
			bits--
		}
	}
	return float32(math.Float64frombits(bits))
}
