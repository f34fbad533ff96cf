package engine

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/alloctest"
	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/draft"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/invariants"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// TestGuessersAreUsedAgain: the step makes no guesser, a stream gets none that another
// one has, and what a guesser has seen of one text is not in the next.
func TestGuessersAreUsedAgain(t *testing.T) {
	d := drafts{free: []*guesser{{index: draft.New(1024)}}}
	one, two := &Stream{}, &Stream{}
	if !d.lend(one) || d.lend(two) {
		t.Fatalf("of one guesser: %p and %p", one.guesser, two.guesser)
	}
	if mine := one.guesser; !d.lend(one) || one.guesser != mine {
		t.Fatal("a stream that has a guesser does not keep it")
	}
	text := slices.Repeat([]int32{1, 2, 3, 4, 5, 6}, 8)
	if one.guesser.next(text); len(one.guesser.guess) == 0 {
		t.Fatal("a text that repeats itself gives no guess")
	}
	d.takeBack(one)
	if n := alloctest.PerRun(10, func() { d.lend(two); d.takeBack(two) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	d.lend(two)
	if two.guesser.next(text[:6]); len(two.guesser.guess) != 0 {
		t.Errorf("a new text is guessed from an old one: %v", two.guesser.guess)
	}
}

// few allows only some tokens, so that what is generated repeats itself: guesses are
// right at times.
func few(n int) []uint64 {
	var bits [8]uint64
	for i := range n {
		bits[i%5] |= 1 << (7 * i % 64)
	}
	return bits[:]
}

// speculating is an engine whose guesses all have rows.
func speculating(t *testing.T, x Executor, cfg Config, on bool) *Engine {
	t.Helper()
	cfg.Speculate, cfg.always = on, true
	e, err := newEngine(x, nil, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// The greedy tokens of a request and their log-probabilities are the same to the bit
// with guesses and without, alone and in any company.
func TestGuessesChangeNoBit(t *testing.T) {
	models := []tinymodel.Options{
		{Arch: "llama", Type: quant.Q4_1},
		{Arch: "gemma3", Type: quant.Q8_0, Window: 40},
		{Arch: "qwen2", Type: quant.Q4_0},
		{Arch: "lfm2", Type: quant.Q8_0},
	}
	tiers := kernel.Tiers()
	if invariants.Enabled {
		models, tiers = models[:1], tiers[:1]
	}
	for i, o := range models {
		f, err := tinymodel.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		for _, tier := range tiers {
			t.Run(fmt.Sprintf("%s/%v", o.Arch, tier), func(t *testing.T) {
				testGuesses(t, f, model.Options{Tier: tier, Threads: 2, MaxRows: 128, KV: model.KVType(i % 3)})
			})
		}
	}
}

func testGuesses(t *testing.T, f *gguf.File, o model.Options) {
	m, err := model.Load(f, o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r := subject(short)
	r.Params.Allowed = few(4)
	base := companies(3, short)[0]
	base.with = nil
	want := base.answerTo(t, m, o, r)
	accepted := 0
	for _, c := range append(companies(3, short), base) {
		for i := range c.with {
			c.with[i].Params.Allowed = few(3)
		}
		c.cfg.Speculate, c.cfg.always = true, true
		check := c.check
		c.check = func(f Finish) string {
			accepted += f.Timings.Accepted
			if check != nil {
				return check(f)
			}
			return ""
		}
		if d := differ(c.answerTo(t, m, o, r), want); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
	if accepted == 0 {
		t.Error("no guess was right")
	}
}

// chain is an Executor whose logits depend on the last token alone: what is drawn is a
// Markov chain with known probabilities.
type chain struct {
	logits [8][8]float32
	out    []float32
	bad    func(b *batch.Batch) []int32 // rows that are not finite
	last   []int32
}

func newChain() *chain {
	c := &chain{out: make([]float32, 64*8)}
	for i := range c.logits {
		for k := range c.logits[i] {
			c.logits[i][k] = float32((i*5+k*3)%7) * 0.6
		}
		c.logits[i][(i+1)%8] += 2.5 // the usual successor
	}
	return c
}

func (c *chain) Vocab() int     { return 8 }
func (c *chain) MaxRows() int   { return 128 }
func (c *chain) MaxLogits() int { return 64 }

func (c *chain) NotFinite() []int32 { return c.last }

func (c *chain) Forward(b *batch.Batch) []float32 {
	for i, row := range b.Logits {
		copy(c.out[i*8:], c.logits[b.Tokens[row]][:])
	}
	if c.last = nil; c.bad != nil {
		c.last = c.bad(b)
	}
	return c.out
}

// tokensOf runs requests to their end, and returns the tokens of each, their
// log-probabilities and how it ended.
func tokensOf(t *testing.T, e *Engine, requests ...Request) (all [][]said, ends []Finish) {
	t.Helper()
	var streams []*Stream
	for _, r := range requests {
		streams = append(streams, submit(t, e, r))
	}
	for e.collect(); e.step(); {
	}
	for _, s := range streams {
		var list []said
		for {
			tok, ok, err := s.Next(t.Context())
			if err != nil && s.Finish().Reason != Failed {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			list = append(list, said{tok.ID, tok.Logprob})
		}
		all, ends = append(all, list), append(ends, *s.Finish())
	}
	return all, ends
}

// However tokens are chosen, a request gets the same with guesses as without.
func TestGuessesChangeNoDraw(t *testing.T) {
	params := map[string]sample.Params{
		"greedy":      {Logprobs: true},
		"temperature": {Temperature: 0.8, TopP: 1, Logprobs: true, TopLogprobs: 3},
		"top":         {Temperature: 1.2, TopP: 0.9, TopK: 5},
		"min-p":       {Temperature: 1, TopP: 1, MinP: 0.1},
		"penalties":   {Temperature: 0.7, TopP: 1, RepeatPenalty: 1.1, PresencePenalty: 0.3, FrequencyPenalty: 0.05, RepeatLastN: 24},
		"dry":         {Temperature: 0.5, TopP: 1, DRY: sample.DRY{Multiplier: 0.4, Base: 1.4, AllowedLength: 3, LastN: -1}},
		"xtc":         {Temperature: 1, TopP: 1, XTCProbability: 0.5, XTCThreshold: 0.1},
		"typical":     {Temperature: 1, TopP: 1, TypicalP: 0.8, Logprobs: true, PostProbs: true},
		"words":       {Temperature: 0.3, TopP: 1, BadWords: [][]int32{{1, 2, 3}, {5}}, MinTokens: 40, Ends: []int32{6}},
		"bias":        {Temperature: 0.3, TopP: 1, LogitBias: []sample.Bias{{Token: 3, Value: 2}}},
	}
	for name, p := range params {
		var requests []Request
		for seed := range uint64(4) {
			p.Seed = seed
			r := Request{Prompt: []int32{1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3}, MaxTokens: 50 + 17*int(seed), Params: p, StopTokens: []int32{7}}
			if seed%2 == 0 && name != "words" {
				r.StopTokens = nil
			}
			requests = append(requests, r)
		}
		cfg := Config{Blocks: 64, Context: 256, PrefixCache: true, EOG: []int32{6}}
		for _, eog := range []bool{false, true} {
			for i := range requests {
				requests[i].IgnoreEOS = !eog
			}
			want, ends := tokensOf(t, speculating(t, newChain(), cfg, false), requests...)
			e := speculating(t, newChain(), cfg, true)
			got, finishes := tokensOf(t, e, requests...)
			for i := range requests {
				if !slices.Equal(got[i], want[i]) {
					t.Errorf("%s, seed %d: %v, want %v", name, i, got[i], want[i])
				}
				if g, w := finishes[i], ends[i]; g.Reason != w.Reason || g.StopToken != w.StopToken || g.Usage != w.Usage {
					t.Errorf("%s, seed %d: ended as %+v, want %+v", name, i, g, w)
				}
			}
			if s := e.Stats(); !eog && (s.DraftTokens == 0 || sum(s.Accepted) == 0 || sum(s.Accepted) >= s.DraftTokens) {
				t.Errorf("%s: %d guessed, %v accepted", name, s.DraftTokens, s.Accepted)
			}
		}
	}
}

func sum(list []uint64) (n uint64) {
	for _, v := range list {
		n += v
	}
	return n
}

// What is drawn with guesses has the model's distribution: chi-square over the
// transitions of a chain with known probabilities.
func TestGuessesKeepTheDistribution(t *testing.T) {
	c := newChain()
	e := speculating(t, c, Config{Blocks: 600, Context: 9000, StepBudget: 64}, true)
	var counts [8][8]float64
	for seed := range uint64(4) {
		all, ends := tokensOf(t, e, Request{Prompt: []int32{0}, MaxTokens: 8000, Params: sample.Params{Temperature: 1, TopP: 1, Seed: seed}})
		for i := 1; i < len(all[0]); i++ {
			counts[all[0][i-1].id][all[0][i].id]++
		}
		if f := ends[0].Timings; f.Accepted < 500 || f.Steps > 7500 {
			t.Fatalf("%d of %d accepted in %d steps", f.Accepted, f.Drafted, f.Steps)
		}
	}
	chi2 := 0.0
	for i := range counts {
		var n, z float64
		for k := range counts[i] {
			n += counts[i][k]
			z += math.Exp(float64(c.logits[i][k]))
		}
		for k := range counts[i] {
			want := n * math.Exp(float64(c.logits[i][k])) / z
			chi2 += (counts[i][k] - want) * (counts[i][k] - want) / want
		}
	}
	// 56 degrees of freedom: 100 is exceeded once in 3,500 times, and the seeds are fixed.
	if chi2 > 100 {
		t.Errorf("chi-square of %.1f with 56 degrees of freedom", chi2)
	}
}

// A guess that leads to numbers that are not finite ends the draft before it. It fails
// the request only where it is right.
func TestGuessNotFinite(t *testing.T) {
	prompt := []int32{1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3}
	r := Request{Prompt: prompt, MaxTokens: 60, Params: sample.Params{Temperature: 0.8, TopP: 1, Seed: 3}}
	cfg := Config{Blocks: 64, Context: 256}
	want, _ := tokensOf(t, speculating(t, newChain(), cfg, false), r)
	c := newChain()
	c.bad = func(b *batch.Batch) (rows []int32) { // every row of a draft
		if len(b.Logits) > 1 {
			rows = append(rows, b.Logits[1:]...)
		}
		return rows
	}
	got, ends := tokensOf(t, speculating(t, c, cfg, true), r)
	if !slices.Equal(got[0], want[0]) || ends[0].Reason != Length {
		t.Errorf("%v as %v, want %v", got[0], ends[0].Reason, want[0])
	}
	// A position that is not finite, whoever asks: the tokens up to it come.
	at := int32(len(prompt) + 30)
	c.bad = func(b *batch.Batch) (rows []int32) {
		for row, pos := range b.Positions {
			if pos == at {
				rows = append(rows, int32(row))
			}
		}
		return rows
	}
	got, ends = tokensOf(t, speculating(t, c, cfg, true), r)
	if !slices.Equal(got[0], want[0][:31]) || ends[0].Err != ErrNotFinite {
		t.Errorf("%v and %v, want %v", got[0], ends[0].Err, want[0][:31])
	}
}

// rule is a constraint without a model of its own: what is allowed and forced follows
// from the last token alone.
type rule struct {
	bits   [1]uint64
	last   int32
	forced []int32
	fail   int // Accept fails at this call
}

func (c *rule) Prepare(int) error {
	c.bits[0] = 0xff &^ (1 << ((c.last + 3) % 8))
	return nil
}

func (c *rule) Allowed() []uint64 { return c.bits[:] }

func (c *rule) Accept(t int32) ([]int32, error) {
	if c.fail--; c.fail == 0 {
		return nil, errRule
	}
	c.forced = c.forced[:0]
	if t == 4 {
		c.forced = append(c.forced, 5, 6, 1)
		t = 1
	}
	c.last = t
	return c.forced, nil
}

var errRule = fmt.Errorf("the rule does not hold")

// With a constraint the tokens are the same with guesses and without, those that it
// forces and the error that it ends with included.
func TestGuessesWithConstraint(t *testing.T) {
	cfg := Config{Blocks: 64, Context: 400, PrefixCache: true}
	for _, fail := range []int{0, 25} {
		var requests []Request
		for seed := range uint64(3) {
			requests = append(requests, Request{Prompt: []int32{1, 2, 3, 4, 5, 6, 1}, MaxTokens: 120,
				Params:     sample.Params{Temperature: 0.5, TopP: 1, Seed: seed, Logprobs: true},
				Constraint: func() Constraint { return &rule{last: -1, fail: fail} }})
		}
		want, ends := tokensOf(t, speculating(t, newChain(), cfg, false), requests...)
		e := speculating(t, newChain(), cfg, true)
		got, finishes := tokensOf(t, e, requests...)
		for i := range requests {
			if !slices.Equal(got[i], want[i]) {
				t.Errorf("fail %d, seed %d: %v, want %v", fail, i, got[i], want[i])
			}
			if g, w := finishes[i], ends[i]; g.Reason != w.Reason || g.Err != w.Err || g.Usage != w.Usage {
				t.Errorf("fail %d, seed %d: ended as %+v, want %+v", fail, i, g, w)
			}
		}
		if sum(e.Stats().Accepted) == 0 {
			t.Errorf("fail %d: nothing accepted", fail)
		}
	}
}
