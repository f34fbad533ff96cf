package stats

import "math/rand/v2"

// resamples is enough for the ends of a 95 % interval to move by less than a percent of its width between seeds.
const resamples = 4000

// Estimate is a median with its 95 % confidence interval.
type Estimate struct {
	Value float64    `json:"value"`
	CI95  [2]float64 `json:"ci95"`
	N     int        `json:"n"`
}

// Excludes reports whether x lies outside the interval: only then may a difference from x be claimed.
func (e Estimate) Excludes(x float64) bool { return x < e.CI95[0] || x > e.CI95[1] }

// EstimateMedian is the median of xs with a percentile bootstrap interval. The same seed gives the same interval. With fewer
// than two samples nothing is known about the spread, and the interval is the value itself.
func EstimateMedian(xs []float64, seed uint64) Estimate {
	e := Estimate{Value: Median(xs), N: len(xs)}
	e.CI95 = [2]float64{e.Value, e.Value}
	if len(xs) < 2 {
		return e
	}
	e.CI95 = bootstrap(len(xs), seed, func(pick []int, scratch []float64) float64 {
		for i, at := range pick {
			scratch[i] = xs[at]
		}
		return Median(scratch)
	})
	return e
}

// EstimateRatio is the median of the pairwise ratios a[i]/b[i]: rounds are resampled as pairs, so noise that both programs of
// a round shared cancels.
func EstimateRatio(a, b []float64, seed uint64) Estimate {
	return EstimateMedian(Ratios(a, b), seed)
}

// EstimateGrouped is EstimateMedian of samples that come in groups of equal size, one after the other, such as the rounds that
// the same processes went through: whole groups are resampled, for what is peculiar to a group is in all its samples. With
// fewer than three groups it is EstimateMedian.
func EstimateGrouped(xs []float64, size int, seed uint64) Estimate {
	if size < 1 || len(xs)%size != 0 || len(xs)/size < 3 {
		return EstimateMedian(xs, seed)
	}
	e := Estimate{Value: Median(xs), N: len(xs)}
	scratch := make([]float64, len(xs))
	e.CI95 = bootstrap(len(xs)/size, seed, func(pick []int, _ []float64) float64 {
		for i, at := range pick {
			copy(scratch[i*size:], xs[at*size:(at+1)*size])
		}
		return Median(scratch)
	})
	return e
}

func bootstrap(n int, seed uint64, statistic func(pick []int, scratch []float64) float64) [2]float64 {
	rng := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	pick, scratch := make([]int, n), make([]float64, n)
	values := make([]float64, resamples)
	for r := range values {
		for i := range pick {
			pick[i] = rng.IntN(n)
		}
		values[r] = statistic(pick, scratch)
	}
	return [2]float64{Quantile(values, 0.025), Quantile(values, 0.975)}
}

// EstimateMedianRatio is median(a)/median(b) of samples that were not taken in pairs: both are resampled on their own.
func EstimateMedianRatio(a, b []float64, seed uint64) Estimate {
	e := Estimate{Value: Median(a) / Median(b), N: min(len(a), len(b))}
	e.CI95 = [2]float64{e.Value, e.Value}
	if e.N < 2 {
		return e
	}
	rng := rand.New(rand.NewPCG(seed, 0x3c6ef372))
	draw := func(xs, scratch []float64) float64 {
		for i := range scratch {
			scratch[i] = xs[rng.IntN(len(xs))]
		}
		return Median(scratch)
	}
	x, y := make([]float64, len(a)), make([]float64, len(b))
	values := make([]float64, resamples)
	for r := range values {
		values[r] = draw(a, x) / draw(b, y)
	}
	e.CI95 = [2]float64{Quantile(values, 0.025), Quantile(values, 0.975)}
	return e
}
