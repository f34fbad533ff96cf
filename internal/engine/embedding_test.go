package engine

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/alloctest"
	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/invariants"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/nn"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

var poolings = []model.Pooling{model.MeanPooling, model.FirstPooling, model.LastPooling}

// mockEmbedding is what a mock's embedding must be.
func mockEmbedding(p model.Pooling, prompt []int32) []float32 {
	rows := hiddenOf(p, len(prompt))
	sum, state := make([]float64, mockDim), make([]float32, mockDim)
	var d uint64
	for pos, token := range prompt {
		d = mockDigest(d, token)
		mockState(state, d)
		for i := range state {
			if pos >= rows.From && pos < rows.To {
				sum[i] += float64(state[i]) / float64(rows.To-rows.From)
			}
		}
	}
	mean := make([]float32, mockDim)
	for i := range mean {
		mean[i] = float32(sum[i])
	}
	return mean
}

// near allows for sums in another order.
func near(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Abs(float64(x-y)) < 1e-6 })
}

// A request gets its embedding, and no tokens, beside streams and other embeddings.
func TestEmbedding(t *testing.T) {
	e, err := New(NewMock(MockConfig{Vocab: 400, Blocks: 64}), nil, Config{Blocks: 64, Context: 200, MaxBatch: 4, StepBudget: 16, PrefixCache: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	stream := submit(t, e, Request{Prompt: prompt(9, 20), MaxTokens: 60})
	var streams []*Stream
	var want [][]float32
	for i := range 12 {
		p := poolings[i%3]
		ids := prompt(i/6, 1+i*9)
		streams = append(streams, submit(t, e, Request{Prompt: ids, Pooling: p, Wake: WakeEnd}))
		want = append(want, mockEmbedding(p, ids))
	}
	for i, s := range streams {
		if _, more, err := s.Next(t.Context()); more || err != nil {
			t.Fatalf("%d: more %v, %v", i, more, err)
		}
		f := s.Finish()
		if f.Reason != Length || f.Usage.Completion != 0 || f.Usage.Prompt != 1+i*9 || !near(f.Embedding, want[i]) {
			t.Errorf("%d: %v %+v %v, want %v", i, f.Reason, f.Usage, f.Embedding, want[i])
		}
	}
	n := 0
	for {
		_, more, err := stream.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
		n++
	}
	if f := stream.Finish(); n != 60 || f.Embedding != nil {
		t.Errorf("the stream got %d tokens and %v", n, f.Embedding)
	}
}

// stateless is an executor without hidden states.
type stateless struct{ Executor }

func TestEmbeddingRefused(t *testing.T) {
	mock := NewMock(MockConfig{Vocab: 400, Blocks: 16})
	e, err := New(mock, nil, Config{Blocks: 16, Context: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	without, err := New(stateless{mock}, nil, Config{Blocks: 16, Context: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer without.Close()
	for _, c := range []struct {
		e    *Engine
		r    Request
		want error
	}{
		{e, Request{Prompt: prompt(1, 65), Pooling: model.LastPooling}, ErrTooLong},
		{e, Request{Pooling: model.LastPooling}, ErrEmpty},
		{e, Request{Prompt: []int32{400}, Pooling: model.LastPooling}, ErrToken},
		{without, Request{Prompt: prompt(1, 5), Pooling: model.LastPooling}, ErrNoStates},
	} {
		if _, err := c.e.Submit(t.Context(), c.r); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.r, err, c.want)
		}
	}
	for _, r := range []Request{{Prompt: prompt(1, 5), Pooling: model.LastPooling, MaxTokens: 3}, {Prompt: prompt(1, 5), Pooling: model.MeanPooling, EchoLogprobs: true}} {
		if _, err := e.Submit(t.Context(), r); err == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
	if _, err := e.Submit(t.Context(), Request{Prompt: prompt(1, 64), Pooling: model.MeanPooling}); err != nil {
		t.Errorf("a prompt as long as the context: %v", err)
	}
}

// infected is an executor whose rows of a certain token are not finite.
type infected struct {
	*Mock
	token int32
	bad   []int32
}

func (x *infected) Forward(b *batch.Batch) []float32 {
	x.bad = x.bad[:0]
	for i, token := range b.Tokens {
		if token == x.token {
			x.bad = append(x.bad, int32(i))
		}
	}
	return x.Mock.Forward(b)
}

func (x *infected) NotFinite() []int32 { return x.bad }

// An aborted request and one that goes wrong get no embedding; those beside them do.
func TestEmbeddingFailsAlone(t *testing.T) {
	e, err := newEngine(&infected{Mock: NewMock(MockConfig{Vocab: 400, Blocks: 64}), token: 399}, nil, Config{Blocks: 64, Context: 200, StepBudget: 16})
	if err != nil {
		t.Fatal(err)
	}
	bad := prompt(1, 50)
	bad[30] = 399
	wrong := submit(t, e, Request{Prompt: bad, Pooling: model.MeanPooling})
	gone := submit(t, e, Request{Prompt: prompt(2, 150), Pooling: model.MeanPooling})
	good := submit(t, e, Request{Prompt: prompt(3, 50), Pooling: model.MeanPooling})
	e.collect()
	e.step()
	gone.Close()
	for e.step() {
	}
	if f := wrong.Finish(); f.Reason != Failed || !errors.Is(f.Err, ErrNotFinite) || f.Embedding != nil {
		t.Errorf("with a NaN: %+v", f)
	}
	if f := gone.Finish(); f.Reason != Aborted || f.Embedding != nil {
		t.Errorf("aborted: %+v", f)
	}
	if f := good.Finish(); f.Reason != Length || !near(f.Embedding, mockEmbedding(model.MeanPooling, prompt(3, 50))) {
		t.Errorf("beside them: %+v", f)
	}
	if free := e.sched.FreeBlocks(); free != 64 {
		t.Errorf("%d blocks are free of 64", free)
	}
}

// The steps of embeddings allocate nothing.
func TestEmbeddingAllocs(t *testing.T) {
	pool := nn.NewPool(2)
	defer pool.Close()
	e, err := newEngine(NewMock(MockConfig{Vocab: 700, Blocks: 4096}), pool, Config{Blocks: 4096, Context: 30000, MaxBatch: 4, StepBudget: 16})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range poolings {
		submit(t, e, Request{Prompt: prompt(int(p), 15000), Pooling: p})
	}
	e.collect()
	for range 50 {
		e.step()
	}
	if n := alloctest.PerRun(500, func() { e.step() }); n != 0 {
		t.Errorf("a step allocates %v times", n)
	}
	if e.sched.Running() != 3 {
		t.Errorf("%d running", e.sched.Running())
	}
}

// embeddingCompanies are ways for an embedding of a prompt to be computed.
func embeddingCompanies(p model.Pooling, length int) []company {
	list := slices.DeleteFunc(companies(seven, length), func(c company) bool { return c.name == "after a preemption" })
	cached := func(want int) func(Finish) string {
		return func(f Finish) string {
			if f.Usage.Cached != want {
				return fmt.Sprintf("%d tokens were cached, want %d", f.Usage.Cached, want)
			}
			return ""
		}
	}
	for i := range list {
		switch {
		case list[i].check == nil:
		case p == model.LastPooling:
			list[i].check = cached(32)
		default:
			list[i].check = cached(0)
		}
	}
	tight := company{name: "after a preemption", with: []Request{{Prompt: prompt(5, 60), MaxTokens: 60}},
		cfg: Config{Blocks: 8, Context: 124, MaxBatch: 2, StepBudget: 128, ChunkTokens: 1, PrefixCache: true},
		check: func(f Finish) string {
			if f.Preemptions == 0 {
				return "it was not preempted"
			}
			return ""
		}}
	return append(list, tight)
}

// An embedding has the same bits alone and in any company, for every architecture
// and tier.
func TestSameEmbeddingInAnyCompany(t *testing.T) {
	models := []tinymodel.Options{
		{Arch: "llama", Type: quant.Q8_0},
		{Arch: "qwen2", Type: quant.Q4_0},
		{Arch: "qwen3", Type: quant.Q4_K, Dim: 256, FF: 512},
		{Arch: "gemma3", Type: quant.Q6_K, Dim: 256, FF: 512},
	}
	tiers := kernel.Tiers()
	if invariants.Enabled { // with the race detector, which slows arithmetic and does not see kernels
		models, tiers = models[:1], tiers[:1]
	}
	for i, o := range models {
		f, err := tinymodel.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		for _, tier := range tiers {
			if tier == cpu.Generic && i > 0 {
				continue // it is slow, and once is enough
			}
			for _, p := range poolings {
				t.Run(fmt.Sprintf("%s/%v/%v", o.Arch, tier, p), func(t *testing.T) {
					sameEmbeddings(t, f, model.Options{Tier: tier, Threads: 2, MaxRows: 128}, p)
				})
			}
		}
	}
}

func sameEmbeddings(t *testing.T, f *gguf.File, o model.Options, p model.Pooling) {
	m, err := model.Load(f, o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	r := Request{Prompt: prompt(1, short), Pooling: p}
	alone := companies(0, short)[0]
	want := alone.run(t, m, o, r).Finish().Embedding
	if len(want) != m.Config().Dim || slices.Max(want) == slices.Min(want) {
		t.Fatalf("the embedding shows nothing: %v", want)
	}
	for _, c := range embeddingCompanies(p, short) {
		if got := c.run(t, m, o, r).Finish().Embedding; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.name, got[:4], want[:4])
		}
	}
}
