package sample

import "math"

const (
	buckets = 512
	// deepest is how far below the largest logit, in temperatures, the buckets
	// reach. What is lower has next to no probability.
	deepest = 20
	// doubt is by how many standard deviations a sample may be wrong.
	doubt = 4
	// rounding is the part of a sum that is not to be relied on.
	rounding = 1e-6
)

// bucket holds the weights of a sample's tokens in a range of logits.
type bucket struct{ mass, squares float64 }

// goal is the fraction of all weight that a set is to reach, of which some is
// known to be above the list.
type goal struct{ fraction, known float64 }

// guess returns limits between which an edge is likely to be, from a sample of
// the list: a line of memory here and there, so that the same row gives the same
// sample. The limits are within the span.
func (s *Sampler) guess(list []float32, m measure, e span, g goal) (lo, hi float32) {
	x := s.sample(list)
	w := s.part[:copy(s.part, x)]
	s.set.ExpSum(w, m.max, m.scale)
	bottom := posInf
	for _, v := range x {
		if v > e.lo && v < bottom {
			bottom = v
		}
	}
	switch {
	case bottom > e.hi:
		return e.lo, e.hi // it has none of the span
	case bottom == e.hi:
		return below(e.hi), below(e.hi)
	}
	depth := e.hi - bottom
	if m.scale > 0 {
		depth = min(depth, deepest/m.scale)
	}
	perUnit := buckets / min(depth, math.MaxFloat32)
	all := s.fill(x, w, e, perUnit)
	part := float64(len(x)) / float64(len(list))
	known := g.known * part
	above, under := s.bracket(all, g.fraction*(known+all.mass)-known, min(max(g.fraction, 0), 1), 1-part)
	limit := func(b int) float32 { return min(max(e.hi-float32(b)/perUnit, e.lo), e.hi) }
	lo, hi = e.lo, limit(above)
	if under < buckets {
		lo = limit(under)
	}
	return min(lo, hi), hi
}

// sample copies some lines of a list, or all of it if it is short.
func (s *Sampler) sample(list []float32) []float32 {
	const line = 16
	if len(list) <= len(s.picked) {
		return s.picked[:copy(s.picked, list)]
	}
	lines, n := len(list)/line, len(s.picked)/line
	for i := range n {
		copy(s.picked[i*line:][:line], list[i*lines/n*line:])
	}
	return s.picked[:n*line]
}

// fill sorts a sample's tokens into the buckets.
func (s *Sampler) fill(x, w []float32, e span, perUnit float32) (all bucket) {
	clear(s.buckets)
	for i, v := range x {
		if !(v > e.lo && v <= e.hi) {
			continue
		}
		b := buckets - 1
		if d := (e.hi - v) * perUnit; d < buckets-1 {
			b = int(d)
		}
		mass := float64(w[i])
		s.buckets[b].mass += mass
		s.buckets[b].squares += mass * mass
	}
	for _, b := range s.buckets {
		all.mass += b.mass
		all.squares += b.squares
	}
	return all
}

// bracket walks the buckets from the largest logits down and compares the mass so
// far with the mass that the set needs. above is the last bucket before which it
// is too little for certain, under the first before which it is enough for
// certain: the edge lies between them.
func (s *Sampler) bracket(all bucket, need, fraction, unseen float64) (above, under int) {
	slack := rounding * all.mass
	var sum bucket
	for b := 0; ; b++ {
		out, in := (1-fraction)*(1-fraction)*sum.squares, fraction*fraction*(all.squares-sum.squares)
		d := sum.mass - need
		sure := math.Abs(d) > slack && (math.Abs(d)-slack)*(math.Abs(d)-slack) > doubt*doubt*unseen*(out+in)
		switch {
		case sure && d < 0:
			above = b
		case sure:
			return above, b
		}
		if b == buckets {
			return above, buckets
		}
		sum.mass += s.buckets[b].mass
		sum.squares += s.buckets[b].squares
	}
}
