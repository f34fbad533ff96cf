package tinymodel

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/model"
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

// tensors fills the tensors that the architecture asks for.
func (o *Options) tensors() ([]gguf.Tensor, error) {
	if o.encodes() && !o.gemma() {
		w := weights{o: o}
		w.encoder()
		for layer := range o.Layers {
			w.encoderLayer(fmt.Sprintf("blk.%d.", layer), layer == 0)
		}
		return w.tensors, w.err
	}
	drawn, err := model.Draw(o.metadata(), o.has)
	if err != nil {
		return nil, err
	}
	w := weights{o: o, head: embeddingDeviation / drawn.EmbeddingScale}
	w.embedding = w.head
	if o.Untied {
		w.head = 1 / math.Sqrt(float64(o.Dim))
	}
	for _, s := range drawn.Tensors {
		w.fill(s)
	}
	if o.Arch == "gemma-embedding" {
		w.matrix("dense_2.weight", o.Dim, 2*o.Dim, 1/root(o.Dim))
		w.matrix("dense_3.weight", 2*o.Dim, o.Dim, 1/root(2*o.Dim))
	}
	return w.tensors, w.err
}

// has reports whether an optional tensor is part of the model.
func (o *Options) has(name string) bool {
	switch name {
	case "output.weight":
		return o.Untied
	case "rope_freqs.weight":
		return len(o.RopeFactors) > 0
	}
	return slices.ContainsFunc(o.With, func(ending string) bool { return strings.HasSuffix(name, ending) })
}

type weights struct {
	o               *Options
	embedding, head float64 // deviation of the token table and of what the logits are computed with
	tensors         []gguf.Tensor
	err             error
}

// gains are what a product of a vector around 1 is around, by the name of the matrix.
// That of others is 1.
var gains = map[string]float64{
	"attn_q": keyGain, "attn_k": keyGain, "attn_qkv": keyGain, "attn_output": 1.5, "ffn_gate": 1.5, "ffn_up": 1.5,
}

// fill adds a tensor with weights as they are usual for its name.
func (w *weights) fill(s model.Shape) {
	dot := strings.LastIndexByte(s.Name, '.') // blk.0.attn_q.weight
	stem, kind := s.Name[:dot], s.Name[dot+1:]
	stem = stem[strings.LastIndexByte(stem, '.')+1:]
	n, cols := 1, s.Shape[0]
	for _, size := range s.Shape {
		n *= size
	}
	switch {
	case stem == "rope_freqs":
		w.add(s.Name, quant.F32, s.Shape, w.o.RopeFactors)
	case strings.HasPrefix(stem, "rope_factors"), kind == "scale":
		w.vector(s, n, 1, 0.25)
	case stem == "output_norm" && kind == "weight":
		mean := logitDeviation / (w.head * math.Sqrt(float64(n)))
		w.vector(s, n, mean, mean/8)
	case stem == "attn_q_norm", stem == "attn_k_norm":
		w.vector(s, n, keyGain, keyGain/8)
	case strings.HasSuffix(stem, "norm") && kind == "weight": // scattered, so that mixing them up matters
		w.vector(s, n, 1, 1.0/8)
	case kind == "bias":
		w.vector(s, n, 0, 0.5)
	case stem == "token_embd":
		w.stack(s, n, w.embedding)
	case stem == "output":
		w.stack(s, n, w.head)
	case stem == "attn_sinks":
		w.vector(s, n, 0, 1)
	case stem == "ffn_gate_inp_shexp" && kind == "weight":
		w.vector(s, n, 0, 1/math.Sqrt(float64(n)))
	case stem == "ffn_gate_inp" && kind == "weight":
		// Files have the router in float32, whatever the type of the other matrices. Its
		// gain makes the last of a row's experts count little: where rounding changes
		// which that is, the row changes little.
		w.vector(s, n, 0, routerGain/math.Sqrt(float64(cols)))
	default:
		gain, ok := gains[strings.TrimSuffix(stem, "_exps")]
		if !ok {
			gain = 1
		}
		w.stack(s, n, gain/math.Sqrt(float64(cols)))
	}
}

func (w *weights) stack(s model.Shape, n int, deviation float64) {
	w.add(s.Name, w.o.typeOf(s.Name, s.Shape[0]), s.Shape, w.normal(s.Name, n, 0, deviation))
}

func (w *weights) vector(s model.Shape, n int, mean, deviation float64) {
	w.add(s.Name, quant.F32, s.Shape, w.normal(s.Name, n, mean, deviation))
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
