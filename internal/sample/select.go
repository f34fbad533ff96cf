package sample

import "slices"

const (
	buckets = 2048
	// deepest is how far below the largest logit, in temperatures, the buckets
	// reach. What is lower has next to no probability and shares the last.
	deepest = 20
)

// selection is a set of the best tokens: all in buckets before end, and those of the
// bucket end that are listed.
type selection struct {
	end    int
	listed []int32
	mass   float64
}

// fromAll draws when the candidates may be any number of tokens, as in a flat
// distribution. Tokens fall into buckets by logit; only in the bucket at the
// edge is it looked for which of them still belong. Linear time, no sort.
func (s *Sampler) fromAll(x []float32, max float32, in Input) int32 {
	p := in.Params
	w := s.weights[:copy(s.weights, x)]
	for part := range slices.Chunk(w, chunk) {
		s.set.ExpSum(part, max, 1/p.Temperature)
	}
	s.bucketScale, s.bucketTop = buckets/(deepest*p.Temperature), max
	best := s.fill(x, w)
	if p.TopK > 0 && p.TopK < len(x) {
		best = s.limit(best, x, w, s.bucketCount, func(int32) float64 { return 1 }, float64(p.TopK))
	}
	if p.TopP < 1 {
		best = s.limit(best, x, w, s.bucketMass, func(id int32) float64 { return float64(w[id]) }, float64(p.TopP)*best.mass)
	}
	return s.drawFrom(best, x, w, p.MinP, in.draw())
}

// depth is the position of a logit among the buckets; its integer part is the
// bucket.
func (s *Sampler) depth(v float32) float32 {
	d := (s.bucketTop - v) * s.bucketScale
	if !(d < buckets-1) {
		return buckets - 1
	}
	return d
}

// fill counts and weighs the tokens of every bucket.
func (s *Sampler) fill(x, w []float32) selection {
	clear(s.bucketCount)
	clear(s.bucketMass)
	sum := 0.0
	for i, v := range x {
		b := int(s.depth(v))
		s.bucketCount[b]++
		s.bucketMass[b] += float64(w[i])
		sum += float64(w[i])
	}
	return selection{end: buckets, mass: sum}
}

// limit cuts a set down to the best tokens that reach the target together, at
// least one and no more than needed. sums holds the weights of whole buckets.
func (s *Sampler) limit(from selection, x, w []float32, sums []float64, weight func(int32) float64, target float64) selection {
	cut := selection{}
	before := 0.0
	for cut.end < from.end && cut.end < buckets-1 && before+sums[cut.end] < target {
		before += sums[cut.end]
		cut.mass += s.bucketMass[cut.end]
		cut.end++
	}
	if cut.end == from.end {
		cut.listed = from.listed
	} else {
		cut.listed = s.list(x, cut.end)
	}
	if len(cut.listed) > 0 {
		n := s.selectBest(cut.listed, x, weight, target-before)
		cut.listed = cut.listed[:n]
	}
	for _, id := range cut.listed {
		cut.mass += float64(w[id])
	}
	return cut
}

// list gathers the tokens of a bucket.
func (s *Sampler) list(x []float32, bucket int) []int32 {
	ids := s.order[:0]
	for i, v := range x {
		if int(s.depth(v)) == bucket {
			ids = append(ids, int32(i))
		}
	}
	return ids
}

// drawFrom draws from those of a set whose weight is at least the fraction; the
// largest weight is 1.
func (s *Sampler) drawFrom(from selection, x, w []float32, fraction float32, u float64) int32 {
	mass := from.mass
	if fraction > 0 {
		mass = 0
		s.walk(from, x, w, fraction, func(_ int32, v float64) bool { mass += v; return true })
	}
	u *= mass
	last := int32(none)
	s.walk(from, x, w, fraction, func(id int32, v float64) bool {
		last = id
		u -= v
		return u >= 0
	})
	return last
}

const none = -1

// walk visits the tokens of a set that have a weight until visit returns false.
func (s *Sampler) walk(from selection, x, w []float32, fraction float32, visit func(int32, float64) bool) {
	for _, id := range from.listed {
		if v := w[id]; v > 0 && v >= fraction && !visit(id, float64(v)) {
			return
		}
	}
	end := float32(from.end)
	for i, v := range w {
		if v > 0 && v >= fraction && s.depth(x[i]) < end && !visit(int32(i), float64(v)) {
			return
		}
	}
}

// selectBest reorders ids so that the first n are the best ones (by logit, then
// by lower id) whose weights together reach the target, no more than needed, and
// returns n, at least 1.
func (s *Sampler) selectBest(ids []int32, x []float32, weight func(int32) float64, target float64) int {
	lo, hi := 0, len(ids) // the edge is in (lo, hi]
	for hi-lo > 1 {
		pivot := ids[lo+int(s.pivot.Uint64()%uint64(hi-lo))]
		mid, sum := s.partition(ids, lo, hi, x, pivot, weight)
		if sum >= target {
			hi = mid
		} else {
			lo, target = mid, target-sum
		}
	}
	return hi
}

// partition moves those better than the pivot, and it, before the others of
// ids[lo:hi]. mid is where the others begin, but not hi: then the pivot itself is
// left out, so that every call makes the range smaller.
func (s *Sampler) partition(ids []int32, lo, hi int, x []float32, pivot int32, weight func(int32) float64) (mid int, sum float64) {
	v := x[pivot]
	mid = lo
	at := lo
	for i := lo; i < hi; i++ {
		id := ids[i]
		if x[id] > v || x[id] == v && id <= pivot {
			ids[i], ids[mid] = ids[mid], id
			if id == pivot {
				at = mid
			}
			sum += weight(id)
			mid++
		}
	}
	if mid == hi {
		ids[at], ids[hi-1] = ids[hi-1], ids[at]
		return hi - 1, sum - weight(pivot)
	}
	return mid, sum
}
