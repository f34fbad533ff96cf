// Package sample turns a row of logits into a token: bias, penalties, mask,
// temperature, top-k, top-p, min-p, log-probabilities. It knows no text, no
// scheduler and no threads; package engine calls it with one Sampler for each
// worker. Nothing sorts the vocabulary and nothing allocates.
package sample

import (
	"errors"
	"math"
	"math/rand/v2"

	"github.com/penstock-llm/penstock/internal/kernel"
)

// Why a row gives no token.
var (
	ErrNotFinite = errors.New("sample: logits are not finite")
	ErrNoToken   = errors.New("sample: every token is excluded")
)

// Logprob is a token's log-probability under the model itself: before bias,
// penalties and temperature.
type Logprob struct {
	Token int32
	Value float32
}

// Input is one row and its sequence's state.
type Input struct {
	Logits  []float32 // [vocab]; changed
	Params  *Params   // valid
	Rand    *rand.PCG // advanced by one draw for each token that is not greedy
	History []int32   // the sequence so far
	Prompt  int       // so many of them are the prompt
	Allowed []uint64  // bit t%64 of word t/64 allows token t; nil: all
}

// Output is the choice.
type Output struct {
	Token   int32
	Logprob float32   // if Params.Logprobs
	Top     []Logprob // the likeliest, likeliest first; appended to Top[:0]
}

const (
	// few candidates are enough nearly always; more are looked for when the
	// probability of the first ones is too small, all if it still is.
	few  = 64
	more = 256

	// chunk is the part of a row whose exponentials are computed at once; it
	// stays in the first-level cache.
	chunk = 2048

	// coldest is the temperature below which sampling is greedy: exp((x-max)/T)
	// is 0 or 1 in float32 for all logits that are not equal.
	coldest = 1e-6
)

// Sampler holds the scratch memory of one worker. It is not safe for concurrent
// use; rows of all sequences may go through it.
type Sampler struct {
	set   kernel.Set
	tries [2]int    // candidates looked for at first, and then
	vals  []float32 // [more] candidates, largest first
	ids   []int32   // [more]
	raw   []float32 // [vocab] logits before changes

	part      []float32 // [chunk] exponentials of a chunk of the row
	chunkMass []float64 // [vocab/chunk] their sums

	// For rows of which few candidates are not enough.
	weights     []float32 // [vocab] exponentials
	order       []int32   // [vocab] ids of a bucket
	bucketCount []float64 // [buckets] tokens in it
	bucketMass  []float64 // [buckets] their weights together
	bucketTop   float32   // the logit where the buckets begin
	bucketScale float32   // buckets to a unit of logit
	pivot       rand.PCG

	seen  []uint32 // [vocab] stamp of the last row whose history holds the token
	stamp uint32
}

// New makes the scratch memory for rows of vocab logits.
func New(set kernel.Set, vocab int) *Sampler {
	return &Sampler{
		set:         set,
		tries:       [...]int{few, more},
		vals:        make([]float32, min(more, vocab)),
		ids:         make([]int32, min(more, vocab)),
		raw:         make([]float32, vocab),
		part:        make([]float32, min(chunk, vocab)),
		chunkMass:   make([]float64, (vocab+chunk-1)/chunk),
		weights:     make([]float32, vocab),
		order:       make([]int32, vocab),
		bucketCount: make([]float64, buckets),
		bucketMass:  make([]float64, buckets),
		seen:        make([]uint32, vocab),
	}
}

// Sample chooses the next token.
func (s *Sampler) Sample(in Input, out *Output) error {
	x, p := in.Logits, in.Params
	if nan(s.set.Dot(x, x)) {
		return ErrNotFinite
	}
	raw := x
	var logSum float64
	out.Top = out.Top[:0]
	if p.Logprobs {
		m := s.set.Max(x)
		if !finite(m) {
			return ErrNotFinite
		}
		logSum = float64(m) + math.Log(s.total(x, m, 1))
		s.top(x, logSum, p.TopLogprobs, out)
		if p.changes() || in.Allowed != nil {
			raw = s.raw[:copy(s.raw, x)]
		}
	}
	s.bias(x, p)
	s.penalise(x, in)
	exclude(x, in.Allowed)
	token, err := s.choose(x, in)
	if err != nil {
		return err
	}
	out.Token = token
	if p.Logprobs {
		out.Logprob = float32(float64(raw[token]) - logSum)
	}
	return nil
}

// Score reports the log-probability of a token that is known, and the likeliest.
func (s *Sampler) Score(x []float32, token int32, top int, out *Output) error {
	m := s.set.Max(x)
	if !finite(m) || nan(s.set.Dot(x, x)) {
		return ErrNotFinite
	}
	logSum := float64(m) + math.Log(s.total(x, m, 1))
	out.Token, out.Logprob = token, float32(float64(x[token])-logSum)
	out.Top = out.Top[:0]
	s.top(x, logSum, top, out)
	return nil
}

func (s *Sampler) top(x []float32, logSum float64, n int, out *Output) {
	n = s.set.TopK(x, min(n, len(s.vals)), s.vals, s.ids)
	for i := range n {
		out.Top = append(out.Top, Logprob{s.ids[i], float32(float64(s.vals[i]) - logSum)})
	}
}

func (s *Sampler) bias(x []float32, p *Params) {
	for _, b := range p.LogitBias {
		x[b.Token] += b.Value
	}
}

// penalise makes what was said already less likely.
func (s *Sampler) penalise(x []float32, in Input) {
	p := in.Params
	from := 0
	if p.RepeatLastN > 0 {
		from = max(0, len(in.History)-p.RepeatLastN)
	}
	if p.repeats() {
		s.nextStamp()
		for _, t := range in.History[from:] {
			if s.first(t) {
				if x[t] > 0 {
					x[t] /= p.RepeatPenalty
				} else {
					x[t] *= p.RepeatPenalty
				}
			}
		}
	}
	if p.PresencePenalty == 0 && p.FrequencyPenalty == 0 {
		return
	}
	s.nextStamp()
	for _, t := range in.History[min(max(from, in.Prompt), len(in.History)):] {
		if s.first(t) {
			x[t] -= p.PresencePenalty
		}
		x[t] -= p.FrequencyPenalty
	}
}

// first says whether this is the first time since nextStamp that it is asked
// about t.
func (s *Sampler) first(t int32) bool {
	if s.seen[t] == s.stamp {
		return false
	}
	s.seen[t] = s.stamp
	return true
}

func (s *Sampler) nextStamp() {
	if s.stamp++; s.stamp == 0 {
		clear(s.seen)
		s.stamp = 1
	}
}

// exclude gives the tokens whose bit is not set no probability.
func exclude(x []float32, allowed []uint64) {
	if allowed == nil {
		return
	}
	never := float32(math.Inf(-1))
	for w := 0; w*64 < len(x); w++ {
		var bits uint64
		if w < len(allowed) {
			bits = allowed[w]
		}
		if bits == math.MaxUint64 {
			continue
		}
		part := x[w*64 : min(len(x), w*64+64)]
		for i := range part {
			if bits>>i&1 == 0 {
				part[i] = never
			}
		}
	}
}

func nan(v float32) bool { return v != v }

func finite(v float32) bool { return v-v == 0 }
