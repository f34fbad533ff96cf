package model_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/penstock-llm/penstock/internal/alloctest"
	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
	. "github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// tiny loads a tiny model and a cache of blocks blocks.
func tiny(t testing.TB, o tinymodel.Options, opts Options, blocks int) (*Model, *kvcache.Store) {
	t.Helper()
	m, err := Load(opened(t, o), opts)
	if err != nil {
		t.Fatal(err)
	}
	c, err := m.NewStore(kvcache.Room{Blocks: blocks})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return m, c
}

func describe(t *testing.T, f *gguf.File) Config {
	t.Helper()
	c, err := Describe(f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// files are the tiny models that tests load unchanged, by their options: several
// tests load each one.
var files sync.Map

// opened is the file of a tiny model, made up once. It must not be written to.
func opened(t testing.TB, o tinymodel.Options) *gguf.File {
	t.Helper()
	key := fmt.Sprintf("%+v", o)
	if f, ok := files.Load(key); ok {
		return f.(*gguf.File)
	}
	f, err := tinymodel.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	files.Store(key, f)
	return f
}

// variants are the architectures in the shapes that matter: one head for all,
// heads of a size that is not a multiple of a block, more query heads than a
// tile, gate and up of different formats, scaled rotations, a head of its own.
func variants() map[string]tinymodel.Options {
	return map[string]tinymodel.Options{
		"llama":         {Arch: "llama"},
		"llama 9/3":     {Arch: "llama", Dim: 96, Heads: 9, KVHeads: 3, HeadDim: 64, FF: 160},
		"llama 10/1":    {Arch: "llama", Heads: 10, KVHeads: 1},
		"llama hd 80":   {Arch: "llama", Heads: 2, HeadDim: 80},
		"llama hd 16":   {Arch: "llama", Heads: 4, KVHeads: 4, HeadDim: 16},
		"llama factors": {Arch: "llama", HeadDim: 16, RopeFactors: []float32{1, 1, 1, 2, 4, 8, 8, 8}, Untied: true},
		"llama vocab":   {Arch: "llama", Vocab: 411},
		"llama mixed":   {Arch: "llama", Types: map[string]quant.Type{"ffn_up.weight": quant.Q8_0, "attn_v.weight": quant.Q5_0}},
		"qwen2":         {Arch: "qwen2"},
		"qwen3":         {Arch: "qwen3", Dim: 96, Heads: 4, HeadDim: 64},
		"mixtral":       {Arch: "llama", Experts: 4, ExpertsUsed: 2},
		"qwen3moe":      {Arch: "qwen3moe"},
		"qwen2moe":      {Arch: "qwen2moe", With: []string{"attn_q.bias", "attn_k.bias", "attn_v.bias"}},
		"olmoe mixed":   {Arch: "olmoe", Types: map[string]quant.Type{"ffn_up_exps.weight": quant.Q8_0}, With: []string{"ffn_up_exps.scale", "ffn_down_exps.scale"}},
		"granitemoe": {Arch: "granitemoe", Keys: []gguf.KV{
			{Key: "embedding_scale", Value: float32(2)}, {Key: "residual_scale", Value: float32(0.5)}, {Key: "logit_scale", Value: float32(0.8)},
			{Key: "attention.scale", Value: float32(0.2)}, {Key: "expert_shared_feed_forward_length", Value: uint32(160)},
		}},
		"gpt-oss": {Arch: "gpt-oss", Layers: 3, Untied: true, With: []string{"exps.scale"}, Keys: []gguf.KV{
			{Key: "rope.scaling.type", Value: "yarn"}, {Key: "rope.scaling.factor", Value: float32(32)},
			{Key: "rope.scaling.original_context_length", Value: uint32(64)},
		}},
		"gemma3":         {Arch: "gemma3", Layers: 7},
		"gemma3 hd 256":  {Arch: "gemma3", Heads: 4, KVHeads: 1, HeadDim: 256, Layers: 6},
		"gemma3 nowhere": {Arch: "gemma3", Window: 500},
	}
}

func eachVariant(t *testing.T, run func(t *testing.T, o tinymodel.Options)) {
	for name, o := range variants() {
		t.Run(name, func(t *testing.T) { run(t, o) })
	}
}

// talk is a sequence of random tokens and where its blocks are.
type talk struct {
	tokens []int32
	blocks []int32
	done   int
}

func newTalk(seed uint64, vocab, n int, blocks ...int32) *talk {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &talk{blocks: blocks}
	for range n {
		s.tokens = append(s.tokens, int32(r.IntN(vocab)))
	}
	return s
}

// step feeds the next rows of several talks in one pass and returns the logits
// of all their rows, by talk.
func step(m *Model, c *kvcache.Store, rows []int, talks ...*talk) [][][]float32 {
	b := &batch.Batch{Start: []int32{0}}
	for i, s := range talks {
		for range rows[i] {
			b.Logits = append(b.Logits, int32(len(b.Tokens)))
			b.Tokens = append(b.Tokens, s.tokens[s.done])
			b.Positions = append(b.Positions, int32(s.done))
			s.done++
		}
		b.Start = append(b.Start, int32(len(b.Tokens)))
		b.Blocks = append(b.Blocks, s.blocks)
	}
	logits := m.Forward(b, c)
	vocab := m.Config().Vocab
	out := make([][][]float32, len(talks))
	for i := range talks {
		for r := b.Start[i]; r < b.Start[i+1]; r++ {
			out[i] = append(out[i], slices.Clone(logits[int(r)*vocab:][:vocab]))
		}
	}
	return out
}

// all feeds a whole talk in chunks and returns every row's logits.
func all(m *Model, c *kvcache.Store, s *talk, chunk int) [][]float32 {
	var out [][]float32
	for s.done < len(s.tokens) {
		out = append(out, step(m, c, []int{min(chunk, len(s.tokens)-s.done)}, s)[0]...)
	}
	return out
}

// distance is the root mean square of a-b relative to b's deviation.
func distance(a, b [][]float32) float64 {
	var diff, sum, sum2, n float64
	for i := range b {
		for j, v := range b[i] {
			diff += math.Pow(float64(a[i][j]-v), 2)
			sum += float64(v)
			sum2 += float64(v) * float64(v)
			n++
		}
	}
	return math.Sqrt(diff / (sum2 - sum*sum/n))
}

func TestFastFollowsReference(t *testing.T) {
	types := []struct {
		t     quant.Type
		bound float64
	}{
		{quant.F32, 2e-3}, // keys and values are halves
		{quant.F16, 2e-3},
		{quant.BF16, 2e-3},
		{quant.Q8_0, 0.08}, // activations are int8
		{quant.Q4_1, 0.08},
		{quant.Q5_0, 0.08},
		{quant.Q4_K, 0.08}, // falls back where rows are not whole blocks
	}
	eachVariant(t, func(t *testing.T, o tinymodel.Options) {
		for _, typ := range types {
			t.Run(typ.t.String(), func(t *testing.T) {
				o.Type = typ.t
				ref, rc := tiny(t, o, Options{Reference: true, Threads: 2}, 8)
				fast, fc := tiny(t, o, Options{Tier: cpu.Detect(), Threads: 2}, 8)
				vocab := ref.Config().Vocab
				want := all(ref, rc, newTalk(1, vocab, 60, 5, 2, 7, 0), 60)
				got := all(fast, fc, newTalk(1, vocab, 60, 5, 2, 7, 0), 60)
				bound := typ.bound
				if o.Types != nil {
					bound = 0.08
				}
				if ref.Config().Experts > 0 { // rounding may change a row's last expert
					bound = max(2*bound, 0.01)
				}
				if d := distance(got, want); !(d < bound) {
					t.Errorf("logits differ by %.5f of their deviation, bound %g", d, bound)
				}
			})
		}
	})
}

func TestReferenceDoesNotDependOnChunks(t *testing.T) {
	eachVariant(t, func(t *testing.T, o tinymodel.Options) {
		m, c := tiny(t, o, Options{Reference: true, Threads: 2}, 8)
		vocab := m.Config().Vocab
		want := all(m, c, newTalk(1, vocab, 40, 0, 1, 2), 40)
		got := all(m, c, newTalk(1, vocab, 40, 5, 7, 6), 3)
		if d := distance(got, want); d != 0 {
			t.Errorf("logits differ by %g", d)
		}
	})
}

// TestBatchInvariance: a sequence's logits have the same bits alone, token by
// token, in chunks, and among others, whatever the tier and the workers.
func TestBatchInvariance(t *testing.T) {
	types := []quant.Type{quant.Q8_0, quant.Q4_1, quant.Q4_K, quant.F16}
	if testing.Short() {
		types = types[:2]
	}
	for i, tier := range kernel.Tiers() {
		for _, typ := range types[:max(1, len(types)-2*i)] { // the best tier first
			t.Run(fmt.Sprint(tier, " ", typ), func(t *testing.T) {
				eachVariant(t, func(t *testing.T, o tinymodel.Options) {
					o.Type = typ
					checkInvariance(t, o, Options{Tier: tier})
				})
			})
		}
	}
}

// TestCaches: the same holds for every type of cache, and each is as exact as
// its numbers are.
func TestCaches(t *testing.T) {
	for kv, bound := range map[KVType]float64{KV16: 1e-3, KVF16: 2e-3, KV8: 0.05} {
		t.Run(kv.String(), func(t *testing.T) {
			o := tinymodel.Options{Type: quant.F32}
			ref, rc := tiny(t, o, Options{Reference: true, Threads: 2}, 8)
			fast, fc := tiny(t, o, Options{Tier: cpu.Detect(), Threads: 2, KV: kv}, 8)
			vocab := ref.Config().Vocab
			want := all(ref, rc, newTalk(1, vocab, 60, 5, 2, 7, 0), 60)
			got := all(fast, fc, newTalk(1, vocab, 60, 5, 2, 7, 0), 60)
			d := distance(got, want)
			t.Logf("logits differ by %.6f of their deviation", d)
			if !(d < bound) {
				t.Errorf("that is beyond %g", bound)
			}
			for _, tier := range kernel.Tiers() {
				checkInvariance(t, tinymodel.Options{Type: quant.Q8_0}, Options{Tier: tier, KV: kv})
				checkInvariance(t, tinymodel.Options{Type: quant.Q8_0, Heads: 9, KVHeads: 3}, Options{Tier: tier, KV: kv}) // no two workers share them evenly
			}
		})
	}
}

// checkInvariance takes opts' tier and cache.
func checkInvariance(t *testing.T, o tinymodel.Options, opts Options) {
	const n = 37
	with := func(threads, rows int) Options {
		opts := opts
		opts.Threads, opts.MaxRows = threads, rows
		return opts
	}
	m, c := tiny(t, o, with(2, 256), 64)
	vocab := m.Config().Vocab
	want := all(m, c, newTalk(1, vocab, n, 3, 9, 4), n)
	compare := func(how string, got [][]float32) {
		t.Helper()
		for i := range want {
			if !slices.Equal(got[i], want[i]) {
				t.Fatalf("%s: row %d differs", how, i)
			}
		}
	}
	compare("token by token", all(m, c, newTalk(1, vocab, n, 1, 0, 2), 1))
	compare("chunks of 3", all(m, c, newTalk(1, vocab, n, 10, 11, 12), 3))
	single, sc := tiny(t, o, with(1, 0), 4)
	compare("one worker", all(single, sc, newTalk(1, vocab, n, 0, 3, 1), 5))
	three, tc := tiny(t, o, with(3, 0), 4)
	compare("three workers", all(three, tc, newTalk(1, vocab, n, 0, 1, 2), 20))

	// Among seven others that prefill and decode at their own pace.
	talks := []*talk{newTalk(1, vocab, n, 20, 21, 22)}
	for i := range 7 {
		first := int32(24 + 3*i)
		talks = append(talks, newTalk(uint64(i+2), vocab, 48, first, first+1, first+2))
	}
	r := rand.New(rand.NewPCG(7, 7))
	var got [][]float32
	for talks[0].done < n {
		rows := make([]int, len(talks))
		for i, s := range talks {
			rows[i] = min(1+r.IntN(2)*r.IntN(5), len(s.tokens)-s.done)
		}
		got = append(got, step(m, c, rows, talks...)[0]...)
	}
	compare("among seven others", got)
}

// TestWantedRowsOnly: asking for fewer logits changes none of them.
func TestWantedRowsOnly(t *testing.T) {
	eachVariant(t, func(t *testing.T, o tinymodel.Options) {
		o.Type = quant.Q8_0
		m, c := tiny(t, o, Options{Tier: cpu.Detect(), Threads: 2}, 8)
		vocab := m.Config().Vocab
		s := newTalk(1, vocab, 30, 0, 1)
		want := all(m, c, s, 30)
		b := &batch.Batch{Tokens: s.tokens, Start: []int32{0, 30}, Blocks: [][]int32{{4, 5}}, Logits: []int32{0, 13, 29}}
		for i := range s.tokens {
			b.Positions = append(b.Positions, int32(i))
		}
		logits := m.Forward(b, c)
		for i, r := range b.Logits {
			if !slices.Equal(logits[i*vocab:][:vocab], want[r]) {
				t.Errorf("row %d differs", r)
			}
		}
		b.Logits = nil
		if l := m.Forward(b, c); len(l) != 0 {
			t.Errorf("%d logits that nobody wanted", len(l))
		}
	})
}

// TestWindowPatterns: a list of the layers that slide may hold numbers or truth values.
func TestWindowPatterns(t *testing.T) {
	logits := func(pattern any) [][]float32 {
		o := tinymodel.Options{Arch: "gemma3", Layers: 2, Window: 5}
		if pattern != nil {
			o.Extra = []gguf.KV{{Key: "gemma3.attention.sliding_window_pattern", Value: pattern}}
		}
		m, c := tiny(t, o, Options{Reference: true, Threads: 2}, 4)
		return all(m, c, newTalk(1, 500, 20, 0, 1), 20)
	}
	want := logits(uint32(2))
	if distance(logits(nil), want) == 0 {
		t.Error("the pattern has no influence")
	}
	for _, pattern := range []any{[]bool{true, false}, []uint32{1, 0}, []int32{1, 0}} {
		if d := distance(logits(pattern), want); d != 0 {
			t.Errorf("%v: logits differ by %g from those of a period of 2", pattern, d)
		}
	}
}

// TestSlidingWindow: what lies before the window of all layers has no influence.
func TestSlidingWindow(t *testing.T) {
	o := tinymodel.Options{Arch: "gemma3", Layers: 2, Window: 5}
	for _, reference := range []bool{true, false} {
		m, c := tiny(t, o, Options{Reference: reference, Threads: 2}, 8)
		a, b := newTalk(1, 500, 40, 0, 1, 2), newTalk(1, 500, 40, 3, 4, 5)
		for i := range 31 { // two layers see 2*(5-1) positions back
			b.tokens[i] = (b.tokens[i] + 1) % 500
		}
		la, lb := all(m, c, a, 7), all(m, c, b, 7)
		if !slices.Equal(la[39], lb[39]) {
			t.Errorf("reference %v: the last row sees beyond the window", reference)
		}
		if slices.Equal(la[38], lb[38]) {
			t.Errorf("reference %v: a row does not see its window", reference)
		}
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	eachVariant(t, func(t *testing.T, o tinymodel.Options) {
		for _, tier := range kernel.Tiers() {
			m, c := tiny(t, o, Options{Tier: tier, Threads: 2}, 64)
			for name, b := range map[string]*batch.Batch{
				"decode 1":    decodeBatch(1, 20),
				"decode 8":    decodeBatch(8, 20),
				"prefill 100": prefillBatch(100),
			} {
				if n := alloctest.PerRun(5, func() { m.Forward(b, c) }); n != 0 {
					t.Errorf("%v, %s: %v allocations a step", tier, name, n)
				}
			}
		}
	})
}

// decodeBatch is one row of each of n sequences at position pos.
func decodeBatch(n, pos int) *batch.Batch {
	b := &batch.Batch{Start: []int32{0}}
	blocks := int32(pos/kvcache.BlockTokens + 1)
	for i := range int32(n) {
		table := make([]int32, blocks)
		for j := range table {
			table[j] = i*blocks + int32(j)
		}
		b.Tokens = append(b.Tokens, i+1)
		b.Positions = append(b.Positions, int32(pos))
		b.Start = append(b.Start, i+1)
		b.Blocks = append(b.Blocks, table)
		b.Logits = append(b.Logits, i)
	}
	return b
}

// prefillBatch is n rows of one sequence, from position 0.
func prefillBatch(n int) *batch.Batch {
	b := &batch.Batch{Start: []int32{0, int32(n)}, Logits: []int32{int32(n - 1)}}
	table := make([]int32, (n+kvcache.BlockTokens-1)/kvcache.BlockTokens)
	for i := range table {
		table[i] = int32(i)
	}
	b.Blocks = [][]int32{table}
	for i := range n {
		b.Tokens = append(b.Tokens, int32(i%300))
		b.Positions = append(b.Positions, int32(i))
	}
	return b
}
