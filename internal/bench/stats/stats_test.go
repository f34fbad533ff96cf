package stats

import (
	"math"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	xs := []float64{4, 1, 3, 2}
	for _, c := range []struct{ q, want float64 }{{0, 1}, {0.5, 2.5}, {1, 4}, {0.25, 1.75}, {-1, 1}, {2, 4}} {
		if got := Quantile(xs, c.q); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("quantile(%v) = %v, want %v", c.q, got, c.want)
		}
	}
	if xs[0] != 4 {
		t.Error("quantile sorted its argument")
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

func TestLatency(t *testing.T) {
	l := NewLatency()
	if l.Distribution() != (Distribution{}) {
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
