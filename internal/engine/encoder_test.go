package engine

import (
	"errors"
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// encoder makes an engine over a tiny encoder, whose loop does not run: tests take
// the steps.
func encoder(t *testing.T, o tinymodel.Options, cfg Config) (*Engine, *model.Model) {
	t.Helper()
	f, err := tinymodel.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load(f, model.Options{Tier: kernel.Tiers()[0], Threads: 2, MaxRows: cfg.StepBudget})
	if err != nil {
		t.Fatal(err)
	}
	c, err := m.NewStore(kvcache.Room{Blocks: cfg.Blocks})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); m.Close() })
	cfg.Encoder = true
	e, err := newEngine(ForModel(m, c), m.Pool(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e, m
}

// all takes steps until nothing is left.
func (e *Engine) all() (steps int) {
	e.collect()
	for e.step() {
		steps++
	}
	return steps
}

// TestEncoderPacksTexts: texts of several requests share steps, and each embedding
// has the same bits as alone.
func TestEncoderPacksTexts(t *testing.T) {
	cfg := Config{Blocks: 32, Context: 500, MaxBatch: 16, StepBudget: 96}
	for _, arch := range []string{"bert", "mpnet", "modern-bert", "gemma-embedding"} {
		e, _ := encoder(t, tinymodel.Options{Arch: arch, Type: quant.Q8_0}, cfg)
		if e.Config().Context != 96 {
			t.Errorf("a context of %d, for steps of 96 rows", e.Config().Context)
		}
		var alone [][]float32
		requests := make([]Request, 30)
		for i := range requests {
			requests[i] = Request{Prompt: prompt(i, 1+i*3), Pooling: poolings[i%3]}
			s := submit(t, e, requests[i])
			e.all()
			f := s.Finish()
			if f.Reason != Length || len(f.Embedding) == 0 {
				t.Fatalf("%s: text %d: %+v", arch, i, f)
			}
			alone = append(alone, f.Embedding)
		}
		var streams []*Stream
		for _, r := range requests {
			streams = append(streams, submit(t, e, r))
		}
		if steps := e.all(); steps > 20 { // 1,335 rows of at most 96 a step
			t.Errorf("%s: %d steps", arch, steps)
		}
		for i, s := range streams {
			if f := s.Finish(); !slices.Equal(f.Embedding, alone[i]) {
				t.Errorf("%s: text %d differs in company", arch, i)
			}
		}
		if free := e.sched.FreeBlocks(); free != cfg.Blocks {
			t.Errorf("%s: %d blocks are free of %d", arch, free, cfg.Blocks)
		}
	}
}

// TestEncoderRefuses: generations, texts that are longer than a step, and more than
// the queue holds.
func TestEncoderRefuses(t *testing.T) {
	e, _ := encoder(t, tinymodel.Options{Arch: "bert"}, Config{Blocks: 32, Context: 500, MaxBatch: 2, MaxQueue: 3, StepBudget: 64})
	for _, c := range []struct {
		r    Request
		want error
	}{
		{Request{Prompt: prompt(1, 5), MaxTokens: 4}, ErrEncoder},
		{Request{Prompt: prompt(1, 5)}, ErrEncoder},
		{Request{Prompt: prompt(1, 65), Pooling: model.MeanPooling}, ErrTooLong},
	} {
		if _, err := e.Submit(t.Context(), c.r); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.r, err, c.want)
		}
	}
	r := Request{Prompt: prompt(1, 64), Pooling: model.MeanPooling}
	for range 5 {
		submit(t, e, r)
	}
	if _, err := e.Submit(t.Context(), r); !errors.Is(err, ErrQueueFull) {
		t.Errorf("a sixth request: %v", err)
	}
	if steps := e.all(); steps != 5 {
		t.Errorf("%d steps for 5 texts that fill one each", steps)
	}
}

// TestEncoderAborts: a text that nobody wants any more is not computed.
func TestEncoderAborts(t *testing.T) {
	e, _ := encoder(t, tinymodel.Options{Arch: "bert"}, Config{Blocks: 32, MaxBatch: 4, StepBudget: 64, Context: 64})
	first := submit(t, e, Request{Prompt: prompt(1, 60), Pooling: model.MeanPooling})
	gone := submit(t, e, Request{Prompt: prompt(2, 60), Pooling: model.MeanPooling})
	last := submit(t, e, Request{Prompt: prompt(3, 60), Pooling: model.MeanPooling})
	e.collect()
	e.step()
	gone.Close()
	if steps := e.all(); steps != 1 {
		t.Errorf("%d more steps, want 1", steps)
	}
	if gone.Finish().Reason != Aborted || first.Finish().Embedding == nil || last.Finish().Embedding == nil {
		t.Errorf("%v, %v, %v", first.Finish().Reason, gone.Finish().Reason, last.Finish().Reason)
	}
}

// TestRerankerScores: a model with labels gives their scores.
func TestRerankerScores(t *testing.T) {
	e, m := encoder(t, tinymodel.Options{Arch: "bert", Labels: 2}, Config{Blocks: 32, MaxBatch: 4, StepBudget: 64, Context: 64})
	if m.Config().Labels != 2 || m.Config().Pooling != model.FirstPooling {
		t.Errorf("%d labels, pooling %v", m.Config().Labels, m.Config().Pooling)
	}
	a := submit(t, e, Request{Prompt: prompt(1, 20), Pooling: m.Config().Pooling})
	b := submit(t, e, Request{Prompt: prompt(2, 20), Pooling: m.Config().Pooling})
	e.all()
	x, y := a.Finish().Embedding, b.Finish().Embedding
	if len(x) != 2 || len(y) != 2 || x[0] == y[0] || x[0] == x[1] {
		t.Errorf("scores %v and %v", x, y)
	}
}
