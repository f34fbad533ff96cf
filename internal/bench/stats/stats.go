// Package stats holds the small statistics that a benchmark needs to be believed: medians and quantiles, estimates with
// confidence intervals over independent repeats, tests of whether two things differ, and a latency histogram. It measures
// nothing itself and knows nothing of servers or models. The packages of internal/bench call it.
package stats

import (
	"math"
	"slices"
)

// Quantile returns the q-quantile of xs (linear interpolation between order statistics), NaN for an empty slice.
// xs is left as it is.
func Quantile(xs []float64, q float64) float64 {
	if len(xs) == 0 {
		return math.NaN()
	}
	s := slices.Clone(xs)
	slices.Sort(s)
	return sortedQuantile(s, q)
}

func sortedQuantile(s []float64, q float64) float64 {
	at := min(max(q, 0), 1) * float64(len(s)-1)
	i := int(at)
	if i+1 >= len(s) {
		return s[len(s)-1]
	}
	return s[i] + (at-float64(i))*(s[i+1]-s[i])
}

// Median is the 0.5-quantile.
func Median(xs []float64) float64 { return Quantile(xs, 0.5) }

// Mean is the arithmetic mean, NaN for an empty slice.
func Mean(xs []float64) float64 {
	if len(xs) == 0 {
		return math.NaN()
	}
	var sum float64
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

// Ratios divides pairwise. The slices are the same rounds of two programs, so they are equally long; a pair with a zero
// denominator is left out.
func Ratios(a, b []float64) []float64 {
	out := make([]float64, 0, min(len(a), len(b)))
	for i := range min(len(a), len(b)) {
		if b[i] != 0 {
			out = append(out, a[i]/b[i])
		}
	}
	return out
}

// Finite reports whether x can be printed and stored in JSON.
func Finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
