package nn

import (
	"fmt"
	"math"
)

// Experts is a feed-forward layer of many small networks, of which each row uses a
// few: x += Σ weight_e · down_e(act(gate_e h) · up_e h) over the experts e that the
// router chooses for the row, in the order of their numbers.
//
// The matrices of all experts lie one below the other in one Matrix, so that
// expert e has its rows [e·n, (e+1)·n). The same holds for biases. Some files have
// a factor for each expert's products, which comes before the bias.
type Experts struct {
	Router  Linear // [experts, dim]
	Routing Routing

	Gate, Up *Matrix // [experts·ff, dim], loaded by LoadPair
	Down     *Matrix // [experts·dim, ff]
	Act      Activation

	// Each of the six may be nil: none.
	GateBias, UpBias, DownBias    []float32
	GateScale, UpScale, DownScale []float32 // [experts]

	Shared *Shared // nil: none
}

// Shared is the network of a layer of experts that every row uses.
type Shared struct {
	Gate *Matrix // [1, dim]: the output is multiplied by sigmoid(gate h); nil: it is not
	FFN  FFN
	Down Linear
}

// ff is the width of one expert.
func (e *Experts) ff() int { return e.Down.Cols }

// Routing says how a row's experts are chosen and weighted.
type Routing struct {
	Experts int // to choose from
	Used    int // by a row
	Rule    Rule

	// Bias is added to the probabilities for the choice; the weights are without
	// it. [Experts]; nil: none.
	Bias []float32

	Normalised bool    // the weights of a row are divided by their sum
	Scale      float32 // multiplies the weights; 0 means 1
}

// Rule says how an expert's weight is made from its logit.
type Rule uint8

const (
	SoftmaxOfAll  Rule = iota // of the logits of all experts
	SoftmaxOfUsed             // of the logits of the chosen experts alone
	Sigmoid                   // of its own logit
)

// leastSum is the least sum that normalised weights are divided by: the smallest
// normal float16, as in llama.cpp.
const leastSum = 6.103515625e-5

// maxUsed is the largest number of experts that a row may use.
const maxUsed = 32

// Check reports what no model can be.
func (r *Routing) Check() error {
	switch {
	case r.Experts < 1 || r.Used < 1 || r.Used > r.Experts:
		return fmt.Errorf("%d experts, of which a row uses %d", r.Experts, r.Used)
	case r.Used > maxUsed:
		return fmt.Errorf("a row uses %d experts; at most %d are supported", r.Used, maxUsed)
	}
	return nil
}

// choose sets ids to the experts of a row, ascending, and weights to their weights.
// logits: [Experts]; ids, weights: [Used]. It reports whether logits and biases are finite.
// Of experts with equal scores those with lower numbers are chosen.
func (r *Routing) choose(logits []float32, ids []int32, weights []float32) (finite bool) {
	logits = logits[:r.Experts]
	peak, sum := r.total(logits)
	n := 0
	finite = true
	for e, l := range logits {
		finite = finite && l-l == 0
		score := l
		if r.Bias != nil {
			score = float32(r.probability(l, peak, sum)) + r.Bias[e]
			finite = finite && score-score == 0
		}
		if n == len(ids) && !(score > weights[n-1]) {
			continue
		}
		if n < len(ids) {
			n++
		}
		at := n - 1
		for ; at > 0 && score > weights[at-1]; at-- {
			ids[at], weights[at] = ids[at-1], weights[at-1]
		}
		ids[at], weights[at] = int32(e), score
	}
	sortIDs(ids)
	for i, e := range ids {
		weights[i] = float32(r.probability(logits[e], peak, sum))
	}
	r.weigh(weights)
	return finite
}

// total is the largest logit and the sum of all exponentials relative to it.
func (r *Routing) total(logits []float32) (peak, sum float64) {
	peak = math.Inf(-1)
	for _, l := range logits {
		peak = max(peak, float64(l))
	}
	for _, l := range logits {
		sum += math.Exp(float64(l) - peak)
	}
	return peak, sum
}

// probability is the weight of an expert before anything is divided by the sum of
// the chosen ones.
func (r *Routing) probability(logit float32, peak, sum float64) float64 {
	if r.Rule == Sigmoid {
		return sigmoid(float64(logit))
	}
	return math.Exp(float64(logit)-peak) / sum
}

// weigh makes weights of the probabilities of the chosen experts.
func (r *Routing) weigh(weights []float32) {
	sum := 0.0
	for _, p := range weights {
		sum += float64(p)
	}
	scale := 1.0
	if r.Scale != 0 {
		scale = float64(r.Scale)
	}
	switch {
	case r.Rule == SoftmaxOfUsed: // the sum over all experts cancels
		scale /= sum
	case r.Normalised:
		scale /= max(sum, leastSum)
	}
	for i, p := range weights {
		weights[i] = float32(float64(p) * scale)
	}
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func sortIDs(ids []int32) {
	for i := 1; i < len(ids); i++ {
		for j := i; j > 0 && ids[j] < ids[j-1]; j-- {
			ids[j], ids[j-1] = ids[j-1], ids[j]
		}
	}
}
