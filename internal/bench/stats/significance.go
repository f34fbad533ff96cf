package stats

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// PairedP is the two-sided p-value of "the paired differences a[i]-b[i] are as likely positive as negative": a sign-flip
// permutation test on their mean, exact up to 16 pairs. Use it for alternated rounds.
func PairedP(a, b []float64, seed uint64) float64 {
	n := min(len(a), len(b))
	if n < 2 {
		return 1
	}
	diffs := make([]float64, n)
	var observed float64
	for i := range diffs {
		diffs[i] = a[i] - b[i]
		observed += diffs[i]
	}
	limit := math.Abs(observed) * (1 - 1e-12) // the observed arrangement itself must count
	if n <= 16 {
		return exactFlips(diffs, limit)
	}
	const draws = 20000
	rng := rand.New(rand.NewPCG(seed, 1))
	extreme := 1
	for range draws {
		var sum float64
		for _, d := range diffs {
			if rng.Uint64()&1 == 0 {
				d = -d
			}
			sum += d
		}
		if math.Abs(sum) >= limit {
			extreme++
		}
	}
	return float64(extreme) / (draws + 1)
}

func exactFlips(diffs []float64, limit float64) float64 {
	all := 1 << len(diffs)
	extreme := 0
	for signs := range all {
		var sum float64
		for i, d := range diffs {
			if signs>>i&1 == 1 {
				d = -d
			}
			sum += d
		}
		if math.Abs(sum) >= limit {
			extreme++
		}
	}
	return float64(extreme) / float64(all)
}

// MannWhitneyP is the two-sided p-value of "a value of a is as likely above a value of b as below": exact for small samples
// without ties, the normal approximation with tie correction otherwise. Use it for runs that were not taken in pairs.
func MannWhitneyP(a, b []float64) float64 {
	n, m := len(a), len(b)
	if n == 0 || m == 0 {
		return 1
	}
	rankSum, ties := rankSum(a, b)
	u := rankSum - float64(n*(n+1))/2
	u = min(u, float64(n*m)-u)
	if ties == 0 && n <= 20 && m <= 20 {
		return min(1, 2*exactU(n, m, int(u)))
	}
	total := float64(n + m)
	variance := float64(n*m) / 12 * (total + 1 - ties/(total*(total-1)))
	if variance <= 0 {
		return 1
	}
	z := max(0, float64(n*m)/2-u-0.5) / math.Sqrt(variance)
	return min(1, math.Erfc(z/math.Sqrt2))
}

// rankSum gives the sum of a's ranks among all values, and the tie term sum(t^3-t) of the variance.
func rankSum(a, b []float64) (sum, ties float64) {
	type value struct {
		x     float64
		fromA bool
	}
	all := make([]value, 0, len(a)+len(b))
	for _, x := range a {
		all = append(all, value{x, true})
	}
	for _, x := range b {
		all = append(all, value{x, false})
	}
	slices.SortFunc(all, func(p, q value) int { return cmp.Compare(p.x, q.x) })
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].x == all[i].x {
			j++
		}
		rank := float64(i+j+1) / 2
		for _, v := range all[i:j] {
			if v.fromA {
				sum += rank
			}
		}
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	return sum, ties
}

// exactU is P(U <= u) for samples of n and m without ties: the share of the arrangements of n marks among n+m places whose
// statistic is at most u, counted by the usual recurrence over sample sizes.
func exactU(n, m, u int) float64 {
	// ways[i][s]: arrangements of i values of a and j of b (j = rows done so far) with U = s
	ways := make([][]float64, n+1)
	for i := range ways {
		ways[i] = make([]float64, n*m+1)
		ways[i][0] = 1
	}
	for j := 1; j <= m; j++ {
		for i := 1; i <= n; i++ {
			for s := i * j; s >= j; s-- {
				ways[i][s] += ways[i-1][s-j]
			}
		}
	}
	var below, all float64
	for s, w := range ways[n] {
		all += w
		if s <= u {
			below += w
		}
	}
	return below / all
}
