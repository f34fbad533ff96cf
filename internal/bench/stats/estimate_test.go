package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// noise is what one machine does to a speed: a factor for each repeat (the pages that its processes got), and one for each
// sample. Their logarithms are normal with these standard deviations.
type noise struct{ repeat, sample float64 }

var noises = map[string]noise{"samples alone": {0, 0.1}, "repeats as much as samples": {0.05, 0.05}, "repeats above all": {0.2, 0.02}, "a factor of two": {0.5, 0.5}}

// draw measures a speed of 100 in so many repeats of size samples.
func (n noise) draw(rng *rand.Rand, repeats, size int) []float64 {
	var out []float64
	for range repeats {
		level := n.repeat * rng.NormFloat64()
		for range size {
			out = append(out, 100*math.Exp(level+n.sample*rng.NormFloat64()))
		}
	}
	return out
}

// margin is what a share of p may be off by chance in so many trials: four standard deviations.
func margin(p float64, trials int) float64 { return 4 * math.Sqrt(p*(1-p)/float64(trials)) }

// trials is how many measurements are simulated for each share.
func trials() int {
	if testing.Short() {
		return 500
	}
	return 4000
}

// An interval of 95 % holds the true value in at least 93 % of the cases, however few repeats there are and whatever they have
// in common.
func TestIntervalsCover(t *testing.T) {
	least := 0.93
	if testing.Short() { // fewer trials are off by more
		least = 0.95 - margin(0.05, trials())
	}
	for name, n := range noises {
		for _, repeats := range []int{5, 7, 10} {
			rng := rand.New(rand.NewPCG(1, uint64(repeats)))
			hit, ratios, differences := 0, 0, 0
			for range trials() {
				a, b := Repeats(n.draw(rng, repeats, 3), 3), Repeats(n.draw(rng, repeats, 3), 3)
				if !EstimateSpeed(a).Excludes(100) {
					hit++
				}
				if r, _ := EstimateRatio(a, b); !r.Excludes(1) {
					ratios++
				}
				if r, _ := CompareSpeeds(a, b); !r.Excludes(1) {
					differences++
				}
			}
			for what, k := range map[string]int{"speed": hit, "paired ratio": ratios, "unpaired ratio": differences} {
				if share := float64(k) / float64(trials()); share < least {
					t.Errorf("%s, %d repeats: the intervals of a %s held the true value in %.1f %% of the cases", name, repeats, what, 100*share)
				}
			}
		}
	}
}

// Two measurements of the same thing are called different in at most 5 % of the cases, also when many quantities are looked
// at together and when one of them has more repeats or more noise.
func TestSameIsNotCalledDifferent(t *testing.T) {
	const together = 8
	for name, n := range noises {
		for _, repeats := range []int{5, 7, 10} {
			t.Run(fmt.Sprintf("%s, %d repeats", name, repeats), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(2, uint64(repeats)))
				louder := noise{2 * n.repeat, 2 * n.sample}
				paired, welch, unequal, any := 0, 0, 0, 0
				count := func(to *int, p float64) {
					if p < 0.05 {
						*to++
					}
				}
				for trial := range trials() {
					a, b := Repeats(n.draw(rng, repeats, 2), 2), Repeats(n.draw(rng, repeats, 2), 2)
					_, p := EstimateRatio(a, b)
					count(&paired, p)
					_, p = CompareSpeeds(a, b)
					count(&welch, p)
					_, p = CompareSpeeds(Repeats(louder.draw(rng, 5, 2), 2), b)
					count(&unequal, p)
					if trial%4 > 0 {
						continue
					}
					ps := make([]float64, together)
					for i := range ps {
						_, ps[i] = CompareSpeeds(Repeats(n.draw(rng, repeats, 2), 2), Repeats(n.draw(rng, repeats, 2), 2))
					}
					lowest := 1.0
					for _, p := range Holm(ps) {
						lowest = min(lowest, p)
					}
					count(&any, lowest)
				}
				for what, c := range map[string]struct{ hits, of int }{"paired": {paired, trials()}, "Welch": {welch, trials()}, "Welch, unequal": {unequal, trials()}, "any of eight": {any, trials() / 4}} {
					if share := float64(c.hits) / float64(c.of); share > 0.05+margin(0.05, c.of) {
						t.Errorf("%s: called different in %.1f %% of the cases", what, 100*share)
					}
				}
			})
		}
	}
}

// What is different is called so: a test that never speaks would pass the one above.
func TestDifferentIsCalledDifferent(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	n := noise{0.03, 0.03}
	paired, welch := 0, 0
	for range trials() {
		a, b := Repeats(n.draw(rng, 7, 2), 2), Repeats(n.draw(rng, 7, 2), 2)
		for i := range a {
			a[i] *= 1.2
		}
		if r, p := EstimateRatio(a, b); p < 0.05 && r.Value > 1 {
			paired++
		}
		if r, p := CompareSpeeds(a, b); p < 0.05 && r.Value > 1 {
			welch++
		}
	}
	if paired < trials()*95/100 || welch < trials()*95/100 {
		t.Errorf("20 %% faster under 4 %% of noise was seen in %d and %d of %d cases", paired, welch, trials())
	}
}

func TestFewRepeatsClaimNothing(t *testing.T) {
	few := []float64{10, 20, 90, 400}
	if e := EstimateSpeed(few); e != (Estimate{Value: 55, N: 4}) || e.Claims() || e.Excludes(1e9) {
		t.Errorf("%+v", e)
	}
	if e := EstimateMean(few); e != (Estimate{Value: 55, N: 4}) {
		t.Errorf("%+v", e)
	}
	if e, p := EstimateRatio(few, []float64{1, 2, 9, 40}); e != (Estimate{Value: 10, N: 4}) || p != 1 {
		t.Errorf("%+v %v", e, p)
	}
	if e, p := CompareSpeeds(few, []float64{1, 1, 1, 1, 1, 1}); e != (Estimate{Value: 55, N: 4}) || p != 1 {
		t.Errorf("%+v %v", e, p)
	}
	if l := (Estimate{Value: 0.9, N: 3}).Loss(); math.Abs(l.Value-0.1) > 1e-12 || l.CI95 != [2]float64{} {
		t.Errorf("%+v", l)
	}
}

// The values of a textbook: mean 3, standard deviation 1.581, t(4) = 2.776.
func TestEstimateMean(t *testing.T) {
	e := EstimateMean([]float64{1, 2, 3, 4, 5})
	if e.Value != 3 || math.Abs(e.CI95[0]-1.0368) > 1e-4 || math.Abs(e.CI95[1]-4.9632) > 1e-4 || e.N != 5 {
		t.Errorf("%+v", e)
	}
}

// Welch's test against its formulas, with the density of t integrated numerically: t = -2.36111, df = 8.89277, p = 0.0428454.
func TestCompareSpeeds(t *testing.T) {
	a, b := []float64{10, 11, 12, 13, 14}, []float64{12, 15, 14, 16, 13, 18}
	ratio, p := CompareSpeeds(a, b)
	if ratio.N != 5 || math.Abs(ratio.Value-0.8197341) > 1e-7 || math.Abs(p-0.0428454) > 1e-7 || !ratio.Excludes(1) {
		t.Errorf("%+v %v", ratio, p)
	}
	back, q := CompareSpeeds(b, a)
	if math.Abs(back.Value*ratio.Value-1) > 1e-12 || math.Abs(p-q) > 1e-12 || math.Abs(back.CI95[0]*ratio.CI95[1]-1) > 1e-12 {
		t.Errorf("the other way round: %+v %v and %+v %v", ratio, p, back, q)
	}
	if ratio, p := CompareSpeeds([]float64{2, 2, 2, 2, 2}, []float64{2, 2, 2, 2, 2}); ratio.Excludes(1) || p != 1 {
		t.Errorf("equal without noise: %+v %v", ratio, p)
	}
	if ratio, p := CompareSpeeds([]float64{2, 2, 2, 2, 2}, []float64{4, 4, 4, 4, 4}); !ratio.Excludes(1) || p != 0 || ratio.Value != 0.5 {
		t.Errorf("half without noise: %+v %v", ratio, p)
	}
	if ratio, p := CompareSpeeds([]float64{1, 2, 3, 4, 0}, b); ratio.Claims() || p != 1 {
		t.Errorf("a speed of zero has no logarithm: %+v %v", ratio, p)
	}
}

func TestRatiosCancelSharedNoise(t *testing.T) {
	slow, fast := []float64{98, 196, 49, 98, 147}, []float64{100, 200, 50, 100, 150}
	e, p := EstimateRatio(slow, fast)
	if math.Abs(e.Value-0.98) > 1e-9 || !e.Excludes(1) || p > 1e-6 {
		t.Errorf("a constant 2 %% loss under noise of factor four came out as %+v, p = %v", e, p)
	}
}

// Four samples of one process are not four processes.
func TestRepeats(t *testing.T) {
	got := Repeats([]float64{1, 4, 9, 9, 2, 8}, 2)
	want := []float64{2, 9, 4}
	for i := range want {
		if len(got) != 3 || math.Abs(got[i]-want[i]) > 1e-12 {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	if got := Repeats([]float64{1, 2, 3}, 2); len(got) != 2 || math.Abs(got[1]-3) > 1e-12 {
		t.Errorf("an incomplete repeat is lost: %v", got)
	}
	if got := Repeats([]float64{1, 2}, 0); len(got) != 2 {
		t.Errorf("%v", got)
	}
}

// Holm (1979): 0.01, 0.04, 0.03, 0.005 of four become 0.03, 0.06, 0.06, 0.02.
func TestHolm(t *testing.T) {
	got := Holm([]float64{0.01, 0.04, 0.03, 0.005})
	for i, want := range []float64{0.03, 0.06, 0.06, 0.02} {
		if math.Abs(got[i]-want) > 1e-12 {
			t.Errorf("%v", got)
		}
	}
	if len(Holm(nil)) != 0 {
		t.Error("nothing was adjusted to something")
	}
}
