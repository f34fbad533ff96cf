package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/quant"
)

// headCase is a head of random weights, and the embeddings that are its input.
type headCase struct {
	typ        quant.Type
	dim, vocab int
	bias       bool
	softcap    float32

	rows    []byte    // of the head, in typ
	weights []float32 // the same
	embeds  []byte    // F32, the head's input before the norm
	norm    Norm
	biases  []float32
}

const headInputs = 11

func (h *headCase) fill(t *testing.T) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, uint64(h.vocab)))
	random := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
			if i%37 == 0 {
				x[i] *= 20 // what makes rounding in blocks hurt
			}
		}
		return x
	}
	h.weights = random(h.vocab * h.dim)
	for i := h.vocab / 2; i < h.vocab; i++ { // equal rows, far apart: their order decides
		copy(h.weights[i*h.dim:][:h.dim], h.weights[(i-h.vocab/2)*h.dim:])
	}
	h.rows = make([]byte, h.vocab*h.typ.RowBytes(h.dim))
	h.embeds = make([]byte, headInputs*quant.F32.RowBytes(h.dim))
	for _, err := range []error{
		quant.Quantize(h.typ, h.rows, h.weights),
		quant.Dequantize(h.typ, h.weights, h.rows),
		quant.Quantize(quant.F32, h.embeds, random(headInputs*h.dim)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	h.norm = Norm{Weight: random(h.dim), Eps: 1e-6}
	if h.bias {
		h.biases = random(h.vocab)
	}
}

// run returns the logits of the inputs tokens, with refined ones or without.
func (h *headCase) run(t *testing.T, pool *Pool, tier kernel.Set, refined bool, tokens ...int32) []float32 {
	t.Helper()
	f, err := NewFast(tier, pool, h.limits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	shape := kvcache.Config{Layers: 1, KVHeads: 1, HeadDim: 32, Type: quant.F16}
	store, err := kvcache.NewStore([batch.Groups]kvcache.Config{batch.Full: shape}, kvcache.Room{Blocks: 1})
	if err != nil {
		t.Fatal(err)
	}
	o := Output{Linear: Linear{W: &Matrix{Type: h.typ, Rows: h.vocab, Cols: h.dim}, Bias: h.biases}, Softcap: h.softcap}
	if err := f.Load(o.W, h.rows); err != nil {
		t.Fatal(err)
	}
	if refined {
		o.Rows = h.rows
	}
	b := &batch.Batch{Tokens: tokens, Start: []int32{0, int32(len(tokens))}, Blocks: [][]int32{{0}}}
	for i := range tokens {
		b.Positions = append(b.Positions, int32(i))
		b.Logits = append(b.Logits, int32(i))
	}
	f.Begin(b, store)
	f.Embed(&Embedding{Type: quant.F32, Dim: h.dim, Data: h.embeds})
	logits := slices.Clone(f.Head(&h.norm, &o))
	for _, err := range []error{f.Close(), store.Close()} {
		if err != nil {
			t.Error(err)
		}
	}
	return logits
}

func (h *headCase) limits() Limits {
	return Limits{
		Rows: headInputs, Logits: headInputs, Seqs: 1, Dim: h.dim, Heads: 32, Hidden: 32, Vocab: h.vocab,
		Group: 1, KVHeads: 1, HeadDim: 32, Floats: (&Matrix{Type: h.typ}).MultipliesFloats(),
	}
}

// exact is a logit of an input in float64, and how large its terms are.
func (h *headCase) exact(set kernel.Set, token, id int) (logit, size float64) {
	x := make([]float32, h.dim)
	if err := quant.Dequantize(quant.F32, x, h.embeds[token*4*h.dim:][:4*h.dim]); err != nil {
		panic(err)
	}
	set.RMSNorm(x, x, h.norm.Weight, h.norm.Eps)
	if h.biases != nil {
		logit = float64(h.biases[id])
	}
	for i, w := range h.weights[id*h.dim:][:h.dim] {
		logit += float64(w) * float64(x[i])
		size += math.Abs(float64(w) * float64(x[i]))
	}
	if h.softcap > 0 {
		c := float64(h.softcap)
		logit = c * math.Tanh(logit/c)
	}
	return logit, size
}

// largest are the ids of a row's candidates, the lower ones first among equals.
func largest(logits []float32) []int {
	ids := make([]int, len(logits))
	for i := range ids {
		ids[i] = i
	}
	slices.SortStableFunc(ids, func(a, b int) int {
		switch {
		case logits[a] > logits[b]:
			return -1
		case logits[a] < logits[b]:
			return 1
		}
		return 0
	})
	return ids[:min(candidates, len(ids))]
}

var headCases = []headCase{
	{typ: quant.Q8_0, dim: 96, vocab: 300},
	{typ: quant.Q8_0, dim: 96, vocab: candidates},
	{typ: quant.Q8_0, dim: 64, vocab: candidates / 3, bias: true},
	{typ: quant.Q8_0, dim: 32, vocab: 3*scanLen + 10, bias: true},
	{typ: quant.Q6_K, dim: 256, vocab: 700},
	{typ: quant.Q4_1, dim: 96, vocab: 500, softcap: 400},
	{typ: quant.Q5_0, dim: 96, vocab: 333, bias: true, softcap: 300},
}

// TestRefinedHead: a row's largest logits are as good as a product of floats,
// the others what they are without, and all have the same bits whatever the
// number of rows and of workers.
func TestRefinedHead(t *testing.T) {
	for _, h := range headCases {
		h.fill(t)
		for _, tier := range kernel.Tiers() {
			t.Run(fmt.Sprint(h.typ, " ", h.vocab, " ", tier), func(t *testing.T) { h.check(t, kernel.New(tier)) })
		}
	}
}

func (h *headCase) check(t *testing.T, set kernel.Set) {
	pool := NewPool(2)
	defer pool.Close()
	tokens := []int32{5, 10, 0, 7}
	plain := h.run(t, pool, set, false, tokens...)
	uncapped := *h
	uncapped.softcap = 0 // which makes equals of what is not
	order := uncapped.run(t, pool, set, false, tokens...)
	got := h.run(t, pool, set, true, tokens...)
	better := 0
	for i, token := range tokens {
		row := got[i*h.vocab:][:h.vocab]
		want := slices.Clone(plain[i*h.vocab:][:h.vocab])
		for _, id := range largest(order[i*h.vocab:][:h.vocab]) {
			exact, size := h.exact(set, int(token), id)
			if math.Abs(float64(row[id])-exact) > 1e-6*size {
				t.Fatalf("row %d: logit %d is %g, want %g", i, id, row[id], exact)
			}
			if math.Abs(float64(row[id])-exact) < math.Abs(float64(want[id])-exact) {
				better++
			}
			want[id] = row[id]
		}
		if !slices.Equal(row, want) {
			t.Fatalf("row %d: logits differ that are none of the largest", i)
		}
	}
	if better < min(candidates, h.vocab)*len(tokens)*9/10 {
		t.Errorf("only %d logits are better for being computed again", better)
	}
	for _, workers := range []int{1, 2, 3} {
		pool := NewPool(workers)
		for i, token := range tokens {
			if !slices.Equal(h.run(t, pool, set, true, token), got[i*h.vocab:][:h.vocab]) {
				t.Errorf("row %d alone differs, with %d workers", i, workers)
			}
		}
		if !slices.Equal(h.run(t, pool, set, true, append([]int32{1, 2, 3}, tokens...)...)[3*h.vocab:], got) {
			t.Errorf("rows after others differ, with %d workers", workers)
		}
		pool.Close()
	}
}

// TestFloatHead: what multiplies floats is exact as it is.
func TestFloatHead(t *testing.T) {
	h := headCase{typ: quant.F16, dim: 96, vocab: 300}
	h.fill(t)
	pool := NewPool(2)
	defer pool.Close()
	set := kernel.New(kernel.Tiers()[0])
	if !slices.Equal(h.run(t, pool, set, true, 1, 2), h.run(t, pool, set, false, 1, 2)) {
		t.Error("logits were computed again")
	}
}
