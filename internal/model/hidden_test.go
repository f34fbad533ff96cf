package model_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/hub/hubtest"
	"github.com/penstock-llm/penstock/internal/kvcache"
	. "github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// pass computes a text of one sequence at once, and returns copies of the logits
// and the hidden states of the rows that are asked for.
func pass(t *testing.T, m *Model, tokens, logits, hidden []int32) (l, h [][]float32) {
	t.Helper()
	blocks := (len(tokens) + 15) / 16
	c, err := m.NewStore(kvcache.Room{Blocks: blocks})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := &batch.Batch{Tokens: tokens, Start: []int32{0, int32(len(tokens))}, Logits: logits, Hidden: hidden}
	var table []int32
	for i := range blocks {
		table = append(table, int32(i))
	}
	b.Blocks = [][]int32{table}
	for i := range tokens {
		b.Positions = append(b.Positions, int32(i))
	}
	all, vocab := m.Forward(b, c), m.Config().Vocab
	for i := range logits {
		l = append(l, slices.Clone(all[i*vocab:][:vocab]))
	}
	for i := range hidden {
		h = append(h, slices.Clone(m.Hidden(i)))
	}
	return l, h
}

func allRows(n int) (rows []int32) {
	for i := range n {
		rows = append(rows, int32(i))
	}
	return rows
}

// The hidden states are what the output multiplies: the logits follow from them.
func TestHiddenStatesGiveTheLogits(t *testing.T) {
	eachVariant(t, func(t *testing.T, o tinymodel.Options) {
		o.Type, o.Types = quant.F32, nil
		f, err := tinymodel.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		table, ok := f.Tensor("output.weight")
		if !ok {
			table, _ = f.Tensor("token_embd.weight")
		}
		m, _ := tiny(t, o, Options{Reference: true, Threads: 2}, 1)
		tokens := newTalk(1, m.Config().Vocab, 20).tokens
		logits, hidden := pass(t, m, tokens, allRows(20), allRows(20))
		dim := m.Config().Dim
		multiplier := 1.0
		for _, kv := range o.Keys {
			if kv.Key == "logit_scale" {
				multiplier = 1 / float64(kv.Value.(float32))
			}
		}
		weights := make([]float32, len(table.Data)/4)
		if err := quant.Dequantize(table.Type, weights, table.Data); err != nil {
			t.Fatal(err)
		}
		for r, l := range logits {
			for id, got := range l {
				want := 0.0
				for d, w := range weights[id*dim:][:dim] {
					want += float64(w) * float64(hidden[r][d]) * multiplier
				}
				if math.Abs(float64(got)-want) > 1e-4*(1+math.Abs(want)) {
					t.Fatalf("row %d, token %d: logit %v, from the hidden state %v", r, id, got, want)
				}
			}
		}
	})
}

// Which rows are asked for changes no bit of any, on either backend.
func TestWantedStatesOnly(t *testing.T) {
	eachVariant(t, func(t *testing.T, o tinymodel.Options) {
		for _, opts := range []Options{{Reference: true, Threads: 2}, {Tier: cpu.Detect(), Threads: 2}} {
			o.Type = quant.Q8_0
			m, _ := tiny(t, o, opts, 1)
			tokens := newTalk(1, m.Config().Vocab, 21).tokens
			logits, hidden := pass(t, m, tokens, allRows(21), allRows(21))
			for _, c := range []struct{ logits, hidden []int32 }{
				{nil, []int32{20}}, {nil, []int32{0}}, {nil, []int32{3, 4, 11}}, {nil, allRows(21)},
				{[]int32{20}, []int32{4, 19}}, {[]int32{2, 7}, []int32{20}}, {[]int32{1, 5, 9}, []int32{0, 5, 6, 9, 20}}, {[]int32{20}, nil},
			} {
				l, h := pass(t, m, tokens, c.logits, c.hidden)
				for i, row := range c.logits {
					if !slices.Equal(l[i], logits[row]) {
						t.Errorf("%+v: logits of row %d differ", c, row)
					}
				}
				for i, row := range c.hidden {
					if !slices.Equal(h[i], hidden[row]) {
						t.Errorf("%+v: hidden state of row %d differs", c, row)
					}
				}
			}
		}
	})
}

// The fast path's hidden states follow the reference's, for every architecture.
func TestHiddenStatesFollowReference(t *testing.T) {
	for typ, most := range map[quant.Type]float64{quant.F32: 2e-3, quant.Q8_0: 0.08, quant.Q4_K: 0.08} {
		eachVariant(t, func(t *testing.T, o tinymodel.Options) {
			o.Type = typ
			bound := most
			if o.Types != nil {
				bound = 0.08
			}
			ref, _ := tiny(t, o, Options{Reference: true, Threads: 2}, 1)
			fast, _ := tiny(t, o, Options{Tier: cpu.Detect(), Threads: 2}, 1)
			least := 0.98
			if ref.Config().Experts > 0 { // rounding may change a row's last expert
				bound, least = max(2*bound, 0.01), 0.8
			}
			tokens := newTalk(1, ref.Config().Vocab, 60).tokens
			_, want := pass(t, ref, tokens, nil, allRows(60))
			_, got := pass(t, fast, tokens, nil, allRows(60))
			if d := distance(got, want); !(d < bound) {
				t.Errorf("%v: hidden states differ by %.5f of their deviation, bound %g", typ, d, bound)
			}
			for i := range want {
				if c := cosine(got[i], want[i]); !(c > least) {
					t.Errorf("%v: row %d has a cosine of %.5f", typ, i, c)
				}
			}
			if c := cosine(mean(got), mean(want)); !(c > 0.995) {
				t.Errorf("%v: the mean has a cosine of %.5f", typ, c)
			}
		})
	}
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}

func mean(rows [][]float32) []float32 {
	sum := make([]float32, len(rows[0]))
	for _, r := range rows {
		for d, v := range r {
			sum[d] += v / float32(len(rows))
		}
	}
	return sum
}

// The embeddings of a real model are those of the reference. A single position may be
// further from it than a mean: one activation that is rounded the other way is enough.
func TestRealEmbeddingsFollowReference(t *testing.T) {
	f := hubtest.Open(t, "smollm2")
	tok, err := tokenizer.New(f)
	if err != nil {
		t.Fatal(err)
	}
	load := func(o Options) *Model {
		m, err := Load(f, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		return m
	}
	fast, ref := load(Options{Tier: cpu.Detect()}), load(Options{Reference: true})
	for _, text := range []string{
		"A penstock is the pipe that carries water from the reservoir to the turbine.",
		"def mean(xs):\n    return sum(xs) / len(xs)\n",
		"Der Zug fährt um 7:45 Uhr von Gleis 3 ab.",
	} {
		tokens := tok.Encode(text, true, true)
		_, got := pass(t, fast, tokens, nil, allRows(len(tokens)))
		_, want := pass(t, ref, tokens, nil, allRows(len(tokens)))
		last := len(tokens) - 1
		for pooling, c := range map[string]float64{"mean": cosine(mean(got), mean(want)), "last": cosine(got[last], want[last]), "cls": cosine(got[0], want[0])} {
			t.Logf("%q: %s has a cosine of %.6f", text, pooling, c)
			least := 0.99
			if pooling == "mean" {
				least = 0.9995
			}
			if !(c >= least) {
				t.Errorf("%q: %s has a cosine of %.6f, want at least %g", text, pooling, c, least)
			}
		}
	}
}

func TestPoolingOfTheFile(t *testing.T) {
	describe := func(value any) (Config, error) {
		o := tinymodel.Options{}
		if value != nil {
			o.Extra = []gguf.KV{{Key: "llama.pooling_type", Value: value}}
		}
		f, err := tinymodel.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		return Describe(f)
	}
	for _, c := range []struct {
		value any
		want  Pooling
	}{{nil, NoPooling}, {uint32(0), NoPooling}, {uint32(1), MeanPooling}, {uint32(2), FirstPooling}, {uint32(3), LastPooling}} {
		if got, err := describe(c.value); err != nil || got.Pooling != c.want {
			t.Errorf("pooling_type %v: %v, %v, want %v", c.value, got.Pooling, err, c.want)
		}
	}
	for _, value := range []any{uint32(4), uint32(77), "mean"} {
		if _, err := describe(value); err == nil || !strings.Contains(err.Error(), "llama.pooling_type") {
			t.Errorf("pooling_type %v: %v", value, err)
		}
	}
}
