package tinymodel

import (
	"math"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
)

// encoders are the architectures that make embeddings only.
var encoders = []string{"bert", "gemma-embedding", "jina-bert-v2", "modern-bert", "mpnet", "nomic-bert"}

func (o *Options) encodes() bool { return slices.Contains(encoders, o.Arch) }

// gemma says whether the architecture has the layers of Gemma 3.
func (o *Options) gemma() bool { return o.Arch == "gemma3" || o.Arch == "gemma-embedding" }

// firstPlace is the row of the first position in MPNet's table.
const firstPlace = 2

// encoderDefaults fills in what encoders have instead of the other models' defaults.
func (o *Options) encoderDefaults() {
	if !o.encodes() {
		return
	}
	o.Untied = false
	if !o.gemma() {
		setDefault(&o.Vocabulary, "bert")
		setDefault(&o.HeadDim, 16)
		setDefault(&o.Heads, 4)
		o.KVHeads = o.Heads
	}
}

// encoder lists the tensors of BERT and its relatives.
func (w *weights) encoder() {
	o := w.o
	w.matrix("token_embd.weight", o.Dim, o.Vocab, embeddingDeviation)
	if o.Arch == "modern-bert" { // no bias anywhere
		w.norm("token_embd_norm.weight", o.Dim, 1)
	} else {
		w.layerNorm("token_embd_norm", o.Dim)
	}
	switch o.Arch {
	case "bert":
		w.matrix("position_embd.weight", o.Dim, o.Context, embeddingDeviation)
		w.matrix("token_types.weight", o.Dim, 2, embeddingDeviation)
	case "mpnet":
		w.matrix("position_embd.weight", o.Dim, o.Context+firstPlace, embeddingDeviation)
		w.add("attn_rel_b.weight", quant.F32, []int{o.Heads, 32}, w.normal("attn_rel_b.weight", 32*o.Heads, 0, 1))
	case "jina-bert-v2", "nomic-bert":
		w.matrix("token_types.weight", o.Dim, 2, embeddingDeviation)
	case "modern-bert":
		w.norm("output_norm.weight", o.Dim, 1)
	}
	if o.Labels > 0 {
		w.matrix("cls.weight", o.Dim, o.Dim, 0.2)
		w.bias("cls.bias", o.Dim)
		w.matrix("cls.output.weight", o.Dim, o.Labels, 0.2)
	}
}

// encoderLayer adds one block of BERT or a relative.
func (w *weights) encoderLayer(blk string, first bool) {
	o := w.o
	q, kv, biased := o.Heads*o.HeadDim, o.KVHeads*o.HeadDim, o.Arch == "bert" || o.Arch == "mpnet" || o.Arch == "jina-bert-v2"
	linear := func(name string, in, out int, gain float64, bias bool) {
		w.matrix(blk+name+".weight", in, out, gain/root(in))
		if bias {
			w.bias(blk+name+".bias", out)
		}
	}
	if o.Arch == "nomic-bert" || o.Arch == "modern-bert" {
		linear("attn_qkv", o.Dim, q+2*kv, keyGain, false)
	} else {
		linear("attn_q", o.Dim, q, keyGain, biased)
		linear("attn_k", o.Dim, kv, keyGain, biased)
		linear("attn_v", o.Dim, kv, 1, biased)
	}
	linear("attn_output", q, o.Dim, 1.5, biased)
	switch o.Arch {
	case "modern-bert":
		if !first {
			w.norm(blk+"attn_norm.weight", o.Dim, 1)
		}
		w.norm(blk+"ffn_norm.weight", o.Dim, 1)
		linear("ffn_up", o.Dim, 2*o.FF, 1.5, false)
		linear("ffn_down", o.FF, o.Dim, 1, false)
		return
	case "nomic-bert", "jina-bert-v2":
		linear("ffn_gate", o.Dim, o.FF, 1.5, false)
		linear("ffn_up", o.Dim, o.FF, 1.5, false)
	default:
		linear("ffn_up", o.Dim, o.FF, 1.5, true)
	}
	linear("ffn_down", o.FF, o.Dim, 1, o.Arch != "nomic-bert")
	w.layerNorm(blk+"attn_output_norm", o.Dim)
	w.layerNorm(blk+"layer_output_norm", o.Dim)
}

func (w *weights) matrix(name string, cols, rows int, deviation float64) {
	w.stack(model.Shape{Name: name, Shape: []int{cols, rows}}, cols*rows, deviation)
}

func (w *weights) norm(name string, n int, mean float64) {
	w.vector(model.Shape{Name: name, Shape: []int{n}}, n, mean, mean/8)
}

func (w *weights) bias(name string, n int) {
	w.vector(model.Shape{Name: name, Shape: []int{n}}, n, 0, 0.5)
}

func root(n int) float64 { return math.Sqrt(float64(n)) }

func (w *weights) layerNorm(name string, n int) {
	w.norm(name+".weight", n, 1)
	w.bias(name+".bias", n)
}

// encoderMetadata is what only encoders have, without the architecture's name.
func (o *Options) encoderMetadata() []gguf.KV {
	if !o.encodes() {
		return nil
	}
	meta := []gguf.KV{
		{Key: "attention.causal", Value: false},
		{Key: "attention.layer_norm_epsilon", Value: o.Eps},
		{Key: "pooling_type", Value: uint32(1)},
	}
	if o.Labels > 0 {
		meta[2].Value = uint32(4)
	}
	switch o.Arch {
	case "mpnet":
		meta = append(meta, gguf.KV{Key: "first_position", Value: uint32(firstPlace)})
	case "gemma-embedding":
		meta = append(meta, gguf.KV{Key: "dense_2_feat_in", Value: uint32(o.Dim)}, gguf.KV{Key: "dense_2_feat_out", Value: uint32(2 * o.Dim)},
			gguf.KV{Key: "dense_3_feat_in", Value: uint32(2 * o.Dim)}, gguf.KV{Key: "dense_3_feat_out", Value: uint32(o.Dim)})
	case "modern-bert":
		meta = append(meta, gguf.KV{Key: "attention.sliding_window", Value: uint32(o.Window)},
			gguf.KV{Key: "rope.freq_base_swa", Value: float32(1000)})
	}
	return meta
}

// wordPieces is BERT's kind of vocabulary: the corpus's words and the characters,
// those that begin a word with ▁ before them.
func (v *vocabulary) wordPieces(size int) {
	piece := func(p string) {
		if _, ok := v.ids[p]; !ok && len(v.tokens) < size {
			v.add(p, normal, 0)
		}
	}
	for c := rune('!'); c <= '~'; c++ {
		if low := strings.ToLower(string(c)); low == string(c) {
			piece("▁" + low)
			piece(low)
		}
	}
	for _, w := range words("") {
		piece("▁" + strings.ToLower(strings.Join(w.symbols, "")))
	}
	v.fill(size)
}
