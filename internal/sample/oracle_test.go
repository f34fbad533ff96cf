package sample

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// oracle is the specification: the probability of every token, by float64 and
// full sorts.
func oracle(logits []float32, in Input) []float64 {
	if !in.Params.xtc() {
		return oracleChain(logits, in, variant{})
	}
	with, without := oracleChain(logits, in, variant{xtc: true}), oracleChain(logits, in, variant{})
	often := float64(in.Params.XTCProbability)
	for i := range with {
		with[i] = often*with[i] + (1-often)*without[i]
	}
	return with
}

// variant is what may differ between two runs of the specification.
type variant struct {
	xtc   bool    // XTC runs for this token
	shift float64 // error of the entropy that typical-p compares with: two tokens may be as far from it as each other
}

// row64 is a row of logits and the tokens of it that are still candidates,
// the likeliest first.
type row64 struct {
	x   []float64
	ids []int
}

func (r *row64) sort() {
	slices.SortFunc(r.ids, func(a, b int) int { return cmp.Or(cmp.Compare(r.x[b], r.x[a]), cmp.Compare(a, b)) })
}

// weights are the probabilities of r.ids but for a factor, and their sum.
func (r *row64) weights() (w []float64, sum float64) {
	for _, id := range r.ids {
		w = append(w, math.Exp(r.x[id]-r.x[r.ids[0]]))
		sum += w[len(w)-1]
	}
	return w, sum
}

// probs are the probabilities of r.ids.
func (r *row64) probs() []float64 {
	p, sum := r.weights()
	for i := range p {
		p[i] /= sum
	}
	return p
}

func (r *row64) entropy() (h float64) {
	for _, p := range r.probs() {
		if p > 0 {
			h -= p * math.Log(p)
		}
	}
	return h
}

// oracleChain is the specification without chance.
func oracleChain(logits []float32, in Input, v variant) []float64 {
	r := row64{x: make([]float64, len(logits))}
	for i, v := range logits {
		r.x[i] = float64(v)
	}
	for _, b := range in.Params.LogitBias {
		r.x[b.Token] += float64(b.Value)
	}
	oracleExclusions(r.x, in)
	for i, x := range r.x {
		if !math.IsInf(x, -1) {
			r.ids = append(r.ids, i)
		}
	}
	if len(r.ids) == 0 {
		return make([]float64, len(logits))
	}
	order := in.Params.Order
	if order == nil {
		order = DefaultOrder
	}
	for _, stage := range order {
		r.sort()
		r.stage(stage, in, v)
	}
	r.sort()
	prob := make([]float64, len(logits))
	for i, p := range r.probs() {
		prob[r.ids[i]] = p
	}
	return prob
}

func oracleExclusions(x []float64, in Input) {
	p := in.Params
	never := math.Inf(-1)
	for i := range x {
		for _, allowed := range [][]uint64{in.Allowed, p.Allowed} {
			if allowed != nil && allowed[i/64]>>(i%64)&1 == 0 {
				x[i] = never
			}
		}
	}
	output := in.History[in.Prompt:]
	if len(output) < p.MinTokens {
		for _, t := range p.Ends {
			x[t] = never
		}
	}
	for _, word := range p.BadWords {
		for t := range x {
			said := append(slices.Clone(output), int32(t))
			if len(said) >= len(word) && slices.Equal(said[len(said)-len(word):], word) {
				x[t] = never
			}
		}
	}
}

func (r *row64) stage(stage Stage, in Input, v variant) {
	p := in.Params
	keep := len(r.ids)
	atLeast := func(n int) int { return min(max(n, p.MinKeep), len(r.ids)) }
	switch stage {
	case Penalties:
		oraclePenalties(r.x, in)
	case DontRepeat:
		oracleDRY(r.x, in)
	case TopNSigma:
		r.topNSigma(float64(p.TopNSigma))
		return
	case TopK:
		if p.TopK > 0 {
			keep = atLeast(p.TopK)
		}
	case TypicalP:
		if p.typical() {
			r.typical(float64(p.TypicalP), p.MinKeep, v.shift)
		}
		return
	case TopP:
		if p.TopP < 1 {
			w, sum := r.weights()
			keep = atLeast(reach(w, float64(p.TopP)*sum))
		}
	case MinP:
		for probs := r.probs(); keep > 1 && probs[keep-1] < float64(p.MinP)*probs[0]; {
			keep--
		}
		keep = atLeast(keep)
	case XTC:
		if v.xtc {
			r.xtc(float64(p.XTCThreshold), p.MinKeep)
		}
		return
	case Temperature:
		keep = r.temperature(p)
	}
	r.ids = r.ids[:keep]
}

// reach is how many of the first weights reach a sum.
func reach(w []float64, target float64) int {
	sum := 0.0
	for i, v := range w {
		if sum += v; sum >= target {
			return i + 1
		}
	}
	return len(w)
}

func (r *row64) topNSigma(n float64) {
	if n <= 0 {
		return
	}
	mean, variance := 0.0, 0.0
	for _, id := range r.ids {
		mean += r.x[id] / float64(len(r.ids))
	}
	for _, id := range r.ids {
		variance += (r.x[id] - mean) * (r.x[id] - mean) / float64(len(r.ids))
	}
	lowest := r.x[r.ids[0]] - n*math.Sqrt(variance)
	r.ids = slices.DeleteFunc(r.ids, func(id int) bool { return r.x[id] < lowest })
}

func (r *row64) typical(p float64, least int, shift float64) {
	w, total := r.weights()
	h := r.entropy() + shift
	type one struct {
		id      int
		w, away float64
	}
	var all []one
	for i, id := range r.ids {
		all = append(all, one{id, w[i], math.Abs(-math.Log(w[i]/total) - h)})
	}
	slices.SortFunc(all, func(a, b one) int { return cmp.Or(cmp.Compare(a.away, b.away), cmp.Compare(a.id, b.id)) })
	r.ids = r.ids[:0]
	sum := 0.0
	for i := range all {
		if sum >= p*total && i >= least {
			break
		}
		r.ids = append(r.ids, all[i].id)
		sum += all[i].w
	}
}

func (r *row64) xtc(threshold float64, least int) {
	if len(r.ids) < 2 {
		return
	}
	top := 0
	for _, p := range r.probs() {
		if p >= threshold {
			top++
		}
	}
	if top >= 2 && len(r.ids)-(top-1) >= least {
		r.ids = r.ids[top-1:]
	}
}

// temperature returns how many candidates are left.
func (r *row64) temperature(p *Params) int {
	t := float64(p.Temperature)
	if p.DynatempRange > 0 {
		if len(r.ids) < 2 {
			return len(r.ids)
		}
		lo, hi := max(0, t-float64(p.DynatempRange)), t+float64(p.DynatempRange)
		t = lo + (hi-lo)*math.Pow(r.entropy()/math.Log(float64(len(r.ids))), float64(p.DynatempExponent))
	}
	if t < coldest {
		return 1
	}
	for _, id := range r.ids {
		r.x[id] /= t
	}
	return len(r.ids)
}

func oraclePenalties(x []float64, in Input) {
	p := in.Params
	history := in.History
	from := 0
	if p.RepeatLastN >= 0 {
		from = max(0, len(history)-p.RepeatLastN)
	}
	said, count := map[int32]bool{}, map[int32]int{}
	for i := from; i < len(history); i++ {
		said[history[i]] = true
		if i >= in.Prompt {
			count[history[i]]++
		}
	}
	for t := range said {
		switch rep := float64(p.RepeatPenalty); {
		case rep == 0:
		case x[t] > 0:
			x[t] /= rep
		default:
			x[t] *= rep
		}
	}
	for t, n := range count {
		x[t] -= float64(p.PresencePenalty) + float64(n)*float64(p.FrequencyPenalty)
	}
}

// oracleDRY looks, for every token of the vocabulary, for the longest end of the
// text that was followed by this token before.
func oracleDRY(x []float64, in Input) {
	d := in.Params.DRY
	text := in.History
	if d.LastN >= 0 {
		text = text[max(0, len(text)-d.LastN):]
	}
	if d.Multiplier == 0 || len(text) == 0 {
		return
	}
	limit := len(text) // an end of the text must not reach into a breaker
search:
	for i := len(text) - 1; i >= 0; i-- {
		longest := 0
		for _, b := range oracleBreakers(d.Breakers) {
			if i+len(b) <= len(text) && slices.Equal(text[i:i+len(b)], b) {
				longest = max(longest, len(b))
			}
		}
		if longest > 0 {
			limit = len(text) - i - longest
			break search
		}
	}
	longest := map[int32]int{}
	for i := range len(text) - 1 {
		n := 0
		for n < limit && n <= i && text[i-n] == text[len(text)-1-n] {
			n++
		}
		if next := text[i+1]; n >= d.AllowedLength && !d.Breakers.alone(next) {
			longest[next] = max(longest[next], n)
		}
	}
	if len(text) <= d.AllowedLength || limit < d.AllowedLength {
		return
	}
	for t, n := range longest {
		x[t] -= min(float64(d.Multiplier)*math.Pow(float64(d.Base), float64(n-d.AllowedLength)), math.MaxFloat32/2)
	}
}

func oracleBreakers(b *Breakers) [][]int32 {
	if b == nil {
		return nil
	}
	all := map[int32]bool{}
	for w, bits := range b.single {
		for i := range 64 {
			if bits>>i&1 == 1 {
				all[int32(w*64+i)] = true
			}
		}
	}
	list := slices.Clone(b.longer)
	for _, t := range slices.Sorted(maps.Keys(all)) {
		list = append(list, []int32{t})
	}
	return list
}
