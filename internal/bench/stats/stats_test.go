package stats

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestQuantile(t *testing.T) {
	xs := []float64{4, 1, 3, 2}
	for _, c := range []struct{ q, want float64 }{{0, 1}, {0.5, 2.5}, {1, 4}, {0.25, 1.75}, {-1, 1}, {2, 4}} {
		if got := Quantile(xs, c.q); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("Quantile(%v) = %v, want %v", c.q, got, c.want)
		}
	}
	if xs[0] != 4 {
		t.Error("Quantile sorted its argument")
	}
	if !math.IsNaN(Median(nil)) || !math.IsNaN(Mean(nil)) {
		t.Error("the median of nothing must be NaN, so that nobody prints it as a figure")
	}
}

func TestRatiosLeaveOutZeroDenominators(t *testing.T) {
	if got := Ratios([]float64{1, 2, 3}, []float64{2, 0, 3}); len(got) != 2 || got[0] != 0.5 || got[1] != 1 {
		t.Errorf("got %v", got)
	}
}

func TestEstimateCoversTheMedian(t *testing.T) {
	// Of 60 samples of a known distribution, about 95 % of the intervals must hold the true median.
	rng := rand.New(rand.NewPCG(1, 2))
	hit := 0
	for range 60 {
		xs := make([]float64, 15)
		for i := range xs {
			xs[i] = 100 + 5*rng.NormFloat64()
		}
		if !EstimateMedian(xs, 7).Excludes(100) {
			hit++
		}
	}
	if hit < 50 {
		t.Errorf("95 %% intervals held the median in %d of 60 cases", hit)
	}
}

func TestEstimateIsSeeded(t *testing.T) {
	xs := []float64{1, 5, 2, 8, 3}
	if EstimateMedian(xs, 3) != EstimateMedian(xs, 3) {
		t.Error("the same seed gave two intervals")
	}
}

// What a group has in common widens the interval: four samples of one process are not four processes.
func TestEstimateGrouped(t *testing.T) {
	var xs []float64
	for _, level := range []float64{0.90, 0.98, 1.0, 1.02, 1.10} {
		xs = append(xs, level, level, level, level)
	}
	grouped, single := EstimateGrouped(xs, 4, 1), EstimateMedian(xs, 1)
	if grouped.Value != 1 || single.Value != 1 || grouped.N != 20 {
		t.Errorf("%+v %+v", grouped, single)
	}
	if grouped.CI95[1]-grouped.CI95[0] <= single.CI95[1]-single.CI95[0] {
		t.Errorf("grouped %v, single %v", grouped.CI95, single.CI95)
	}
	for _, size := range []int{0, 3, 10, 20} { // no size, no divisor, too few groups
		if EstimateGrouped(xs, size, 1) != single {
			t.Errorf("groups of %d", size)
		}
	}
	if e := EstimateGrouped(nil, 2, 1); e.N != 0 {
		t.Errorf("%+v", e)
	}
}

func TestRatiosCancelSharedNoise(t *testing.T) {
	slow, fast := []float64{98, 196, 49, 98, 147}, []float64{100, 200, 50, 100, 150}
	e := EstimateRatio(slow, fast, 1)
	if math.Abs(e.Value-0.98) > 1e-9 || !e.Excludes(1) {
		t.Errorf("a constant 2 %% loss under noise of factor four came out as %+v", e)
	}
}

func TestPairedP(t *testing.T) {
	if p := PairedP([]float64{2, 3, 4, 5, 6, 7}, []float64{1, 2, 3, 4, 5, 6}, 1); p != 2.0/64 {
		t.Errorf("six differences of one sign: p = %v, want 2/64", p)
	}
	if p := PairedP([]float64{1, 2}, []float64{2, 1}, 1); p != 1 {
		t.Errorf("differences that cancel: p = %v", p)
	}
	long, same := make([]float64, 40), make([]float64, 40)
	for i := range long {
		same[i] = float64(i)
		long[i] = same[i] + 1
	}
	if p := PairedP(long, same, 1); p > 0.001 {
		t.Errorf("forty differences of one sign: p = %v", p)
	}
}

func TestMannWhitneyP(t *testing.T) {
	// Five values all below five others: the most extreme of C(10,5) = 252 arrangements, two-sided.
	if p := MannWhitneyP([]float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}); math.Abs(p-2.0/252) > 1e-12 {
		t.Errorf("p = %v, want %v", p, 2.0/252)
	}
	if p := MannWhitneyP([]float64{1, 1, 1}, []float64{1, 1, 1}); p != 1 {
		t.Errorf("all equal: p = %v", p)
	}
	if p := MannWhitneyP(nil, []float64{1}); p != 1 {
		t.Errorf("nothing to compare: p = %v", p)
	}
}

func TestExactUMatchesEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, m := rapid.IntRange(1, 5).Draw(t, "n"), rapid.IntRange(1, 5).Draw(t, "m")
		u := rapid.IntRange(0, n*m).Draw(t, "u")
		below, all := 0, 0
		for marks := range 1 << (n + m) {
			stat, placed := 0, 0
			for at := range n + m {
				if marks>>at&1 == 1 {
					placed++
					stat += at + 1 - placed // values of b that stand before this value of a
				}
			}
			if placed != n {
				continue
			}
			all++
			if stat <= u {
				below++
			}
		}
		if got, want := exactU(n, m, u), float64(below)/float64(all); math.Abs(got-want) > 1e-12 {
			t.Fatalf("P(U<=%d) for %d and %d = %v, want %v", u, n, m, got, want)
		}
	})
}

func TestLatency(t *testing.T) {
	l := NewLatency()
	if l.Distribution() != (Distribution{}) || l.Curve() != nil {
		t.Error("nothing added, something reported")
	}
	for i := 1; i <= 1000; i++ {
		l.Add(time.Duration(i) * time.Millisecond)
	}
	l.Add(1000 * time.Hour) // beyond the range: counted, not lost
	d := l.Distribution()
	if d.N != 1001 || math.Abs(d.P50-501) > 2 || math.Abs(d.P90-901) > 2 || math.Abs(d.P99-991) > 2 || math.Abs(d.Min-1) > 0.01 {
		t.Errorf("%+v", d)
	}
}
