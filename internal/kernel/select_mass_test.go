package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPeak(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		rapid.Check(t, func(r *rapid.T) {
			x := placed(t, logits(r, rapid.IntRange(0, 300).Draw(r, "n")), rapid.Bool().Draw(r, "front"))
			wantMax, wantNaN := peakGeneric(x)
			if got, nan := s.Peak(x); got != wantMax || nan != wantNaN {
				r.Fatalf("Peak of %v = %g, %v, want %g, %v", x, got, nan, wantMax, wantNaN)
			}
		})
		for n := range 200 { // one NaN alone, at every place
			x := make([]float32, 200)
			x[n] = float32(math.NaN())
			if m, nan := s.Peak(x); m != 0 || !nan {
				t.Errorf("NaN at %d: %g, %v", n, m, nan)
			}
		}
	})
}

// bandLimits are of the values themselves, so that equality with a limit occurs.
func bandLimits(r *rapid.T, x []float32) (lo, hi float32) {
	limit := func(name string) float32 {
		pool := append(slices.Clone(x), 0, negInf, float32(math.Inf(1)))
		return rapid.SampledFrom(pool).Filter(func(v float32) bool { return v == v }).Draw(r, name)
	}
	lo, hi = limit("lo"), limit("hi")
	return min(lo, hi), max(lo, hi)
}

// Band gathers exactly what is between the limits and sums what it should, also
// into the slice that it reads.
func TestBand(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		rapid.Check(t, func(r *rapid.T) {
			x := placed(t, logits(r, rapid.IntRange(0, 700).Draw(r, "n")), rapid.Bool().Draw(r, "front"))
			lo, hi := bandLimits(r, x)
			const top, scale = 3, 0.7
			want, total, aboveLo, aboveHi := []float32{}, 0.0, 0.0, 0.0
			for _, v := range x {
				w := math.Exp((min(float64(v), top+100) - top) * scale)
				if v != v || w < math.Exp(expMin) {
					w = 0
				}
				if v > lo {
					aboveLo += w
				}
				if v > hi {
					aboveHi += w
				} else if v > lo {
					want = append(want, v)
				}
				total += w
			}
			room := BandRoom(len(x))
			out := guarded[float32](t, room, false)
			if rapid.Bool().Draw(r, "in place") {
				copy(out, x)
				x = out[:len(x)]
			}
			sums, n := s.Band(out, x, Band{top, scale, lo, hi})
			if !slices.Equal(out[:n], want) {
				r.Fatalf("gathered %v, want %v", out[:n], want)
			}
			for _, v := range out[n:BandRoom(n)] {
				if v != negInf {
					r.Fatalf("%v after the values", out[n:BandRoom(n)])
				}
			}
			for _, c := range []struct {
				name string
				got  float32
				want float64
			}{{"total", sums.Total, total}, {"above lo", sums.AboveLo, aboveLo}, {"above hi", sums.AboveHi, aboveHi}} {
				if !math.IsInf(c.want, 0) && c.want < 1e30 && !within(c.got, c.want, 1e-4*c.want) {
					r.Fatalf("%s %g, want %g", c.name, c.got, c.want)
				}
			}
		})
	})
}

func TestMass(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		for _, n := range append([]int{100_077}, lengths...) {
			x := randomRow(testRand(), n)
			y := slices.Clone(x)
			got, want := s.Mass(placed(t, x, n%2 == 0), 2, 1.5), s.ExpSum(y, 2, 1.5)
			if !within(got, float64(want), 1e-5*float64(want)) {
				t.Errorf("Mass of %d = %g, ExpSum %g", n, got, want)
			}
		}
	})
}

func TestBandRefusesTooLittleRoom(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("17 values into 31 places")
		}
	}()
	Set{}.Band(make([]float32, 31), make([]float32, 17), Band{Scale: 1})
}

func BenchmarkMass(b *testing.B) {
	x := randomRow(testRand(), 151936)
	out := make([]float32, BandRoom(len(x)))
	for _, tier := range Tiers() {
		s := New(tier)
		b.Run(fmt.Sprintf("%v/Peak", tier), func(b *testing.B) {
			for b.Loop() {
				s.Peak(x)
			}
		})
		b.Run(fmt.Sprintf("%v/Mass", tier), func(b *testing.B) {
			for b.Loop() {
				s.Mass(x, 4, 1.4)
			}
		})
		for name, hi := range map[string]float32{"none": -1, "8%": -0.75, "all": 9} {
			b.Run(fmt.Sprintf("%v/Band/%s", tier, name), func(b *testing.B) {
				lo := float32(-1)
				if hi == 9 {
					lo = -9
				}
				for b.Loop() {
					s.Band(out, x, Band{4, 1.4, lo, hi})
				}
			})
		}
	}
}
