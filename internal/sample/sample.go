// Package sample turns a row of logits into a token: bias, exclusions, penalties,
// DRY, top-n-sigma, top-k, typical-p, top-p, min-p, XTC, temperature, and
// log-probabilities. It knows no text, no scheduler and no threads; package
// engine calls it with one Sampler for each worker. Nothing sorts the vocabulary
// and nothing allocates.
//
// Reading order: params.go, sample.go, change.go, choose.go for the parameters
// that most requests have, chain.go for the others, select.go and guess.go for
// how a set of candidates is found without sorting.
package sample

import (
	"errors"
	"math"
	"math/rand/v2"

	"github.com/penstock-llm/penstock/internal/kernel"
)

// Why a row gives no token.
var (
	ErrNotFinite = errors.New("the logits are not finite")
	ErrNoToken   = errors.New("every token is excluded")
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
	Rand    *rand.PCG // advanced by one draw for each token that is not greedy, and by one for XTC
	History []int32   // the sequence so far
	Prompt  int       // so many tokens of History are the prompt
	Allowed []uint64  // bit t%64 of word t/64 allows token t; nil: all
}

// Output is the choice.
type Output struct {
	Token   int32
	Logprob float32   // if Params.Logprobs
	Top     []Logprob // the likeliest, likeliest first; appended to Top[:0]
}

const (
	// coldest is the temperature below which sampling is greedy: exp((x-max)/T)
	// is 0 or 1 in float32 for all logits that are not equal.
	coldest = 1e-6

	// many is the largest number of candidates that are found one by one.
	many = 256
)

// sizes are variable so that a small vocabulary sees all paths in tests.
type sizes struct {
	chunk   int // part of a row that is looked at together, a multiple of 16; it stays in the first-level cache
	few     int // candidates that are enough nearly always
	sampled int // tokens from which the others are guessed; a multiple of 16
	small   int // length of a list that is sorted, or looked through
}

var usual = sizes{chunk: 2048, few: 64, sampled: 1024, small: 128}

// Sampler holds the scratch memory of one worker. It is not safe for concurrent
// use; rows of all sequences may go through it.
type Sampler struct {
	set kernel.Set
	sizes

	vals    []float32 // [many] candidates, largest first
	ids     []int32   // [many]
	found   int       // so many of them are valid
	byID    []uint64  // [many] id<<32 | weight
	weights []float32 // [many] of the candidates
	raw     []float32 // [vocab] logits before changes
	part    []float32 // exponentials of a chunk, a sample or a list

	mass []float64 // [chunks] weight of the set's tokens in a chunk
	ties []int     // [chunks] of which so many are at its edge

	last  scanned
	list  []float32    // logits that a scan gathered, -Inf after each chunk's
	start []int        // [chunks+1] where a chunk's begin
	above []float64    // [chunks] weight above them
	spare [2][]float32 // shorter lists

	picked  []float32 // the sample
	sorted  []float32
	buckets []bucket

	never   [64]float32 // -Inf
	seen    []uint32    // [vocab] the value of stamp when the token was last met
	stamp   uint32
	repeats []int32 // [context] for DRY
	order   []int32 // [vocab] the ids of the candidates, for chain
}

// New makes the scratch memory for rows of vocab logits, and for sequences of at
// most context tokens.
func New(set kernel.Set, vocab, context int) *Sampler { return newSampler(set, vocab, context, usual) }

// Bytes is about what New allocates.
func Bytes(vocab, context int) uint64 {
	const rest = 32 << 10 // what does not depend on the vocabulary
	lists := 3 * (vocab + (vocab+usual.chunk-1)/usual.chunk*kernel.BandPad)
	return uint64(4*(lists+3*vocab+context)) + rest
}

func newSampler(set kernel.Set, vocab, context int, z sizes) *Sampler {
	chunks := (vocab + z.chunk - 1) / z.chunk
	list := func() []float32 { return make([]float32, vocab+chunks*kernel.BandPad) }
	s := &Sampler{
		set:     set,
		sizes:   z,
		vals:    make([]float32, min(many, vocab)),
		ids:     make([]int32, min(many, vocab)),
		byID:    make([]uint64, min(many, vocab)),
		weights: make([]float32, min(many, vocab)),
		raw:     make([]float32, vocab),
		part:    make([]float32, max(z.chunk, z.sampled, many)),
		mass:    make([]float64, chunks),
		ties:    make([]int, chunks),
		list:    list(),
		start:   make([]int, chunks+1),
		above:   make([]float64, chunks),
		spare:   [...][]float32{list(), list()},
		picked:  make([]float32, z.sampled),
		sorted:  make([]float32, z.small),
		buckets: make([]bucket, buckets),
		seen:    make([]uint32, vocab),
		repeats: make([]int32, context),
		order:   make([]int32, vocab),
	}
	for i := range s.never {
		s.never[i] = negInf
	}
	return s
}

// Sample chooses the next token.
func (s *Sampler) Sample(in Input, out *Output) error {
	x, p := in.Logits, in.Params
	changes := p.changes() || in.Allowed != nil
	top, nan := s.peak(x)
	if nan {
		return ErrNotFinite
	}
	raw := x
	var logSum float64
	out.Top = out.Top[:0]
	s.found = 0
	own := p.Logprobs && !p.PostProbs
	if own {
		if !finite(top.value) {
			return ErrNotFinite
		}
		logSum = s.logSum(x, top)
		more := 0
		if !changes && p.Temperature > 0 {
			more = min(s.few, len(s.vals))
		}
		s.top(x, logSum, p.TopLogprobs, more, out)
	}
	if changes {
		if own {
			raw = s.raw[:copy(s.raw, x)]
		}
		s.bias(x, p)
		s.exclude(x, &in)
		if p.Order == nil { // else they are stages of the chain
			s.penalise(x, &in)
			s.dontRepeat(x, &in)
		}
		top, _ = s.peak(x)
		s.found = 0
	}
	token, err := s.choose(x, top, &in, out)
	if err != nil {
		return err
	}
	out.Token = token
	if own {
		out.Logprob = float32(float64(raw[token]) - logSum)
	}
	return nil
}

// Score reports the log-probability of a token that is known, and the likeliest.
func (s *Sampler) Score(x []float32, token int32, top int, out *Output) error {
	best, nan := s.peak(x)
	if nan || !finite(best.value) {
		return ErrNotFinite
	}
	logSum := s.logSum(x, best)
	out.Token, out.Logprob = token, float32(float64(x[token])-logSum)
	out.Top = out.Top[:0]
	s.found = 0
	s.top(x, logSum, top, 0, out)
	return nil
}

// logSum is the logarithm of the sum of all exponentials.
func (s *Sampler) logSum(x []float32, top peak) float64 {
	return float64(top.value) + math.Log(s.total(x, measure{top.value, 1}))
}

// top reports the n likeliest, and looks for more that will be needed.
func (s *Sampler) top(x []float32, logSum float64, n, more int, out *Output) {
	if n = min(n, len(s.vals)); n == 0 {
		return
	}
	s.found = s.set.TopK(x, max(n, more), s.vals, s.ids)
	for i := range min(n, s.found) {
		out.Top = append(out.Top, Logprob{s.ids[i], float32(float64(s.vals[i]) - logSum)})
	}
}
