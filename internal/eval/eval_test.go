package eval

import (
	"math"
	"os"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/tinymodel"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// text returns a tokenized passage of Newton's Opticks.
func text(t *testing.T, f *gguf.File) (ids []int32, bos int32) {
	t.Helper()
	tok, err := tokenizer.New(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("testdata/opticks.txt")
	if err != nil {
		t.Fatal(err)
	}
	bos = -1
	if tok.AddsBOS() {
		bos = tok.BOS()
	}
	return tok.Encode(string(data), true, false), bos
}

func load(t *testing.T, f *gguf.File, o model.Options) *model.Model {
	t.Helper()
	o.Threads = 2
	m, err := model.Load(f, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// golden is what llama.cpp says: tinymodel.Write the model, then
//
//	llama-perplexity -m FILE -f testdata/opticks.txt -c 128 -b 128 --chunks 6 -ctk f32 -ctv f32 -fa off
//
// with version 0.5.0-dev (0c1e570). The weights are random, so the figures are
// large, and any mistake in any operation changes them. Its GELU is a table of
// halves, hence the bound for gemma3.
var golden = []struct {
	name  string
	o     tinymodel.Options
	ppl   float64
	bound float64
}{
	{"llama", tinymodel.Options{Arch: "llama"}, 36301.7682, 1e-6},
	{"llama with rope factors", tinymodel.Options{
		Arch: "llama", HeadDim: 16, RopeFactors: []float32{1, 1, 1, 2, 4, 8, 8, 8}, Untied: true,
	}, 39064.4501, 1e-6},
	{"llama with linear scaling", tinymodel.Options{Arch: "llama", Extra: []gguf.KV{
		{Key: "llama.rope.scaling.type", Value: "linear"},
		{Key: "llama.rope.scaling.factor", Value: float32(4)},
	}}, 41665.0861, 1e-6},
	{"llama with YaRN", tinymodel.Options{Arch: "llama", Extra: []gguf.KV{
		{Key: "llama.rope.scaling.type", Value: "yarn"},
		{Key: "llama.rope.scaling.factor", Value: float32(4)},
		{Key: "llama.rope.scaling.original_context_length", Value: uint32(64)},
	}}, 35414.1790, 1e-6},
	{"qwen2", tinymodel.Options{Arch: "qwen2"}, 63477.4551, 1e-6},
	{"qwen3", tinymodel.Options{Arch: "qwen3", Dim: 96, Heads: 4, HeadDim: 64}, 67554.8033, 1e-6},
	{"gemma3 with scaled global rope", tinymodel.Options{Arch: "gemma3", Layers: 7, Extra: []gguf.KV{
		{Key: "gemma3.rope.scaling.type", Value: "linear"},
		{Key: "gemma3.rope.scaling.factor", Value: float32(8)},
	}}, 61658.5961, 1e-3},
	{"gemma3 with soft cap and pattern", tinymodel.Options{Arch: "gemma3", Layers: 7, Extra: []gguf.KV{
		{Key: "gemma3.final_logit_softcapping", Value: float32(5)},
		{Key: "gemma3.attention.sliding_window_pattern", Value: uint32(3)},
	}}, 4285.4259, 1e-3},
}

func TestReferenceAgreesWithLlamaCpp(t *testing.T) {
	for _, g := range golden {
		t.Run(g.name, func(t *testing.T) {
			f, err := tinymodel.Open(g.o)
			if err != nil {
				t.Fatal(err)
			}
			ids, bos := text(t, f)
			r, err := Perplexity(t.Context(), load(t, f, model.Options{Reference: true}), ids, Options{Context: 128, Chunks: 6, BOS: bos})
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(r.Perplexity/g.ppl-1) > g.bound {
				t.Errorf("perplexity %.4f, llama.cpp says %.4f", r.Perplexity, g.ppl)
			}
			if r.Scored != 6*63 || r.Chunks != 6 {
				t.Errorf("scored %d tokens of %d chunks", r.Scored, r.Chunks)
			}
		})
	}
}

// TestCompare: with float weights only the cache's halves and the order of sums
// separate the paths.
func TestCompare(t *testing.T) {
	f, err := tinymodel.Open(tinymodel.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ids, bos := text(t, f)
	fast := load(t, f, model.Options{Tier: cpu.Detect(), MaxRows: 40, MaxLogits: 9})
	reference := load(t, f, model.Options{Reference: true})
	chunks := -1
	r, err := Compare(t.Context(), fast, reference, ids, Options{Context: 100, Chunks: 3, BOS: bos, Progress: func(done, of int, sofar Result) {
		chunks++
		if done != chunks || of != 3 || sofar.Scored != 49*done {
			t.Errorf("progress %d of %d, %d scored", done, of, sofar.Scored)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := r.Comparison
	if c == nil || c.KLMean > 1e-3 || c.KLP99 < c.KLMean || c.Top1 < 0.97 || math.Abs(r.Perplexity/c.Reference-1) > 0.01 {
		t.Errorf("fast %+v against reference %+v", r, c)
	}
	if chunks != 3 {
		t.Errorf("progress was told of %d chunks", chunks)
	}
}

func TestShortTexts(t *testing.T) {
	f, err := tinymodel.Open(tinymodel.Options{Context: 64})
	if err != nil {
		t.Fatal(err)
	}
	m := load(t, f, model.Options{Reference: true})
	ids := make([]int32, 70)
	for name, o := range map[string]Options{"short text": {Context: 71}, "short context": {Context: 3}, "long context": {Context: 65}} {
		if _, err := Perplexity(t.Context(), m, ids, o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
