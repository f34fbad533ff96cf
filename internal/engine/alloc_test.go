package engine

import (
	"testing"

	"github.com/penstock-llm/penstock/internal/alloctest"
	"github.com/penstock-llm/penstock/internal/nn"
	"github.com/penstock-llm/penstock/internal/sample"
)

// steady is a constraint that allows half of the tokens and has some of them followed
// by others.
type steady struct {
	bits   [11]uint64
	forced [3]int32
}

func (c *steady) Prepare(int) error {
	for i := range c.bits {
		c.bits[i] = 0x5555555555555555
	}
	return nil
}

func (c *steady) Allowed() []uint64 { return c.bits[:] }

func (c *steady) Accept(t int32) ([]int32, error) {
	for i := range c.forced {
		c.forced[i] = t + int32(i)
	}
	return c.forced[:t/2%4], nil
}

// A steady step allocates nothing, however tokens are chosen and with readers
// that keep up; nor with the sampling in a pool, nor with constraints, nor with guesses.
func TestStepAllocs(t *testing.T) {
	pool := nn.NewPool(2)
	defer pool.Close()
	for name, run := range map[string]Runner{"alone": nil, "pool": pool, "guesses": nil, "draft model": nil} {
		var guesses Executor
		if name == "draft model" {
			guesses = NewMock(MockConfig{Vocab: 700, Last: 2, Blocks: 4096})
		}
		e, err := newEngine(NewMock(MockConfig{Vocab: 700, Last: 3, Blocks: 4096}), run,
			Config{Blocks: 4096, Context: 8000, MaxBatch: 8, PrefixCache: true, Speculate: name == "guesses" || guesses != nil, always: true,
				Draft: guesses, DraftContext: 8000})
		if err != nil {
			t.Fatal(err)
		}
		params := []sample.Params{
			{},
			{Temperature: 0.7, TopP: 1, TopK: 40},
			{Temperature: 0.7, TopP: 0.9},
			{Temperature: 1, TopP: 1},
			{Temperature: 1, TopP: 1, MinP: 0.1},
			{Temperature: 1, TopP: 1, RepeatPenalty: 1.1, PresencePenalty: 0.1, RepeatLastN: 64},
			{Logprobs: true, TopLogprobs: 5},
			{LogitBias: []sample.Bias{{Token: 5, Value: 1}}},
		}
		var streams []*Stream
		for i, p := range params {
			r := Request{Prompt: []int32{int32(i), 2, 3}, MaxTokens: 7000, Params: p}
			if i%2 == 1 {
				r.Constraint = func() Constraint { return &steady{} }
			}
			s, err := e.Submit(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
		}
		var v View
		v.grow(&e.cfg)
		var c Contents
		c.Fit(e.cfg.Blocks, e.cfg.BlockTokens)
		changes := 0
		step := func() {
			e.collect()
			e.views.loan.wanted.Store(&v) // somebody looks at every step
			e.show()
			<-e.views.loan.filled
			e.contents.loan.wanted.Store(&c) // and at what is cached
			e.observe()
			<-e.contents.loan.filled
			changes += len(c.Changes)
			e.step()
			for _, s := range streams {
				for s.Ready() > 0 {
					if _, _, err := s.Next(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		for range 600 { // the ring's second link, the table's first growth
			step()
		}
		if n := alloctest.PerRun(300, step); n != 0 {
			t.Errorf("%s: a step allocates %v times", name, n)
		}
		if s := e.Stats(); e.cfg.Speculate && (s.DraftTokens == 0 || sum(s.Accepted) == 0) {
			t.Errorf("%d tokens guessed, %v accepted", s.DraftTokens, s.Accepted)
		}
		if len(v.Sequences) != 8 || v.Step.Rows == 0 {
			t.Errorf("%s: the viewer sees %d sequences, %d rows", name, len(v.Sequences), v.Step.Rows)
		}
		if changes == 0 || uint64(changes) > e.Turnover() {
			t.Errorf("%s: %d changes of the cache's contents, %d all in all", name, changes, e.Turnover())
		}
		if e.sched.Running() != 8 {
			t.Errorf("%s: %d running", name, e.sched.Running())
		}
	}
}

// BenchmarkStep is what the engine itself costs: eight greedy streams of a model
// that takes no time, with its vocabulary.
func BenchmarkStep(b *testing.B) {
	for name, p := range map[string]sample.Params{"greedy": {}, "top-k": {Temperature: 0.7, TopP: 0.9, TopK: 40}} {
		b.Run(name, func(b *testing.B) {
			e, err := newEngine(NewMock(MockConfig{Vocab: 64, Blocks: 4096}), nil, Config{Blocks: 4096, Context: 8000, MaxBatch: 8, PrefixCache: true})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if len(e.streams) == 0 {
					for i := range int32(8) {
						if _, err := e.Submit(b.Context(), Request{Prompt: []int32{i, 2, 3}, MaxTokens: 7000, Params: p}); err != nil {
							b.Fatal(err)
						}
					}
					e.collect()
				}
				e.step()
			}
		})
	}
}
