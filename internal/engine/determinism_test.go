package engine

import (
	"fmt"
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/invariants"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/sched"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// said is a token and, to the bit, its log-probability.
type said struct {
	id      int32
	logprob float32
}

// company is a way for the same request to be computed.
type company struct {
	name   string
	cfg    Config
	before []Request // run to their end first
	with   []Request // run at the same time, submitted first
	few    bool      // the layers with a window have blocks for two sequences
	check  func(Finish) string
}

const subjectTokens = 24

// short and long are lengths of the subject's prompt. The second crosses the 256
// positions after which attention goes on with another chunk.
const (
	short = 45
	long  = 250
)

func subject(length int) Request {
	return Request{
		Prompt:    prompt(1, length),
		MaxTokens: subjectTokens,
		Params:    sample.Params{Logprobs: true},
	}
}

func prompt(seed, n int) []int32 {
	list := make([]int32, n)
	for i := range list {
		list[i] = int32(10 + (seed*7919+i*i*31+i*17)%300)
	}
	return list
}

// companies are the ways for a subject of a length, with as many others where
// there is a crowd.
func companies(crowd, length int) []company {
	tight := (length+subjectTokens+15)/16 + 4 // blocks: not enough for it and another
	base := Config{Blocks: 128, Context: 400, MaxBatch: 8, StepBudget: 128, ChunkTokens: 32, PrefixCache: true}
	change := func(f func(*Config)) Config {
		c := base
		f(&c)
		return c
	}
	var others []Request
	for i := range crowd {
		others = append(others, Request{Prompt: prompt(i+2, 5+i*11), MaxTokens: 20 + 9*i})
	}
	prefix := Request{Prompt: append(slices.Clone(subject(length).Prompt[:36]), 7, 8, 9), MaxTokens: 30}
	hit := func(f Finish) string {
		if f.Usage.Cached != 32 {
			return fmt.Sprintf("%d tokens were cached", f.Usage.Cached)
		}
		return ""
	}
	return []company{
		{name: "among others", cfg: base, with: others},
		{name: "in chunks of three", cfg: change(func(c *Config) { c.MaxBatch, c.StepBudget = 1, 3 })},
		{name: "in chunks of three beside streams", cfg: change(func(c *Config) { c.ChunkTokens = 3 }), with: others},
		{name: "after a preemption", cfg: change(func(c *Config) { c.Blocks, c.Context = tight, tight*16-4 }),
			with: []Request{{Prompt: prompt(5, 60), MaxTokens: 80}},
			check: func(f Finish) string {
				if f.Preemptions == 0 {
					return "it was not preempted"
				}
				return ""
			}},
		{name: "with few window blocks", cfg: base, before: []Request{prefix}, with: others, few: true},
		{name: "with the prefix of one that has ended", cfg: base, before: []Request{prefix}, check: hit},
		{name: "with the prefix of one that runs", cfg: base, with: []Request{prefix}, check: hit},
	}
}

// The greedy tokens of a request, and their log-probabilities to the bit, are the
// same alone and in any company, for every architecture, tier and pool.
func TestSameAnswerInAnyCompany(t *testing.T) {
	models := []tinymodel.Options{
		{Arch: "llama", Type: quant.Q8_0},
		{Arch: "llama", Type: quant.Q4_1},
		{Arch: "qwen2", Type: quant.Q4_0},
		{Arch: "qwen3", Type: quant.Q4_K, Dim: 256, FF: 512},
		{Arch: "gemma3", Type: quant.Q6_K, Dim: 256, FF: 512},
		{Arch: "lfm2", Type: quant.Q8_0},
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
		pools := []int{2}
		if i == 0 { // once is enough for one worker
			pools = []int{1, 2}
		}
		for _, tier := range tiers {
			for _, threads := range pools {
				t.Run(fmt.Sprintf("%s/%v/%v/%d", o.Arch, o.Type, tier, threads), func(t *testing.T) {
					testCompanies(t, f, model.Options{Tier: tier, Threads: threads, MaxRows: 128}, seven, short)
				})
			}
		}
	}
}

// The same for a history that attention goes through in several chunks, with and
// without a sliding window.
func TestSameAnswerAcrossChunks(t *testing.T) {
	for _, o := range []tinymodel.Options{{Arch: "llama", Type: quant.Q8_0}, {Arch: "gemma3", Type: quant.Q8_0, Window: 40}} {
		f, err := tinymodel.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		types := []model.KVType{model.KV16, model.KVF16, model.KV8}
		for i, tier := range kernel.Tiers() {
			kv := types[i%len(types)]
			t.Run(fmt.Sprintf("%s/%v/%v", o.Arch, tier, kv), func(t *testing.T) {
				testCompanies(t, f, model.Options{Tier: tier, Threads: 2, MaxRows: 128, KV: kv}, 3, long)
			})
		}
	}
}

// seven others make the largest panel, of 8 columns.
const seven = 7

func testCompanies(t *testing.T, f *gguf.File, o model.Options, crowd, length int) {
	m, err := model.Load(f, o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	base := companies(crowd, length)[0]
	base.with = nil
	want := base.answer(t, m, o, length)
	different := map[said]bool{}
	for _, s := range want {
		different[s] = true
	}
	if len(want) != subjectTokens || len(different) < subjectTokens/2 {
		t.Fatalf("the answer shows nothing: %v", want)
	}
	for _, c := range companies(crowd, length) {
		if d := differ(c.answer(t, m, o, length), want); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

// answer runs the subject in this company.
func (c company) answer(t *testing.T, m *model.Model, o model.Options, length int) []said {
	return c.answerTo(t, m, o, subject(length))
}

// answerTo is answer for any subject.
func (c company) answerTo(t *testing.T, m *model.Model, o model.Options, r Request) (list []said) {
	s := c.run(t, m, o, r)
	for {
		tok, ok, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return list
		}
		list = append(list, said{tok.ID, tok.Logprob})
	}
}

// run runs a request to its end in this company, step by step: it joins when the
// others have taken a few steps.
func (c company) run(t *testing.T, m *model.Model, o model.Options, r Request) *Stream {
	t.Helper()
	store, err := m.NewStore(kvcache.Room{Blocks: c.cfg.Blocks, Windows: c.windows(m)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	c.cfg.Kernels = kernel.New(o.Tier)
	if windowed(m) {
		c.cfg.Window = m.Config().Kept
		c.cfg.WindowBlocks = c.windows(m)
	}
	e, err := newEngine(ForModel(m, store), m.Pool(), c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	finish := func() {
		for e.collect(); e.step(); {
		}
	}
	for _, r := range c.before {
		submit(t, e, r)
		finish()
	}
	for _, r := range c.with {
		submit(t, e, r)
	}
	e.collect()
	for range 3 {
		e.step()
	}
	s := submit(t, e, r)
	finish()
	if c.check != nil {
		if problem := c.check(*s.Finish()); problem != "" {
			t.Errorf("%s: %s", c.name, problem)
		}
	}
	return s
}

// windowed reports whether some layers of a model keep a window only.
func windowed(m *model.Model) bool { return m.Config().Windowed > 0 }

// windows is the number of blocks that the layers with a window have, if there are any:
// all that a batch may need, or next to nothing.
func (c *company) windows(m *model.Model) int {
	each, seqs := sched.WindowBlocks(m.Config().Kept, batch.BlockTokens), c.cfg.MaxBatch
	if c.few {
		seqs = 2
	}
	return seqs*each + 1
}

// differ describes the first difference of two answers.
func differ(got, want []said) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("token %d is %v, want %v", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d tokens, want %d", len(got), len(want))
	}
	return ""
}

// forcing forces tokens of a list, three after each that is sampled.
type forcing struct {
	list []said
	at   int // tokens so far
	ids  []int32
}

func (c *forcing) Prepare(int) error { return nil }
func (c *forcing) Allowed() []uint64 { return nil }
func (c *forcing) Accept(int32) ([]int32, error) {
	c.ids = c.ids[:0]
	for c.at++; len(c.ids) < 3 && c.at < len(c.list); c.at++ {
		c.ids = append(c.ids, c.list[c.at].id)
	}
	return c.ids, nil
}

// Where the tokens that are forced are those that the model would have said, the
// ones between them are the same to the bit, although several rows of the stream
// were computed at once.
func TestForcedTokensChangeNoBit(t *testing.T) {
	f, err := tinymodel.Open(tinymodel.Options{Type: quant.Q4_1})
	if err != nil {
		t.Fatal(err)
	}
	for _, tier := range kernel.Tiers() {
		m, err := model.Load(f, model.Options{Tier: tier, Threads: 2, MaxRows: 128})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		c := companies(3, short)[0]
		o := model.Options{Tier: tier}
		want := c.answer(t, m, o, short)
		r := subject(short)
		r.Constraint = func() Constraint { return &forcing{list: want} }
		got := c.answerTo(t, m, o, r)
		if len(got) != len(want) {
			t.Fatalf("%v: %d tokens, want %d", tier, len(got), len(want))
		}
		for i := range want {
			if got[i].id != want[i].id || i%4 == 0 && got[i] != want[i] || i%4 != 0 && got[i].logprob != 0 {
				t.Errorf("%v: token %d is %v, want %v", tier, i, got[i], want[i])
			}
		}
	}
}
