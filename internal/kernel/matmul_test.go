package kernel

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/penstock-llm/penstock/internal/quant"
	"pgregory.net/rapid"
)

// allTypes are the weight formats with kernels.
func allTypes() []quant.Type {
	var ts []quant.Type
	for t := range formats {
		if Supports(quant.Type(t)) {
			ts = append(ts, quant.Type(t))
		}
	}
	return ts
}

// randomWeights are valid bytes of t: random bits with float16 factors of a
// sensible size in their places.
func randomWeights(r *rand.Rand, t quant.Type, rows, cols int) []byte {
	src := make([]byte, rows*t.RowBytes(cols)+7)
	for i := 0; i+8 <= len(src); i += 8 {
		le.PutUint64(src[i:], r.Uint64())
	}
	src = src[: len(src)-7 : len(src)-7]
	setScales(r, t, src)
	return src
}

// setScales puts float16 factors of a sensible size in their places, or moderate
// numbers where the format has floats.
func setScales(r *rand.Rand, t quant.Type, src []byte) {
	half := func(b []byte) { le.PutUint16(b, quant.F32ToF16(float32(r.NormFloat64())*0.01)) }
	size := t.BlockBytes()
	halves := map[quant.Type][]int{
		quant.F16: {0}, quant.Q8_0: {0}, quant.Q4_0: {0}, quant.Q5_0: {0}, quant.IQ4_NL: {0}, quant.IQ4_XS: {0},
		quant.Q4_1: {0, 2}, quant.Q5_1: {0, 2}, quant.Q4_K: {0, 2}, quant.Q5_K: {0, 2},
		quant.Q6_K: {208}, quant.Q3_K: {108}, quant.Q2_K: {80, 82},
		quant.IQ2_XXS: {0}, quant.IQ2_XS: {0}, quant.IQ2_S: {0}, quant.IQ3_XXS: {0}, quant.IQ3_S: {0},
		quant.TQ1_0: {52}, quant.TQ2_0: {64}, quant.Q2_0: {0}, quant.Q1_0: {0},
	}[t]
	for b := 0; b+size <= len(src); b += size {
		for _, at := range halves {
			half(src[b+at:])
		}
		switch t {
		case quant.MXFP4:
			src[b] = 118 + src[b]%4 // 2^-10 to 2^-7
		case quant.F32:
			le.PutUint32(src[b:], math.Float32bits(float32(r.NormFloat64())))
		case quant.BF16:
			le.PutUint16(src[b:], quant.F32ToBF16(float32(r.NormFloat64())))
		}
	}
}

func dequantize(t *testing.T, typ quant.Type, src []byte, n int) []float32 {
	t.Helper()
	w := make([]float32, n)
	if err := quant.Dequantize(typ, w, src); err != nil {
		t.Fatal(err)
	}
	return w
}

// product is a packed matrix, its panels and what Mul should give.
type product struct {
	m          *Matrix
	src        []byte
	p          *Panels
	x          []float32 // [cols][k]
	rows, cols int
}

// extent is the shape of a product: weights of [rows, k] times cols columns.
type extent struct{ rows, k, cols int }

func newProduct(t testing.TB, r *rand.Rand, s Set, typ quant.Type, of extent) *product {
	t.Helper()
	rows, k, cols := of.rows, of.k, of.cols
	m, err := NewMatrix(typ, rows, k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Free(); err != nil {
			t.Error(err)
		}
	})
	pr := &product{m: m, src: randomWeights(r, typ, rows, k), rows: rows, cols: cols}
	s.Pack(m, 0, pr.src, rows)
	pr.p = NewPanels(k, cols, m.NeedsFloats())
	pr.x = make([]float32, cols*k)
	for i := range pr.x {
		pr.x[i] = float32(r.NormFloat64())
	}
	for c := range cols {
		s.Quantize(pr.p, c, 0, pr.x[c*k:(c+1)*k])
	}
	return pr
}

// run multiplies all groups; y is [cols][Groups*Lanes].
func (pr *product) run(s Set, add bool, y []float32) []float32 {
	ldy := pr.m.Groups() * Lanes
	if y == nil {
		y = make([]float32, pr.cols*ldy)
	}
	s.Mul(pr.m, pr.p, 0, pr.m.Groups(), Output{Y: y, LD: ldy, Add: add, Space: NewSpace()})
	return y
}

// TestMulOracle compares every tier and format with the float64 product of the
// dequantised weights and the quantised activations.
func TestMulOracle(t *testing.T) {
	forEachTile(t, func(t *testing.T, s Set) {
		for _, typ := range allTypes() {
			for _, shape := range []extent{{16, 256, 1}, {33, 512, 5}, {64, 1024, 8}, {48, 768, 19}} {
				t.Run(fmt.Sprintf("%v/%v", typ, shape), func(t *testing.T) { checkOracle(t, s, typ, shape) })
			}
			if formatOf(typ).unit == 32 {
				t.Run(typ.String()+"/576", func(t *testing.T) { checkOracle(t, s, typ, extent{20, 576, 3}) })
				t.Run(typ.String()+"/96", func(t *testing.T) { checkOracle(t, s, typ, extent{20, 96, 2}) })
			}
		}
	})
}

func checkOracle(t *testing.T, s Set, typ quant.Type, of extent) {
	rows, k, cols := of.rows, of.k, of.cols
	r := rand.New(rand.NewPCG(uint64(typ), uint64(rows*k)))
	pr := newProduct(t, r, s, typ, of)
	y := pr.run(s, false, nil)
	w := dequantize(t, typ, pr.src, rows*k)
	ldy := pr.m.Groups() * Lanes
	for c := range cols {
		x := quantisedColumn(pr, c)
		for row := range ldy {
			var want, magnitude float64
			if row < rows {
				for i := range k {
					v := float64(w[row*k+i]) * x[i]
					want += v
					magnitude += math.Abs(v)
				}
			}
			// Affine formats subtract large sums: the bound is on what is summed.
			if got := float64(y[c*ldy+row]); !(math.Abs(got-want) <= 4e-6*magnitude*mulSlack(typ)) {
				t.Fatalf("row %d, column %d: got %g, want %g ± %g", row, c, got, want, 4e-6*magnitude)
			}
		}
	}
}

// mulSlack allows for formats whose terms nearly cancel: q·d and the minimum
// are summed apart, each larger than the weight. Halves are summed with a large number.
func mulSlack(t quant.Type) float64 {
	if formatOf(t).stream != offsetStream {
		return 4
	}
	return 1
}

// quantisedColumn is what the panels hold of column c, or the floats.
func quantisedColumn(pr *product, c int) []float64 {
	p := pr.p
	x := make([]float64, p.K)
	if pr.m.NeedsFloats() {
		for i := range x {
			x[i] = float64(pr.x[c*p.K+i])
		}
		return x
	}
	var q [BlockLen]int8
	for b := range p.K / BlockLen {
		dx := quantizeBlock(&q, (*[BlockLen]float32)(pr.x[c*p.K+b*BlockLen:]))
		for i, v := range q {
			x[b*BlockLen+i] = float64(v) * float64(dx)
		}
	}
	return x
}

// TestMulTiersAgree: quantised products are the same bits on every tier.
func TestMulTiersAgree(t *testing.T) {
	forEachTile(t, func(t *testing.T, s Set) {
		rapid.Check(t, func(rt *rapid.T) {
			typ := rapid.SampledFrom(allTypes()).Draw(rt, "type")
			if formatOf(typ).float {
				return
			}
			rows := rapid.IntRange(1, 50).Draw(rt, "rows")
			k := formatOf(typ).unit * rapid.IntRange(1, 6).Draw(rt, "units")
			cols := rapid.IntRange(1, 20).Draw(rt, "cols")
			r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
			pr := newProduct(t, r, s, typ, extent{rows, k, cols})
			add := rapid.Bool().Draw(rt, "add")
			var y0 []float32
			if add {
				y0 = make([]float32, cols*pr.m.Groups()*Lanes)
				for i := range y0 {
					y0[i] = float32(r.NormFloat64())
				}
			}
			got := pr.run(s, add, append([]float32(nil), y0...))
			want := pr.run(Set{}, add, append([]float32(nil), y0...))
			if i := firstDifference(got, want); i >= 0 {
				rt.Fatalf("%v %dx%d, %d columns, value %d: got %v, want %v", typ, rows, k, cols, i, got[i], want[i])
			}
		})
	})
}

// firstDifference compares bits; -1 if there is none.
func firstDifference(a, b []float32) int {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return i
		}
	}
	return -1
}

// TestMulBatchInvariance: a column alone gives the bits it gives in a batch.
func TestMulBatchInvariance(t *testing.T) {
	forEachTile(t, func(t *testing.T, s Set) {
		for _, typ := range allTypes() {
			r := rand.New(rand.NewPCG(uint64(typ), 7))
			const rows, k = 40, 512
			for _, cols := range []int{2, 3, 4, 5, 6, 7, 8, 9, 12, 17, 40} {
				pr := newProduct(t, r, s, typ, extent{rows, k, cols})
				y := pr.run(s, false, nil)
				ldy := pr.m.Groups() * Lanes
				one := NewPanels(k, 1, pr.m.NeedsFloats())
				for c := range cols {
					s.Quantize(one, 0, 0, pr.x[c*k:(c+1)*k])
					alone := make([]float32, ldy)
					for g := range pr.m.Groups() { // group by group, too
						s.Mul(pr.m, one, g, g+1, Output{Y: alone, LD: ldy})
					}
					if i := firstDifference(alone, y[c*ldy:(c+1)*ldy]); i >= 0 {
						t.Fatalf("%v, column %d of %d, row %d: alone %v, in the batch %v", typ, c, cols, i, alone[i], y[c*ldy+i])
					}
				}
			}
		}
	})
}

// TestMulWide: more columns than a space has sums for, and rows of several pieces of
// unequal length.
func TestMulWide(t *testing.T) {
	const rows, cols = 48, 8*spacePanels + 19
	forEachTile(t, func(t *testing.T, s Set) {
		for typ, k := range map[quant.Type]int{quant.Q8_0: 17 * BlockLen, quant.Q6_K: 256} {
			pr := newProduct(t, rand.New(rand.NewPCG(uint64(typ), 11)), s, typ, extent{rows, k, cols})
			got, want := pr.run(s, false, nil), pr.run(Set{}, false, nil)
			if i := firstDifference(got, want); i >= 0 {
				t.Errorf("%v: value %d: got %v, want %v", typ, i, got[i], want[i])
			}
		}
	})
}

// TestMulAdd: accumulating adds exactly what a plain product gives.
func TestMulAdd(t *testing.T) {
	forEachTile(t, func(t *testing.T, s Set) {
		for _, typ := range allTypes() {
			r := rand.New(rand.NewPCG(uint64(typ), 9))
			pr := newProduct(t, r, s, typ, extent{32, 256, 11})
			plain := pr.run(s, false, nil)
			y := make([]float32, len(plain))
			want := make([]float32, len(plain))
			for i := range y {
				y[i] = float32(r.NormFloat64())
				want[i] = y[i] + plain[i]
			}
			pr.run(s, true, y)
			if i := firstDifference(y, want); i >= 0 {
				t.Fatalf("%v: value %d: got %v, want %v", typ, i, y[i], want[i])
			}
		}
	})
}

func TestFMA32(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		// Few significant bits, so that ties are common.
		a := float32(r.IntN(1<<13)) * float32(math.Ldexp(1, r.IntN(8)-60*r.IntN(2)))
		b := float32(r.IntN(1<<13)-1<<12) * float32(math.Ldexp(1, r.IntN(8)-70*r.IntN(2)))
		c := float32(r.IntN(1<<24)-1<<23) * float32(math.Ldexp(1, r.IntN(40)-30-100*r.IntN(2)))
		if got, want := fma32(a, b, c), fma32Big(a, b, c); math.Float32bits(got) != math.Float32bits(want) {
			t.Fatalf("fma32(%g, %g, %g) = %g, want %g", a, b, c, got, want)
		}
	}
}

// fma32Big is the fused multiply-add in exact arithmetic.
func fma32Big(a, b, c float32) float32 {
	exact := new(big.Float).SetPrec(600).Mul(big.NewFloat(float64(a)), big.NewFloat(float64(b)))
	exact.Add(exact, big.NewFloat(float64(c)))
	v, _ := exact.Float32()
	return v
}

// TestMulExtremes: sums of the largest products fit, wherever a tier adds them in
// 16 bits.
func TestMulExtremes(t *testing.T) {
	forEachTile(t, func(t *testing.T, s Set) {
		for _, typ := range allTypes() {
			if formatOf(typ).float {
				continue
			}
			for _, fill := range []byte{0, 0x0f, 0x77, 0x7f, 0x80, 0xf8, 0xff} {
				r := rand.New(rand.NewPCG(uint64(typ), uint64(fill)))
				pr := newProduct(t, r, s, typ, extent{32, 256, 8})
				for i := range pr.src {
					pr.src[i] = fill
				}
				setScales(r, typ, pr.src)
				s.Pack(pr.m, 0, pr.src, 32)
				for i := range pr.x {
					pr.x[i] = float32(1 - i/256%3) // columns of 1, 0 and -1
				}
				s.QuantizeColumns(pr.p, 0, 0, &Columns{X: pr.x, N: 8, LD: 256, Len: 256})
				if got, want := pr.run(s, false, nil), pr.run(Set{}, false, nil); firstDifference(got, want) >= 0 {
					t.Errorf("%v, %#x: got %v, want %v", typ, fill, got, want)
				}
			}
		}
	})
}
