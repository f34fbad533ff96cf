package sample

import (
	"cmp"
	"math"
	"slices"
)

// oracle is the specification: the probability of every token, by float64 and
// a full sort.
func oracle(logits []float32, in Input) []float64 {
	p := in.Params
	x := make([]float64, len(logits))
	for i, v := range logits {
		x[i] = float64(v)
	}
	for _, b := range p.LogitBias {
		x[b.Token] += float64(b.Value)
	}
	oraclePenalties(x, in)
	if in.Allowed != nil {
		for i := range x {
			if in.Allowed[i/64]>>(i%64)&1 == 0 {
				x[i] = math.Inf(-1)
			}
		}
	}
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(x[b], x[a]), cmp.Compare(a, b)) })
	prob := make([]float64, len(x))
	if p.Temperature == 0 {
		prob[order[0]] = 1
		return prob
	}
	if p.TopK > 0 {
		order = order[:min(p.TopK, len(order))]
	}
	weight := func(i int) float64 { return math.Exp((x[i] - x[order[0]]) / float64(p.Temperature)) }
	sum := func(ids []int) (s float64) {
		for _, i := range ids {
			s += weight(i)
		}
		return s
	}
	target, mass, n := float64(p.TopP)*sum(order), 0.0, 0
	for n < len(order) && (n == 0 || mass < target) {
		mass += weight(order[n])
		n++
	}
	order = order[:n]
	for n > 1 && weight(order[n-1]) < float64(p.MinP) {
		n--
	}
	order = order[:n]
	total := sum(order)
	for _, i := range order {
		prob[i] = weight(i) / total
	}
	return prob
}

func oraclePenalties(x []float64, in Input) {
	p := in.Params
	history := in.History
	from := 0
	if p.RepeatLastN > 0 {
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
