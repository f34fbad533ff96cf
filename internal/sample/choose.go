package sample

import (
	"math"
	"slices"
)

// draw is a uniform number in [0, 1) from the sequence's own generator.
func (in *Input) draw() float64 { return float64(in.Rand.Uint64()>>11) / (1 << 53) }

// choose draws a token from the changed logits, of which top is the largest.
//
// It draws by inverse CDF: it takes a random number u in [0, 1), walks the
// candidates in id order, adds up their probabilities, and returns the first
// token at which the sum exceeds u.
//
// The candidates are those that TopK, TopP and MinP leave of the model's own
// probabilities; the temperature shapes the draw among them. So there are two
// measures of a token's weight: rank, at temperature 1, decides who is a
// candidate, and weigh, at the temperature of the request, is the weight in the
// draw.
func (s *Sampler) choose(x []float32, top peak, in *Input, out *Output) (int32, error) {
	if err := possible(top.value); err != nil {
		return 0, err
	}
	p := in.Params
	s.last = nothing
	if p.chained() {
		return s.chain(x, in, out), nil
	}
	if p.Temperature < coldest || p.TopK == 1 {
		return s.lowest(x, top), nil
	}
	m := measures{rank: measure{top.value, 1}, weigh: measure{top.value, 1 / p.Temperature}}
	limited := p.TopK > 0 && p.TopK < len(x)
	switch {
	case limited && p.TopK <= len(s.vals):
		return s.fromTop(x, m, in), nil
	case limited:
		return s.fromLimited(x, m, in), nil
	case p.TopP < 1:
		return s.fromNucleus(x, m, in), nil
	case p.MinP > 0:
		return s.fromFloor(x, m, in), nil
	}
	s.total(x, m.weigh)
	return s.drawFrom(x, m.weigh, everything, in.draw()), nil
}

// measures are the two weights of a token, see choose.
type measures struct{ rank, weigh measure }

// possible returns why a row with the maximum m gives no token, or nil.
func possible(m float32) error {
	switch {
	case finite(m):
		return nil
	case m < 0:
		return ErrNoToken
	}
	return ErrNotFinite
}

// peak is the largest logit of a row and the chunk that it is in.
type peak struct {
	value float32
	chunk int
}

// peak finds the largest logit, and whether there is a NaN in the row.
func (s *Sampler) peak(x []float32) (top peak, nan bool) {
	top.value = negInf
	for c := range s.mass {
		v, odd := s.set.Peak(s.chunkOf(x, c))
		if v > top.value {
			top = peak{v, c}
		}
		nan = nan || odd
	}
	return top, nan
}

// lowest is the lowest id of those with the largest logit.
func (s *Sampler) lowest(x []float32, top peak) int32 {
	id := top.chunk * s.chunk
	for x[id] != top.value {
		id++
	}
	return int32(id)
}

// candidates are the likeliest tokens of a row, largest first: their ids, logits
// and weights.
type candidates struct {
	ids  []int32
	vals []float32
	w    []float32
}

// reweigh keeps the first n candidates and weighs them by m.
func (s *Sampler) reweigh(l candidates, n int, m measure) candidates {
	l.ids, l.vals, l.w = l.ids[:n], l.vals[:n], l.w[:copy(l.w[:n], l.vals)]
	s.set.ExpSum(l.w, m.max, m.scale)
	return l
}

func (s *Sampler) likeliest(x []float32, m measure, k int) candidates {
	n := min(k, len(x))
	if s.found < n {
		s.found = s.set.TopK(x, n, s.vals, s.ids)
	}
	w := s.weights[:copy(s.weights, s.vals[:n])]
	s.set.ExpSum(w, m.max, m.scale)
	return candidates{s.ids[:n], s.vals[:n], w}
}

// fromTop draws from the likeliest TopK tokens, if they are not many.
func (s *Sampler) fromTop(x []float32, m measures, in *Input) int32 {
	p := in.Params
	l := s.likeliest(x, m.rank, p.TopK)
	n := len(l.w)
	if p.TopP < 1 {
		n, _ = nucleus(l.w, float64(p.TopP)*sum(l.w))
	}
	return s.drawFew(l, n, m, in)
}

func sum(w []float32) (sum float64) {
	for _, v := range w {
		sum += float64(v)
	}
	return sum
}

// nucleus is how many of the weights, largest first, reach the target together,
// and whether they do.
func nucleus(w []float32, target float64) (int, bool) {
	sum := 0.0
	for i, v := range w {
		if sum += float64(v); sum >= target {
			return i + 1, true
		}
	}
	return len(w), false
}

// floor is the largest logit that MinP excludes.
func floor(p *Params, rank measure) float32 {
	if p.MinP == 0 {
		return negInf
	}
	return below(min(float32(float64(rank.max)+math.Log(float64(p.MinP))), rank.max))
}

// drawFew draws from those of the first n candidates that MinP leaves.
func (s *Sampler) drawFew(l candidates, n int, m measures, in *Input) int32 {
	for f := floor(in.Params, m.rank); n > 1 && l.vals[n-1] <= f; {
		n--
	}
	if m.weigh != m.rank {
		l = s.reweigh(l, n, m.weigh)
	}
	u := in.draw()
	byID := s.byID[:n]
	for i := range byID {
		byID[i] = uint64(l.ids[i])<<32 | uint64(math.Float32bits(l.w[i]))
	}
	slices.Sort(byID)
	weight := func(v uint64) float64 { return float64(math.Float32frombits(uint32(v))) }
	mass := 0.0
	for _, v := range byID {
		mass += weight(v)
	}
	u *= mass
	last := uint64(0)
	for _, v := range byID {
		w := weight(v)
		if w == 0 {
			continue
		}
		last = v >> 32
		if u -= w; u < 0 {
			break
		}
	}
	return int32(last) // rounding may leave a little of u at the end
}

// fromFloor draws from the tokens that MinP leaves.
func (s *Sampler) fromFloor(x []float32, m measures, in *Input) int32 {
	f := floor(in.Params, m.rank)
	l := s.likeliest(x, m.rank, s.few)
	if n := len(l.vals); n == len(x) || l.vals[n-1] <= f {
		return s.drawFew(l, n, m, in)
	}
	c := cut{at: f}
	s.settle(x, m.weigh, c)
	return s.drawFrom(x, m.weigh, c, in.draw())
}

// fromNucleus draws from the tokens that TopP and MinP leave. Nearly always they
// are among the likeliest few, which are cheap to find. If they are not, one pass
// over the row weighs it and gathers the logits around the edge of the set; where
// to look for the edge is guessed before, from a sample of the row.
func (s *Sampler) fromNucleus(x []float32, m measures, in *Input) int32 {
	p := in.Params
	f := floor(p, m.rank)
	fraction := float64(p.TopP)
	edge := span{lo: negInf, hi: m.rank.max}
	var l candidates
	if !s.flat(x, m.rank, fraction) {
		l = s.likeliest(x, m.rank, s.few)
		n := len(l.vals)
		if n == len(x) {
			n, _ = nucleus(l.w, fraction*sum(l.w))
			return s.drawFew(l, n, m, in)
		}
		edge.hi = l.vals[n-1]
	}
	for i, v := range l.vals {
		if v > edge.hi {
			edge.before += float64(l.w[i])
		}
	}
	lo, hi := s.guess(x, m.rank, edge, goal{fraction, edge.before})
	if f >= hi {
		lo, hi = f, f // MinP excludes what the edge of TopP is in
	}
	if lo == hi && len(l.w) > 0 { // it is among the likeliest: only the total is missing
		if k, reached := nucleus(l.w, fraction*s.total(x, m.rank)); reached {
			return s.drawFew(l, k, m, in)
		}
	}
	sc := s.scan(x, m.rank, lo, hi)
	target := fraction * sc.total
	if k, reached := nucleus(l.w, target); reached || edge.hi <= f {
		return s.drawFew(l, k, m, in)
	}
	c := cut{at: f}
	if hi != f || sc.aboveHi >= target {
		c = s.edgeOfRow(x, m.rank, edge, sc, target).raise(f)
	}
	s.settle(x, m.weigh, c)
	return s.drawFrom(x, m.weigh, c, in.draw())
}

// flat tells whether a row is so flat that its likeliest few tokens hardly reach
// the fraction of the whole: each of them weighs 1 at most.
func (s *Sampler) flat(x []float32, m measure, fraction float64) bool {
	picked := s.sample(x)
	mass := float64(s.set.Mass(picked, m.max, m.scale)) * float64(len(x)) / float64(len(picked))
	return len(x) > s.few && fraction*mass > 2*float64(s.few)
}

// fromLimited draws from the likeliest TopK tokens, if they are many.
func (s *Sampler) fromLimited(x []float32, m measures, in *Input) int32 {
	p := in.Params
	count := measure{m.rank.max, 0} // every token weighs 1
	all := span{lo: negInf, hi: m.rank.max, inside: float64(len(x))}
	lo, _ := s.guess(x, count, all, goal{float64(p.TopK) / float64(len(x)), 0})
	sc := s.scan(x, m.rank, lo, posInf)
	if sc.gathered < p.TopK {
		lo = negInf
		sc = s.scan(x, m.rank, lo, posInf)
	}
	c := everything
	if sc.gathered >= p.TopK {
		c = s.edge(s.list[:sc.end], count, span{lo: lo, hi: m.rank.max, inside: float64(sc.gathered)}, float64(p.TopK))
	}
	if p.TopP < 1 {
		mass := s.settle(x, m.rank, c)
		e := s.edge(s.list[:sc.end], m.rank, span{lo: below(c.at), hi: m.rank.max, inside: mass}, float64(p.TopP)*mass)
		if e.at == c.at {
			e.ties = min(e.ties, c.ties)
		}
		c = e
	}
	c = c.raise(floor(p, m.rank))
	s.settle(x, m.weigh, c)
	return s.drawFrom(x, m.weigh, c, in.draw())
}
