package sample

import (
	"slices"
)

// fromAll draws when the candidates may be any number of tokens, as in a flat
// distribution. It finds the exact set by selection, in linear time on average,
// and never sorts.
func (s *Sampler) fromAll(x []float32, max float32, in Input) int32 {
	p := in.Params
	w := s.mass[:copy(s.mass, x)]
	sum := 0.0
	for part := range slices.Chunk(w, chunk) {
		sum += float64(s.set.ExpSum(part, max, 1/p.Temperature))
	}
	ids := s.order[:len(x)]
	for i := range ids {
		ids[i] = int32(i)
	}
	if p.TopK > 0 && p.TopK < len(ids) {
		n := s.selectBest(ids, x, func(int32) float64 { return 1 }, float64(p.TopK))
		ids, sum = ids[:n], 0
		for _, id := range ids {
			sum += float64(w[id])
		}
	}
	if p.TopP < 1 {
		n := s.selectBest(ids, x, func(id int32) float64 { return float64(w[id]) }, float64(p.TopP)*sum)
		ids = ids[:n]
	}
	least := p.MinP // the largest weight is 1
	kept := 0.0
	for _, id := range ids {
		if w[id] >= least {
			kept += float64(w[id])
		}
	}
	u, last := in.draw()*kept, ids[0]
	for _, id := range ids {
		if w[id] < least || w[id] == 0 {
			continue
		}
		last = id
		if u -= float64(w[id]); u < 0 {
			break
		}
	}
	return last
}

// selectBest reorders ids so that the first n are the best ones (by logit, then
// by lower id) whose weights together reach the target, no more than needed, and
// returns n, at least 1.
func (s *Sampler) selectBest(ids []int32, x []float32, weight func(int32) float64, target float64) int {
	lo, hi := 0, len(ids) // the boundary is in (lo, hi]
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
