package stats

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// MinRepeats is the fewest independent repeats from which anything is claimed: an interval, a floor, a difference. Repeats are
// independent when nothing is in all samples of one of them that is not in all samples of the others: new processes, not more
// requests to the same one.
const MinRepeats = 5

// Estimate is what independent repeats say about a quantity. With MinRepeats or more, Value is their mean and CI95 the 95 %
// confidence interval of the mean by Student's t distribution. With fewer, Value is their median and there is no interval.
type Estimate struct {
	Value float64    `json:"value"`
	CI95  [2]float64 `json:"ci95,omitzero"`
	N     int        `json:"n"` // independent repeats
}

// Claims reports whether there were enough repeats to claim anything.
func (e Estimate) Claims() bool { return e.N >= MinRepeats }

// Excludes reports whether there is an interval and x lies outside it: only then may a difference from x be claimed.
func (e Estimate) Excludes(x float64) bool {
	return e.Claims() && (x < e.CI95[0] || x > e.CI95[1])
}

// Loss turns the estimate of a ratio into that of what is lost: 1 - ratio.
func (e Estimate) Loss() Estimate {
	l := Estimate{Value: 1 - e.Value, N: e.N}
	if e.Claims() {
		l.CI95 = [2]float64{1 - e.CI95[1], 1 - e.CI95[0]}
	}
	return l
}

// EstimateMean estimates the arithmetic mean. It suits quantities that can be negative, such as differences.
func EstimateMean(xs []float64) Estimate {
	if len(xs) < MinRepeats {
		return Estimate{Value: Median(xs), N: len(xs)}
	}
	mean, sd := stat.MeanStdDev(xs, nil)
	half := tQuantile(float64(len(xs)-1)) * sd / math.Sqrt(float64(len(xs)))
	return Estimate{Value: mean, CI95: [2]float64{mean - half, mean + half}, N: len(xs)}
}

// EstimateSpeed estimates the geometric mean of positive values. It suits speeds, times and their ratios, whose noise is a
// factor: their logarithms are about normal, which the t interval assumes. Values that are not positive allow no claim.
func EstimateSpeed(xs []float64) Estimate {
	logs, ok := logarithms(xs)
	if !ok {
		return Estimate{Value: Median(xs)}
	}
	e := EstimateMean(logs)
	if !e.Claims() {
		return Estimate{Value: Median(xs), N: len(xs)}
	}
	return e.exp()
}

// EstimateRatio estimates a/b from pairs: a[i] and b[i] are of the same repeat, so that noise that both had cancels. P is the
// two-sided p-value of "a and b are equal", by the paired t test on logarithms; 1 with fewer than MinRepeats pairs.
func EstimateRatio(a, b []float64) (ratio Estimate, p float64) {
	ratios := Ratios(a, b)
	ratio = EstimateSpeed(ratios)
	logs, ok := logarithms(ratios)
	if !ok || !ratio.Claims() {
		return ratio, 1
	}
	mean, sd := stat.MeanStdDev(logs, nil)
	return ratio, tTest(mean, sd/math.Sqrt(float64(len(logs))), float64(len(logs)-1))
}

// CompareSpeeds estimates a/b from two sets of repeats that were not taken in pairs, such as two runs on different days. P is
// the two-sided p-value of "a and b are equal", by Welch's t test on logarithms. N is that of the smaller set; with fewer than
// MinRepeats in one of them, the ratio is that of the medians and p is 1.
func CompareSpeeds(a, b []float64) (ratio Estimate, p float64) {
	ratio = Estimate{Value: Median(a) / Median(b), N: min(len(a), len(b))}
	x, okA := logarithms(a)
	y, okB := logarithms(b)
	if !okA || !okB {
		ratio.N = 0
	}
	if !ratio.Claims() {
		return ratio, 1
	}
	meanA, varA := stat.MeanVariance(x, nil)
	meanB, varB := stat.MeanVariance(y, nil)
	varA, varB = varA/float64(len(x)), varB/float64(len(y)) // of the means
	diff, se := meanA-meanB, math.Sqrt(varA+varB)
	df := 1.0 // any: without variance the interval is a point
	if se > 0 {
		df = (varA + varB) * (varA + varB) / (varA*varA/float64(len(x)-1) + varB*varB/float64(len(y)-1))
	}
	half := tQuantile(df) * se
	return Estimate{Value: diff, CI95: [2]float64{diff - half, diff + half}, N: ratio.N}.exp(), tTest(diff, se, df)
}

// Repeats reduces samples to one value for each independent repeat, their geometric mean. The samples of a repeat stand one
// after the other, size of them. What is peculiar to a repeat is in all its samples, so that these are no independent evidence.
func Repeats(xs []float64, size int) []float64 {
	if size <= 1 {
		return xs
	}
	var out []float64
	for len(xs) > 0 {
		n := min(size, len(xs))
		out = append(out, stat.GeometricMean(xs[:n], nil))
		xs = xs[n:]
	}
	return out
}

// Holm adjusts p-values that are looked at together, so that the chance that any difference is claimed where there is none
// stays below the level that a single one is held to.
func Holm(ps []float64) []float64 {
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ps[a], ps[b]) })
	out := make([]float64, len(ps))
	var highest float64
	for rank, i := range order {
		highest = max(highest, min(1, ps[i]*float64(len(ps)-rank)))
		out[i] = highest
	}
	return out
}

// exp turns an estimate of a logarithm into one of the value.
func (e Estimate) exp() Estimate {
	e.Value = math.Exp(e.Value)
	e.CI95 = [2]float64{math.Exp(e.CI95[0]), math.Exp(e.CI95[1])}
	return e
}

func logarithms(xs []float64) (logs []float64, ok bool) {
	for _, x := range xs {
		if !(x > 0) || math.IsInf(x, 0) { // the comparison is false for NaN, too
			return nil, false
		}
		logs = append(logs, math.Log(x))
	}
	return logs, len(logs) > 0
}

// tQuantile is how many standard errors a 95 % interval extends to each side.
func tQuantile(df float64) float64 {
	return distuv.StudentsT{Sigma: 1, Nu: df}.Quantile(0.975)
}

// tTest is the two-sided p-value of a difference with its standard error. Without any variance, equal is certain.
func tTest(diff, se, df float64) float64 {
	if se == 0 {
		if diff == 0 {
			return 1
		}
		return 0
	}
	return 2 * distuv.StudentsT{Sigma: 1, Nu: df}.CDF(-math.Abs(diff/se))
}
