package nn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/quant"
)

// TestRefinedHead: with Refine the head is as good as a product of floats, and
// row for row the same whatever the number of rows.
func TestRefinedHead(t *testing.T) {
	const dim, vocab, rows = 96, 300, 3
	r := rand.New(rand.NewPCG(1, 2))
	table := make([]float32, vocab*dim)
	for i := range table {
		table[i] = float32(r.NormFloat64())
		if i%37 == 0 {
			table[i] *= 20
		}
	}
	data := make([]byte, vocab*quant.F32.RowBytes(dim))
	packed := make([]byte, vocab*quant.Q8_0.RowBytes(dim))
	for typ, dst := range map[quant.Type][]byte{quant.F32: data, quant.Q8_0: packed} {
		if err := quant.Quantize(typ, dst, table); err != nil {
			t.Fatal(err)
		}
	}
	weight := make([]float32, dim)
	for i := range weight {
		weight[i] = 1 + float32(i)/dim
	}
	pool := NewPool(2)
	defer pool.Close()
	lim := Limits{Rows: 8, Logits: 8, Seqs: 1, Dim: dim, Heads: 32, Hidden: 32, Vocab: vocab, Group: 1, KVHeads: 1, HeadDim: 32}
	cache, err := kvcache.New(kvcache.Config{Layers: 1, KVHeads: 1, HeadDim: 32, Blocks: 1, Type: quant.F16})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	logits := func(be Backend, tokens ...int32) []float32 {
		o := Output{Linear: Linear{W: &Matrix{Type: quant.Q8_0, Rows: vocab, Cols: dim}}}
		if err := be.Load(o.W, packed); err != nil {
			t.Fatal(err)
		}
		b := &batch.Batch{Tokens: tokens, Start: []int32{0, int32(len(tokens))}, Blocks: [][]int32{{0}}}
		for i := range tokens {
			b.Positions = append(b.Positions, int32(i))
			b.Logits = append(b.Logits, int32(i))
		}
		be.Begin(b, cache)
		be.Embed(&Embedding{Type: quant.F32, Dim: dim, Data: data})
		return slices.Clone(be.Head(&Norm{Weight: weight, Eps: 1e-6}, &o))
	}
	want := logits(NewReference(pool, lim), 5, 250, 17)
	for _, tier := range kernel.Tiers() {
		for _, refine := range []bool{false, true} {
			lim.Refine = refine
			f, err := NewFast(kernel.New(tier), pool, lim, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := logits(f, 5, 250, 17)
			var diff, size float64
			for i, v := range want {
				diff += math.Pow(float64(got[i]-v), 2)
				size += math.Pow(float64(v), 2)
			}
			if e := math.Sqrt(diff / size); e > 1e-4 == refine {
				t.Errorf("%v: relative error %.2g with Refine %v", tier, e, refine)
			}
			for i, token := range []int32{5, 250, 17} {
				for j, v := range logits(f, token) {
					if v != got[i*vocab+j] {
						t.Fatalf("%v: row %d differs alone", tier, i)
					}
				}
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
