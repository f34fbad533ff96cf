package sample

import "math"

// draw is a uniform number in [0, 1) from the sequence's own generator.
func (in *Input) draw() float64 { return float64(in.Rand.Uint64()>>11) / (1 << 53) }

// choose draws a token from the changed logits.
func (s *Sampler) choose(x []float32, in Input) (int32, error) {
	p := in.Params
	if p.Temperature < coldest || p.TopK == 1 {
		i := s.set.ArgMax(x)
		return int32(i), possible(x[i])
	}
	m := s.set.Max(x)
	if err := possible(m); err != nil {
		return 0, err
	}
	scale := 1 / p.Temperature
	switch limited := p.TopK > 0 && p.TopK < len(x); {
	case limited && p.TopK <= s.tries[1]:
		return s.fromTop(x, m, in), nil
	case limited:
		return s.fromAll(x, m, in), nil
	case p.TopP < 1 || p.MinP > 0:
		if token, ok := s.fromFew(x, m, in); ok {
			return token, nil
		}
		return s.fromAll(x, m, in), nil
	}
	return s.fromWhole(x, m, scale, in.draw()), nil
}

// possible says why a row with this maximum gives no token.
func possible(m float32) error {
	switch {
	case finite(m):
		return nil
	case m < 0:
		return ErrNoToken
	}
	return ErrNotFinite
}

// total is the sum of exp((x-max)*scale). The sums of the chunks stay in s.chunkMass.
func (s *Sampler) total(x []float32, max, scale float32) float64 {
	sum := 0.0
	for c := range s.chunkMass {
		part := s.part[:copy(s.part, x[c*len(s.part):])]
		s.chunkMass[c] = float64(s.set.ExpSum(part, max, scale))
		sum += s.chunkMass[c]
	}
	return sum
}

// weigh turns the first n candidates' logits into weights.
func (s *Sampler) weigh(n int, max, scale float32) []float32 {
	w := s.part[:copy(s.part, s.vals[:n])]
	s.set.ExpSum(w, max, scale)
	return w
}

// fromTop draws from the likeliest TopK tokens.
func (s *Sampler) fromTop(x []float32, max float32, in Input) int32 {
	p := in.Params
	n := s.set.TopK(x, p.TopK, s.vals, s.ids)
	w := s.weigh(n, max, 1/p.Temperature)
	sum := 0.0
	for _, v := range w {
		sum += float64(v)
	}
	n, _ = nucleus(w, float64(p.TopP)*sum)
	n = aboveMin(w[:n], p.MinP)
	return s.ids[pick(w[:n], in.draw())]
}

// fromFew draws if the tokens that TopP and MinP leave are among the likeliest
// few, as they nearly always are.
func (s *Sampler) fromFew(x []float32, max float32, in Input) (int32, bool) {
	p := in.Params
	scale := 1 / p.Temperature
	target := math.Inf(1)
	if p.TopP < 1 {
		target = float64(p.TopP) * s.total(x, max, scale)
	}
	for _, k := range s.tries {
		n := s.set.TopK(x, min(k, len(s.vals)), s.vals, s.ids)
		w := s.weigh(n, max, scale)
		inside, reached := nucleus(w, target)
		kept := aboveMin(w[:inside], p.MinP)
		if reached || kept < n || n == len(x) {
			return s.ids[pick(w[:kept], in.draw())], true
		}
	}
	return 0, false
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

// aboveMin is how many of the weights, largest first, are at least a fraction
// of the first.
func aboveMin(w []float32, fraction float32) int {
	least := w[0] * fraction
	n := len(w)
	for n > 1 && w[n-1] < least {
		n--
	}
	return n
}

// pick draws an index in proportion to the weights.
func pick(w []float32, u float64) int {
	sum := 0.0
	for _, v := range w {
		sum += float64(v)
	}
	u *= sum
	last := 0
	for i, v := range w {
		if v == 0 {
			continue
		}
		last = i
		if u -= float64(v); u < 0 {
			break
		}
	}
	return last // rounding may leave a little of u at the end
}

// fromWhole draws from all tokens: first the chunk, then the token in it.
func (s *Sampler) fromWhole(x []float32, max, scale float32, u float64) int32 {
	u *= s.total(x, max, scale)
	at := 0
	for c, sum := range s.chunkMass {
		if sum == 0 {
			continue
		}
		at = c
		if u < sum {
			break
		}
		u -= sum
	}
	first := at * len(s.part)
	part := s.part[:copy(s.part, x[first:])]
	sum := float64(s.set.ExpSum(part, max, scale))
	return int32(first + pick(part, min(u/sum, 1)))
}
