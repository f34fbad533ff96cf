package layers

import (
	"context"
	"errors"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/sample"
)

// coreLayer is the engine without any text: scheduler, block manager, executor and sampler. Requests are submitted as token ids.
type coreLayer struct {
	engine *engine.Engine
	s      *Scenario
	ids    []int32
	end    func() error
}

func newCoreLayer(s *Scenario) (measurable, error) {
	in, err := s.open()
	if err != nil {
		return nil, err
	}
	_, ids, err := s.prompt(in.Tokenizer)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return &coreLayer{in.Engine, s, ids, in.Close}, nil
}

func (c *coreLayer) close() error { return c.end() }

func (c *coreLayer) run(ctx context.Context, requests int) (*LayerRun, error) {
	before := c.engine.Stats()
	r, err := clients(c.s.Concurrency, requests, func(i int) (prompt, tokens int, err error) { return c.request(ctx, i) })
	if err != nil {
		return nil, err
	}
	r.occupied(before, c.engine.Stats())
	return r, nil
}

func (c *coreLayer) request(ctx context.Context, i int) (prompt, tokens int, err error) {
	s, err := c.engine.Submit(ctx, engine.Request{Prompt: c.ids, MaxTokens: c.s.Gen, IgnoreEOS: true, Wake: engine.WakeEnd,
		Params: sample.Params{Temperature: float32(c.s.Temperature), TopP: 1, Seed: uint64(i) + 1}})
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	for {
		_, more, err := s.Next(ctx)
		if err != nil {
			return 0, 0, err
		}
		if !more {
			f := s.Finish()
			return f.Usage.Prompt, f.Usage.Completion, nil
		}
	}
}
