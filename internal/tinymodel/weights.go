package tinymodel

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/quant"
)

// The sizes of weights are chosen so that the residual stream stays around 1,
// attention looks at some tokens more than at others, and logits have a standard
// deviation of logitDeviation: some tokens are clearly likelier, but sampling
// still has a choice.
const (
	embeddingDeviation = 0.25 // in the residual stream; if it were not small beside what layers add, a token would predict itself
	logitDeviation     = 3
	keyGain            = 1.5 // of queries and of keys
	routerGain         = 4
)

// tensors lists the architecture's tensors by llama.cpp's names.
func (o *Options) tensors() ([]gguf.Tensor, error) {
	w := weights{o: o}
	if o.encodes() && !o.gemma() {
		w.encoder()
		for layer := range o.Layers {
			w.encoderLayer(fmt.Sprintf("blk.%d.", layer), layer == 0)
		}
		return w.tensors, w.err
	}
	// Gemma multiplies embeddings by the root of dim on their way in.
	scale := 1.0
	if o.gemma() {
		scale = math.Sqrt(float64(o.Dim))
	}
	w.matrix("token_embd.weight", o.Dim, o.Vocab, embeddingDeviation/scale)
	head := embeddingDeviation / scale
	if o.Untied {
		head = 1 / math.Sqrt(float64(o.Dim))
		w.matrix("output.weight", o.Dim, o.Vocab, head)
	}
	w.norm("output_norm.weight", o.Dim, logitDeviation/(head*math.Sqrt(float64(o.Dim))))
	if len(o.RopeFactors) > 0 {
		w.add("rope_freqs.weight", quant.F32, []int{len(o.RopeFactors)}, o.RopeFactors)
	}
	if o.Arch == "gemma-embedding" {
		w.matrix("dense_2.weight", o.Dim, 2*o.Dim, 1/root(o.Dim))
		w.matrix("dense_3.weight", 2*o.Dim, o.Dim, 1/root(2*o.Dim))
	}
	for layer := range o.Layers {
		w.layer(fmt.Sprintf("blk.%d.", layer))
	}
	return w.tensors, w.err
}

type weights struct {
	o       *Options
	tensors []gguf.Tensor
	err     error
}

// layer adds one transformer block. Matrices are [in, out], so that a product
// of a vector around 1 is around the gain.
func (w *weights) layer(blk string) {
	o := w.o
	q, kv := o.Heads*o.HeadDim, o.KVHeads*o.HeadDim
	gain := func(g float64, in int) float64 { return g / root(in) }

	w.norm(blk+"attn_norm.weight", o.Dim, 1)
	w.matrix(blk+"attn_q.weight", o.Dim, q, gain(keyGain, o.Dim))
	w.matrix(blk+"attn_k.weight", o.Dim, kv, gain(keyGain, o.Dim))
	w.matrix(blk+"attn_v.weight", o.Dim, kv, gain(1, o.Dim))
	if o.Arch == "qwen2" {
		w.bias(blk+"attn_q.bias", q)
		w.bias(blk+"attn_k.bias", kv)
		w.bias(blk+"attn_v.bias", kv)
	}
	if o.Arch == "qwen3" || o.Arch == "qwen3moe" || o.gemma() {
		w.norm(blk+"attn_q_norm.weight", o.HeadDim, keyGain)
		w.norm(blk+"attn_k_norm.weight", o.HeadDim, keyGain)
	}
	w.matrix(blk+"attn_output.weight", q, o.Dim, gain(1.5, q))
	if o.gemma() {
		w.norm(blk+"post_attention_norm.weight", o.Dim, 1)
	}
	w.norm(blk+"ffn_norm.weight", o.Dim, 1)
	if o.Experts > 0 {
		w.experts(blk)
		return
	}
	w.matrix(blk+"ffn_gate.weight", o.Dim, o.FF, gain(1.5, o.Dim))
	w.matrix(blk+"ffn_up.weight", o.Dim, o.FF, gain(1.5, o.Dim))
	w.matrix(blk+"ffn_down.weight", o.FF, o.Dim, gain(1, o.FF))
	if o.gemma() {
		w.norm(blk+"post_ffw_norm.weight", o.Dim, 1)
	}
}

// experts adds the experts of one block. Files have the router in float32, whatever
// the type of the other matrices. Its gain makes the last of a row's experts count
// little: where rounding changes which that is, the row changes little.
func (w *weights) experts(blk string) {
	o, n := w.o, w.o.Experts
	gain := func(g float64, in int) float64 { return g / math.Sqrt(float64(in)) }
	stack := func(name string, cols, rows int, deviation float64) {
		w.add(name, o.typeOf(name, cols), []int{cols, rows, n}, w.normal(name, cols*rows*n, 0, deviation))
	}
	router := blk + "ffn_gate_inp.weight"
	w.add(router, quant.F32, []int{o.Dim, n}, w.normal(router, o.Dim*n, 0, gain(routerGain, o.Dim)))
	stack(blk+"ffn_gate_exps.weight", o.Dim, o.ExpertFF, gain(1.5, o.Dim))
	stack(blk+"ffn_up_exps.weight", o.Dim, o.ExpertFF, gain(1.5, o.Dim))
	stack(blk+"ffn_down_exps.weight", o.ExpertFF, o.Dim, gain(1, o.ExpertFF))
}
func root(n int) float64 { return math.Sqrt(float64(n)) }

func (w *weights) matrix(name string, cols, rows int, deviation float64) {
	w.add(name, w.o.typeOf(name, cols), []int{cols, rows}, w.normal(name, cols*rows, 0, deviation))
}

// norm adds weights scattered around mean, so that mixing them up matters.
func (w *weights) norm(name string, n int, mean float64) {
	w.add(name, quant.F32, []int{n}, w.normal(name, n, mean, mean/8))
}

func (w *weights) bias(name string, n int) {
	w.add(name, quant.F32, []int{n}, w.normal(name, n, 0, 0.5))
}

// normal draws a tensor's weights. They depend on its name and the seed only,
// not on other tensors or on its type: a model in two formats is the same model.
func (w *weights) normal(name string, n int, mean, deviation float64) []float32 {
	h := fnv.New64a()
	h.Write([]byte(name))
	rng := rand.New(rand.NewPCG(w.o.Seed, h.Sum64()))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(mean + deviation*rng.NormFloat64())
	}
	return x
}

func (w *weights) add(name string, typ quant.Type, shape []int, x []float32) {
	data := make([]byte, typ.RowBytes(len(x)))
	if err := quant.Quantize(typ, data, x); err != nil && w.err == nil {
		w.err = fmt.Errorf("tensor %s: %w", name, err)
	}
	w.tensors = append(w.tensors, gguf.Tensor{Name: name, Type: typ, Shape: shape, Data: data})
}

// typeOf is the format of the matrix name, whose rows have cols elements.
func (o *Options) typeOf(name string, cols int) quant.Type {
	typ, longest := o.Type, -1
	for suffix, t := range o.Types {
		if strings.HasSuffix(name, suffix) && len(suffix) > longest {
			typ, longest = t, len(suffix)
		}
	}
	if size := typ.BlockSize(); size > 0 && cols%size == 0 {
		return typ
	}
	switch typ {
	case quant.Q2_K, quant.Q3_K, quant.IQ4_XS:
		typ = quant.IQ4_NL
	case quant.Q4_K:
		typ = quant.Q5_0
	case quant.Q5_K:
		typ = quant.Q5_1
	case quant.Q6_K:
		typ = quant.Q8_0
	}
	if size := typ.BlockSize(); size > 0 && cols%size != 0 {
		return quant.F16
	}
	return typ
}
