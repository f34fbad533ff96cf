package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The bounds that vector.go promises, against float64.
const (
	expRelErr  = 3e-7
	expArgErr  = 1e-7 // two roundings of the argument
	geluRelErr = 2e-6
	dotRelErr  = 1.2e-7
	ropeRelErr = 2.5e-7
)

// placed copies x directly before an unmapped page, or after one.
func placed(t testing.TB, x []float32, front bool) []float32 {
	g := guarded[float32](t, len(x), front)
	copy(g, x)
	return g
}

// lengths are whole registers, tails, and neither.
var lengths = []int{0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 40, 63, 64, 65, 127, 128, 130, 576, 1000, 1024}

func TestElementwise(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		rng := testRand()
		for _, n := range lengths {
			for _, front := range []bool{false, true} {
				x, y, c := randomRow(rng, n), randomRow(rng, n), float32(rng.NormFloat64())
				check := func(op string, run func(dst, x []float32), want func(a, b float64) float64, bound float64) {
					t.Helper()
					dst := placed(t, x, front)
					run(dst, placed(t, y, front))
					for i := range dst {
						w := want(float64(x[i]), float64(y[i]))
						if !within(dst[i], w, bound*(math.Abs(w)+math.Abs(float64(x[i])))) {
							t.Fatalf("%s of %d: [%d] = %g, want %g", op, n, i, dst[i], w)
						}
					}
				}
				check("Add", s.Add, func(a, b float64) float64 { return a + b }, 6e-8)
				check("Scale", func(dst, _ []float32) { s.Scale(dst, c) }, func(a, _ float64) float64 { return a * float64(c) }, 6e-8)
			}
		}
	})
}

func TestNorms(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		rng := testRand()
		for _, n := range lengths[1:] {
			x, w := randomRow(rng, n), randomRow(rng, n)
			var sq float64
			for _, v := range x {
				sq += float64(v) * float64(v) / float64(n)
			}
			const eps = 1e-5
			bound := dotRelErr*float64(n) + 1e-6
			verify := func(op string, got []float32, want func(i int) float64) {
				t.Helper()
				for i := range got {
					if w := want(i); !within(got[i], w, bound*(1+math.Abs(w))) {
						t.Fatalf("%s of %d: [%d] = %g, want %g", op, n, i, got[i], w)
					}
				}
			}
			rms := 1 / math.Sqrt(sq+eps)
			got := guarded[float32](t, n, false)
			s.RMSNorm(got, placed(t, x, false), placed(t, w, false), eps)
			verify("RMSNorm", got, func(i int) float64 { return float64(x[i]) * rms * float64(w[i]) })
			in := placed(t, x, true)
			s.RMSNorm(in, in, nil, eps)
			verify("RMSNorm in place", in, func(i int) float64 { return float64(x[i]) * rms })
			mean, spread := 0.0, 0.0
			for _, v := range x {
				mean += float64(v) / float64(n)
			}
			for _, v := range x {
				spread += math.Pow(float64(v)-mean, 2) / float64(n)
			}
			b := randomRow(rng, n)
			scale := 1 / math.Sqrt(spread+eps)
			bound *= 1 + math.Abs(mean)*scale + scale // a mean that is rounded shifts all values
			in = placed(t, x, true)
			if !s.LayerNorm(in, in, &Affine{placed(t, w, false), placed(t, b, true), eps}, 0) {
				t.Fatal("a row of finite numbers is not finite")
			}
			verify("LayerNorm", in, func(i int) float64 { return (float64(x[i])-mean)*scale*float64(w[i]) + float64(b[i]) })
		}
	})
}

// The ends of SwigluOAI's ranges, and what is not finite.
func TestSwigluOAILimits(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		inf := float32(math.Inf(1))
		for _, c := range []struct{ gate, up, want float32 }{
			{1, 8, 1 / (1 + float32(math.Exp(-1.702))) * 8}, {1, -8, 1 / (1 + float32(math.Exp(-1.702))) * -6}, {100, 0, 7}, {inf, 0, 7},
			{-inf, 0, nan32}, {nan32, 1, nan32}, {1, nan32, nan32},
		} {
			const n = 16
			row := make([]float32, 2*n)
			for i := range n {
				row[i], row[n+i] = c.gate, c.up
			}
			s.SwigluOAIRows(row, 1, 2*n, n)
			for _, got := range row[:n] {
				if !within(got, float64(c.want), 1e-4) && !(got-got != 0 && c.want-c.want != 0) {
					t.Fatalf("swiglu(%g, %g) = %g, want %g", c.gate, c.up, got, c.want)
				}
			}
		}
	})
}

func TestAddScaled(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		rng := testRand()
		for n := range 70 {
			x, y := randomRow(rng, n), randomRow(rng, n)
			got := placed(t, y, n%2 == 0)
			s.AddScaled(got, placed(t, x, n%2 == 1), 1.7)
			for i := range got {
				want := float64(y[i]) + float64(x[i])*float64(float32(1.7))
				if !within(got[i], want, 0x1p-23*(math.Abs(float64(y[i]))+2*math.Abs(float64(x[i])))) {
					t.Fatalf("%d of %d: %g, want %g", i, n, got[i], want)
				}
			}
		}
	})
}

func TestActivations(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		var gate []float32
		for g := -120.0; g < 120; g += 0.037 {
			gate = append(gate, float32(g), float32(g*1e-3))
		}
		gate = append(gate, 0, float32(math.Copysign(0, -1)), 1e-30, -1e-30)
		up := randomRow(testRand(), len(gate))
		dst := guarded[float32](t, len(gate), false)
		s.siluMul(dst, placed(t, gate, false), placed(t, up, false))
		for i, g := range gate {
			want := float64(g) / (1 + math.Exp(-float64(g))) * float64(up[i])
			if !within(dst[i], want, (expRelErr+expArgErr*math.Abs(float64(g)))*math.Abs(want)+1e-35) {
				t.Fatalf("silu(%g)*%g = %g, want %g", g, up[i], dst[i], want)
			}
		}
		s.swigluOAI(dst, placed(t, gate, false), placed(t, up, false))
		for i, g := range gate {
			x := math.Min(float64(g), 7)
			want := x / (1 + math.Exp(-1.702*x)) * (float64(up[i]) + 1)
			if !within(dst[i], want, 2*(expRelErr+1.702*expArgErr*math.Abs(x))*math.Abs(want)+1e-35) {
				t.Fatalf("swiglu(%g, %g) = %g, want %g", g, up[i], dst[i], want)
			}
		}
		erf := guarded[float32](t, len(gate), false)
		s.geluErfMul(erf, placed(t, gate, true), placed(t, up, true))
		for i, g := range gate {
			want := float64(g) / 2 * math.Erfc(-float64(g)/math.Sqrt2) * float64(up[i])
			if !within(erf[i], want, 3e-5*math.Abs(float64(up[i]))+geluRelErr*math.Abs(want)) {
				t.Fatalf("gelu(%g)*%g = %g, want %g", g, up[i], erf[i], want)
			}
		}
		same := slices.Clone(gate[:120])
		s.GeluErfRows(same, 3, 40, 40)
		for i, v := range same {
			if !within(v*up[i], float64(erf[i]), 1e-6*(1+math.Abs(float64(erf[i])))) {
				t.Fatalf("gelu(%g) alone = %g, times %g: %g", gate[i], v, up[i], erf[i])
			}
		}
		alone := slices.Clone(gate[:2*40])
		s.GeluRows(alone, 2, 40, 33)
		s.geluMul(dst, placed(t, gate, true), placed(t, up, true))
		for i, g64 := range gate {
			g := float64(g64)
			z := math.Sqrt(2/math.Pi) * (g + 0.044715*g*g*g)
			want := g / (1 + math.Exp(-2*z)) * float64(up[i])
			if !within(dst[i], want, geluRelErr*math.Max(math.Abs(want), math.Abs(g*float64(up[i])))) {
				t.Fatalf("gelu(%g)*%g = %g, want %g", g, up[i], dst[i], want)
			}
			if want /= float64(up[i]); i < len(alone) {
				if i%40 >= 33 {
					want = g
				}
				if !within(alone[i], want, geluRelErr*math.Max(math.Abs(want), math.Abs(g))) {
					t.Fatalf("gelu(%g) = %g, want %g", g, alone[i], want)
				}
			}
		}
	})
}

func TestExpSum(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		var x []float32
		for v := -86.9; v <= 0; v += 0.00037 {
			x = append(x, float32(v))
		}
		got, want := placed(t, x, false), 0.0
		sum := s.ExpSum(got, 0, 1)
		for i, v := range x {
			e := math.Exp(float64(v))
			want += e
			if !within(got[i], e, (expRelErr-expArgErr*float64(v))*e) {
				t.Fatalf("exp(%g) = %g, want %g: relative error %g", v, got[i], e, float64(got[i])/e-1)
			}
		}
		if !within(sum, want, 1e-4*want) {
			t.Fatalf("sum %g, want %g", sum, want)
		}
		inf, nan := float32(math.Inf(1)), float32(math.NaN())
		edge := []float32{0, -inf, nan, -87.1, -1e30, 3}
		edge = append(edge, edge...)
		edge = append(edge, edge...)
		s.ExpSum(edge, 0, 1)
		for i, v := range edge {
			switch {
			case i%6 == 0 && v != 1, i%6 > 0 && i%6 < 5 && v != 0, i%6 == 5 && !within(v, math.Exp(3), 1e-5):
				t.Errorf("edge %d: %g", i, v)
			}
		}
	})
}

func TestExpSumScale(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		x := randomRow(testRand(), 70001) // several calls of the assembly and a tail
		top, want := maxGeneric(x), 0.0
		for _, v := range x {
			want += math.Exp((float64(v) - float64(top)) * 0.7)
		}
		if sum := s.ExpSum(slices.Clone(x), top, 0.7); !within(sum, want, 1e-5*want) {
			t.Errorf("sum %g, want %g", sum, want)
		}
	})
}

func TestDot(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		rapid.Check(t, func(r *rapid.T) {
			n := rapid.IntRange(0, 3000).Draw(r, "n")
			rng := testRand()
			a, b := randomRow(rng, n), randomRow(rng, n)
			var want, size float64
			for i := range a {
				want += float64(a[i]) * float64(b[i])
				size += math.Abs(float64(a[i]) * float64(b[i]))
			}
			if got := s.dot(a, b); !within(got, want, dotRelErr*(1+float64(n)/8)*size) {
				r.Fatalf("dot of %d = %g, want %g", n, got, want)
			}
		})
	})
}

func TestRope(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		rng := testRand()
		for half := 1; half <= 128; half++ {
			x := randomRow(rng, 2*half)
			cos, sin := guarded[float32](t, half, false), guarded[float32](t, half, false)
			for i := range cos {
				a := rng.Float64() * 100
				cos[i], sin[i] = float32(math.Cos(a)), float32(math.Sin(a))
			}
			for _, neox := range []bool{true, false} {
				got, apart := placed(t, x, false), guarded[float32](t, 2*half, false)
				s.Rope(apart, got, cos, sin, neox)
				s.Rope(got, got, cos, sin, neox)
				if !slices.Equal(apart, got) {
					t.Fatalf("half %d neox %v: in place it is not what it is elsewhere", half, neox)
				}
				for i := range half {
					a, b := 2*i, 2*i+1
					if neox {
						a, b = i, i+half
					}
					xa, xb, c, n := float64(x[a]), float64(x[b]), float64(cos[i]), float64(sin[i])
					bound := ropeRelErr * math.Hypot(xa, xb)
					if !within(got[a], xa*c-xb*n, bound) || !within(got[b], xa*n+xb*c, bound) {
						t.Fatalf("half %d neox %v pair %d: (%g, %g) became (%g, %g)", half, neox, i, xa, xb, got[a], got[b])
					}
				}
			}
		}
	})
}

func TestVectorLengthsPanic(t *testing.T) {
	s, x, y := New(Tiers()[0]), make([]float32, 16), make([]float32, 17)
	for i, call := range []func(){
		func() { s.Add(x, y) }, func() { s.SiluMulRows(x, 1, 18, 9) }, func() { s.GeluMulRows(x, 2, 9, 8) },
		func() { s.RMSNorm(x, x, y, 0) }, func() { s.Rope(x, x, x, x, true) }, func() { s.Rope(y, y, x[:8], x[:8], true) }, func() { s.Rope(x[:8], x, x[:8], x[:8], true) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("call %d: no panic", i)
				}
			}()
			call()
		}()
	}
}

func BenchmarkVector(b *testing.B) {
	rng := testRand()
	const n = 3072
	x, y, z := randomRow(rng, n), randomRow(rng, n), make([]float32, n)
	big := randomRow(rng, 151936)
	for _, tier := range Tiers() {
		s := New(tier)
		for _, c := range []struct {
			name  string
			bytes int
			run   func()
		}{
			{"RMSNorm/1024", 12 << 10, func() { s.RMSNorm(z[:1024], x[:1024], y[:1024], 1e-6) }},
			{"Add/1024", 12 << 10, func() { s.Add(z[:1024], x[:1024]) }},
			{"SiluMul/3072", 12 * n, func() { s.siluMul(z, x, y) }},
			{"GeluMul/3072", 12 * n, func() { s.geluMul(z, x, y) }},
			{"Rope/neox128", 1024, func() { s.Rope(z[:128], z[:128], x[:64], y[:64], true) }},
			{"Rope/pairs128", 1024, func() { s.Rope(z[:128], z[:128], x[:64], y[:64], false) }},
			{"Dot/1024", 8 << 10, func() { s.dot(x[:1024], y[:1024]) }},
			{"ExpSum/151936", 8 * len(big), func() { s.ExpSum(big, 0, 0) }},
		} {
			b.Run(fmt.Sprintf("%v/%s", tier, c.name), func(b *testing.B) {
				b.SetBytes(int64(c.bytes))
				clear(z)
				for b.Loop() {
					c.run()
				}
			})
		}
	}
}

// TestRows: what works on several rows, or on a part of one, does to each what
// the plain operation does.
func TestRows(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		rng := testRand()
		for _, n := range []int{1, 8, 17, 32} {
			const rows, gap = 5, 3
			ld := 2*n + gap
			x := randomRow(rng, rows*ld-gap)
			for _, op := range []struct {
				name  string
				row   func(dst, gate, up []float32)
				whole func(x []float32, rows, ld, n int)
			}{{"SiluMulRows", s.siluMul, s.SiluMulRows}, {"GeluMulRows", s.geluMul, s.GeluMulRows}} {
				want, got := slices.Clone(x), slices.Clone(x)
				for r := range rows {
					row := want[r*ld:]
					op.row(row[:n], row[:n], row[n:2*n])
				}
				if op.whole(got, rows, ld, n); !sameBits(got, want) {
					t.Fatalf("%s of %d", op.name, n)
				}
			}
		}
		x, w := randomRow(rng, 160), randomRow(rng, 160)
		for _, weight := range [][]float32{nil, w} {
			whole, part := make([]float32, 160), make([]float32, 64)
			s.RMSNorm(whole, x, weight, 1e-5)
			if s.RMSNormPart(part, x, weight, 1e-5, 32); !sameBits(part, whole[32:96]) {
				t.Fatal("RMSNormPart")
			}
		}
	})
}
