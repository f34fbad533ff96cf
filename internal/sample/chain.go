package sample

import (
	"math"
	"slices"
)

// chain runs the stages one after the other, for requests with parameters that
// choose has no shorter way for. It begins with the row; the first stage that
// keeps only some candidates makes a list of them, in the order of their ids,
// which the following stages shorten.
type chain struct {
	*Sampler
	in    Input
	row   []float32 // logits of all tokens
	ids   []int32   // the list; nil: all tokens of the row
	vals  []float32 // their logits
	scale float64   // 1 / temperature, once the temperature has run
}

func (s *Sampler) chain(x []float32, in *Input, out *Output) int32 {
	c := chain{Sampler: s, in: *in, row: x, scale: 1}
	order := in.Params.Order
	if order == nil {
		order = DefaultOrder[2:] // penalties and DRY have changed the row already
	}
	for _, stage := range order {
		c.run(stage)
	}
	if in.Params.Logprobs && in.Params.PostProbs {
		c.gather(negInf)
		token := c.draw()
		c.report(token, out)
		return token
	}
	if c.ids == nil {
		m := c.measure()
		s.total(x, m)
		return s.drawFrom(x, m, everything, in.draw())
	}
	return c.draw()
}

// measure is the weight of tokens in the row as it is now.
func (c *chain) measure() measure {
	top, _ := c.peak(c.row)
	return measure{top.value, float32(min(c.scale, math.MaxFloat32))}
}

func (c *chain) run(stage Stage) {
	p := c.in.Params
	switch stage {
	case Penalties:
		if p.penalises() {
			c.change(stage)
		}
	case DontRepeat:
		if p.DRY.Multiplier > 0 {
			c.change(stage)
		}
	case TopNSigma:
		c.topNSigma(float64(p.TopNSigma))
	case TopK:
		c.topK(p.TopK)
	case TypicalP:
		if p.typical() {
			c.typical(float64(p.TypicalP))
		}
	case TopP:
		if p.TopP < 1 {
			c.topP(float64(p.TopP))
		}
	case MinP:
		if p.MinP > 0 {
			c.minP(float64(p.MinP))
		}
	case XTC:
		if p.xtc() {
			c.xtc(float64(p.XTCProbability), float64(p.XTCThreshold))
		}
	case Temperature:
		c.temperature(p)
	}
}

// gather makes the list, of the tokens with logits above a floor, unless there
// is one already.
func (c *chain) gather(floor float32) {
	if c.ids != nil {
		return
	}
	c.ids, c.vals = c.order[:0], c.list[:0]
	for i, v := range c.row {
		if v > floor {
			c.ids, c.vals = append(c.ids, int32(i)), append(c.vals, v)
		}
	}
}

// change runs a stage that changes logits: on the row, or on the list if there is
// one. The list goes by way of the row too, because these stages look tokens up
// by their ids.
func (c *chain) change(stage Stage) {
	if c.scale != 1 {
		c.gather(negInf)
	}
	const most = math.MaxFloat32
	for i, t := range c.ids {
		c.row[t] = float32(max(-most, min(float64(c.vals[i])*c.scale, most)))
	}
	c.scale, c.found = 1, 0
	if stage == Penalties {
		c.penalise(c.row, &c.in)
	} else {
		c.dontRepeat(c.row, &c.in)
	}
	for i, t := range c.ids {
		c.vals[i] = c.row[t]
	}
}

// filter keeps the candidates that a function accepts. It asks in the order of
// the ids.
func (c *chain) filter(keep func(i int) bool) {
	n := 0
	for i := range c.ids {
		if keep(i) {
			c.ids[n], c.vals[n] = c.ids[i], c.vals[i]
			n++
		}
	}
	c.ids, c.vals = c.ids[:n], c.vals[:n]
}

// weights are the candidates' probabilities but for a factor, and their sum.
// They are valid until the next call.
func (c *chain) weights() (w []float32, sum float64) {
	c.gather(negInf)
	w = c.spare[0][:copy(c.spare[0], c.vals)]
	if len(w) == 0 {
		return w, 0
	}
	c.set.ExpSum(w, slices.Max(c.vals), float32(min(c.scale, math.MaxFloat32)))
	for _, v := range w {
		sum += float64(v)
	}
	return w, sum
}

// best keeps the candidates with the largest keys: as few as have the weight
// together, and at least MinKeep. Of equal keys the lowest ids come first. The
// keys lie in spare[1], the weights in spare[0]; both are lost.
func (c *chain) best(key func(i int) float32, weight float64) {
	keys, w := c.spare[1][:len(c.ids)], c.spare[0][:len(c.ids)]
	edge := selectEdge(keys, w, weight)
	if atLeast := c.in.Params.MinKeep; atLeast > 1 {
		for i := range keys {
			keys[i], w[i] = key(i), 1
		}
		if other := selectEdge(keys, w, float64(min(atLeast, len(keys)))); other.before(edge) {
			edge = other
		}
	}
	ties := edge.ties
	c.filter(func(i int) bool {
		k := key(i)
		if k == edge.key && ties > 0 {
			ties--
			return true
		}
		return k > edge.key
	})
}

// topK keeps the k candidates with the largest logits.
func (c *chain) topK(k int) {
	if k > 0 {
		k = max(k, c.in.Params.MinKeep)
	}
	if k <= 0 || k >= len(c.row) || c.ids != nil && k >= len(c.ids) {
		return
	}
	if c.ids == nil && k <= len(c.Sampler.vals) {
		c.topOfRow(k)
		return
	}
	c.gather(negInf)
	if k >= len(c.ids) {
		return
	}
	keys, w := c.spare[1][:copy(c.spare[1], c.vals)], c.spare[0][:len(c.ids)]
	for i := range w {
		w[i] = 1
	}
	edge := selectEdge(keys, w, float64(k))
	c.filter(func(i int) bool {
		if c.vals[i] == edge.key && edge.ties > 0 {
			edge.ties--
			return true
		}
		return c.vals[i] > edge.key
	})
}

// likeliest finds the k largest logits of the row, for k up to many.
func (c *chain) likeliest(k int) (ids []int32, vals []float32) {
	s := c.Sampler
	if s.found < k {
		s.found = s.set.TopK(c.row, k, s.vals, s.ids)
	}
	return s.ids[:min(k, s.found)], s.vals[:min(k, s.found)]
}

// topOfRow makes the list of the k largest logits of the row.
func (c *chain) topOfRow(k int) {
	ids, _ := c.likeliest(k)
	c.ids = append(c.order[:0], ids...)
	slices.Sort(c.ids)
	c.vals = c.list[:0]
	for _, t := range c.ids {
		c.vals = append(c.vals, c.row[t])
	}
	c.filter(func(i int) bool { return c.vals[i] > negInf })
}

// topNSigma keeps the candidates with logits at most n standard deviations below
// the largest (Tang et al., "Top-nσ", arXiv:2411.07641).
func (c *chain) topNSigma(n float64) {
	if n <= 0 {
		return
	}
	vals := c.vals
	if c.ids == nil {
		vals = c.row
	}
	count, sum, top := 0, 0.0, negInf
	for _, v := range vals {
		if v > negInf {
			count++
			sum += float64(v)
			top = max(top, v)
		}
	}
	mean, squares := sum/float64(max(count, 1)), 0.0
	for _, v := range vals {
		if v > negInf {
			squares += (float64(v) - mean) * (float64(v) - mean)
		}
	}
	lowest := atLeast(float64(top) - n*math.Sqrt(squares/float64(max(count, 1))))
	if c.ids == nil {
		c.gather(below(lowest))
		return
	}
	c.filter(func(i int) bool { return c.vals[i] >= lowest })
}

// atLeast is the smallest float32 that is not below v.
func atLeast(v float64) float32 {
	f := float32(v)
	if float64(f) < v {
		f = math.Nextafter32(f, posInf)
	}
	return f
}

// entropy is that of the candidates, in nats, for weights with this sum.
func (c *chain) entropy(w []float32, sum float64) float64 {
	top, moment := float64(slices.Max(c.vals)), 0.0
	for i, v := range w {
		if v > 0 {
			moment += float64(v) * (float64(c.vals[i]) - top)
		}
	}
	return math.Log(sum) - moment*c.scale/sum
}

// typical keeps the candidates whose surprise is closest to the expected one, as
// few as have probability p together (Meister et al., "Locally Typical Sampling",
// arXiv:2202.00666).
func (c *chain) typical(p float64) {
	w, sum := c.weights()
	if len(w) == 0 {
		return
	}
	top, h, logSum := float64(slices.Max(c.vals)), c.entropy(w, sum), math.Log(sum)
	key := func(i int) float32 {
		logprob := (float64(c.vals[i])-top)*c.scale - logSum
		return -float32(math.Abs(-logprob - h))
	}
	keys := c.spare[1][:len(w)]
	for i := range keys {
		keys[i] = key(i)
	}
	c.best(key, p*sum)
}

// topP keeps the likeliest candidates, as few as have probability p together
// (Holtzman et al., "The Curious Case of Neural Text Degeneration",
// arXiv:1904.09751).
func (c *chain) topP(p float64) {
	if c.ids == nil && c.in.Params.MinKeep <= len(c.Sampler.vals) && c.topPOfFew(p) {
		return
	}
	_, sum := c.weights()
	copy(c.spare[1], c.vals)
	c.best(func(i int) float32 { return c.vals[i] }, p*sum)
}

// topPOfFew makes the list if the likeliest tokens that can be found at once are
// enough. MinKeep is no more than these.
func (c *chain) topPOfFew(p float64) bool {
	m := c.measure()
	target := p * c.total(c.row, m)
	_, vals := c.likeliest(len(c.Sampler.vals))
	w := c.Sampler.weights[:copy(c.Sampler.weights, vals)]
	c.set.ExpSum(w, m.max, m.scale)
	n, reached := nucleus(w, target)
	if !reached {
		return false
	}
	c.topOfRow(max(n, c.in.Params.MinKeep))
	return true
}

// minP keeps the candidates with at least the fraction p of the likeliest one's
// probability (Nguyen et al., "Min-p Sampling", arXiv:2407.01082).
func (c *chain) minP(p float64) {
	if c.ids == nil && c.in.Params.MinKeep <= len(c.Sampler.vals) {
		// All that minP will keep are among the likeliest, if one of these is not.
		if _, vals := c.likeliest(len(c.Sampler.vals)); (float64(vals[len(vals)-1])-float64(vals[0]))*c.scale < math.Log(p)-1e-3 {
			c.topOfRow(len(vals))
		}
	}
	c.gather(negInf)
	if len(c.vals) == 0 {
		return
	}
	top := slices.Max(c.vals)
	lowest := atLeast(min(float64(top)+math.Log(p)/c.scale, float64(top)))
	above := 0
	for _, v := range c.vals {
		if v >= lowest {
			above++
		}
	}
	if least := min(c.in.Params.MinKeep, len(c.vals)); above < least {
		copy(c.spare[1], c.vals)
		clear(c.spare[0][:len(c.vals)])
		c.best(func(i int) float32 { return c.vals[i] }, 0) // MinKeep decides
		return
	}
	c.filter(func(i int) bool { return c.vals[i] >= lowest })
}

// xtc ("exclude top choices") takes the likeliest candidates away, all that have
// at least the probability of the threshold but the least likely one of them. It
// does so as often as the given probability says
// (https://github.com/oobabooga/text-generation-webui/pull/6335).
func (c *chain) xtc(often, threshold float64) {
	if c.ids == nil && threshold*float64(len(c.Sampler.vals)) > 1.001 && len(c.row) > 2*len(c.Sampler.vals) {
		c.xtcOfRow(often, threshold)
		return
	}
	w, sum := c.weights()
	if len(w) < 2 || c.in.draw() >= often {
		return
	}
	top, last := 0, -1
	for i, v := range w {
		if float64(v) >= threshold*sum {
			if top++; last < 0 || c.vals[i] <= c.vals[last] {
				last = i
			}
		}
	}
	if top < 2 || len(w)-(top-1) < c.in.Params.MinKeep {
		return
	}
	c.filterTop(w, threshold*sum, last)
}

// xtcOfRow is xtc on the whole row, where so few tokens can reach the threshold
// that they are among the likeliest. It excludes them from the row.
func (c *chain) xtcOfRow(often, threshold float64) {
	m := c.measure()
	sum := c.total(c.row, m)
	ids, vals := c.likeliest(len(c.Sampler.vals))
	w := c.Sampler.weights[:copy(c.Sampler.weights, vals)]
	c.set.ExpSum(w, m.max, m.scale)
	top := 0
	for _, v := range w {
		if float64(v) >= threshold*sum {
			top++
		}
	}
	left := c.candidates(max(2, top-1+c.in.Params.MinKeep))
	if left < 2 || c.in.draw() >= often || top < 2 || c.in.Params.MinKeep > left-(top-1) {
		return
	}
	last := top - 1 // of equal ones the highest id stays
	for i := top - 1; i >= 0 && vals[i] == vals[top-1]; i-- {
		if ids[i] > ids[last] {
			last = i
		}
	}
	for i, t := range ids[:top] {
		if i != last {
			c.row[t] = negInf
		}
	}
	c.found = 0
}

// candidates counts the tokens of the row that are not excluded, as far as enough.
func (c *chain) candidates(enough int) (n int) {
	for i := 0; i < len(c.row) && n < enough; i++ {
		if c.row[i] > negInf {
			n++
		}
	}
	return n
}

// filterTop drops the candidates with at least a weight, but for one.
func (c *chain) filterTop(w []float32, least float64, but int) {
	c.filter(func(i int) bool { return i == but || float64(w[i]) < least })
}

// temperature divides the logits. With DynatempRange it depends on how uncertain
// the model is: the entropy, as a fraction of the largest possible, goes from the
// lowest temperature to the highest
// (https://github.com/ggml-org/llama.cpp/pull/4972).
func (c *chain) temperature(p *Params) {
	t := float64(p.Temperature)
	if p.DynatempRange > 0 {
		w, sum := c.weights()
		if len(w) < 2 {
			return
		}
		lowest, highest := max(0, t-float64(p.DynatempRange)), t+float64(p.DynatempRange)
		share := c.entropy(w, sum) / math.Log(float64(len(w)))
		t = lowest + (highest-lowest)*math.Pow(share, float64(p.DynatempExponent))
	}
	if t >= coldest {
		c.scale /= t
		return
	}
	c.gather(negInf)
	if len(c.vals) > 0 { // greedy: the lowest id of those with the largest logit
		at := slices.Index(c.vals, slices.Max(c.vals))
		c.filter(func(i int) bool { return i == at })
	}
}

// draw chooses among the candidates, see Sampler.choose.
func (c *chain) draw() int32 {
	if len(c.ids) == 1 && c.in.Params.Temperature < coldest {
		return c.ids[0] // greedy: no random number
	}
	w, sum := c.weights()
	u := c.in.draw() * sum
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
	return c.ids[last] // rounding may leave a little of u at the end
}

// report notes the probability that a token was drawn with, and the candidates
// that are likeliest to be drawn.
func (c *chain) report(token int32, out *Output) {
	w, sum := c.weights()
	logOf := func(weight float32) float32 { return float32(math.Log(float64(weight) / sum)) }
	at, _ := slices.BinarySearch(c.ids, token)
	out.Logprob = logOf(w[at])
	n := min(c.in.Params.TopLogprobs, len(c.Sampler.vals), len(w))
	if n == 0 {
		return
	}
	found := c.set.TopK(w, n, c.Sampler.vals, c.Sampler.ids)
	c.found = 0 // those lists are not of the row
	for i := range found {
		if weight := c.Sampler.vals[i]; weight > 0 {
			out.Top = append(out.Top, Logprob{c.ids[c.Sampler.ids[i]], logOf(weight)})
		}
	}
}

// keyEdge is the end of a set of the largest keys: those above key, and the
// first ties of those that are equal to it.
type keyEdge struct {
	key  float32
	ties int
}

// before tells whether the set e holds more than the set f.
func (e keyEdge) before(f keyEdge) bool {
	return e.key < f.key || e.key == f.key && e.ties > f.ties
}

// selectEdge finds the largest keys whose weights reach a target: as few as do.
// It is quickselect by weight, in the scratch memory of keys and weights, which
// it permutes; the expected time is linear. If equal keys have unequal weights,
// the mean weight says how many of them it takes.
func selectEdge(keys, w []float32, target float64) keyEdge {
	above := 0.0 // weight of the keys that are certainly in the set
	for len(keys) > 1 {
		pivot := median(keys[0], keys[len(keys)/2], keys[len(keys)-1])
		larger, equal := partition(keys, w, pivot)
		over, same := weightOf(w[:larger]), weightOf(w[larger:equal])
		switch {
		case larger > 0 && above+over >= target:
			keys, w = keys[:larger], w[:larger]
		case above+over+same >= target || equal == len(keys):
			n := equal - larger
			if same > 0 {
				n = int(math.Ceil((target - above - over) / (same / float64(n))))
			}
			return keyEdge{pivot, min(max(n, 1), equal-larger)}
		default:
			above += over + same
			keys, w = keys[equal:], w[equal:]
		}
	}
	if len(keys) == 0 {
		return keyEdge{key: posInf}
	}
	return keyEdge{keys[0], 1}
}

func weightOf(w []float32) (sum float64) {
	for _, v := range w {
		sum += float64(v)
	}
	return sum
}

// partition orders keys so that those larger than the pivot come first, then the
// equal ones; it returns where the equal ones begin and end.
func partition(keys, w []float32, pivot float32) (larger, equal int) {
	smaller := len(keys)
	for equal < smaller {
		switch k := keys[equal]; {
		case k > pivot:
			keys[larger], keys[equal] = keys[equal], keys[larger]
			w[larger], w[equal] = w[equal], w[larger]
			larger++
			equal++
		case k < pivot:
			smaller--
			keys[smaller], keys[equal] = keys[equal], keys[smaller]
			w[smaller], w[equal] = w[equal], w[smaller]
		default:
			equal++
		}
	}
	return larger, equal
}

func median(a, b, c float32) float32 { return max(min(a, b), min(max(a, b), c)) }
