// Package tinymodel makes GGUF models of a few hundred kilobytes: real
// architectures, real vocabularies, random weights. What they say is nonsense, but
// always the same, and it varies enough that a mistake in any part changes it.
//
// Tests of the packages above it load them, and so do benchmarks of everything
// but the arithmetic. Which tensors a model has, and of which shapes, it asks package
// model: an architecture that can be loaded can also be made up.
package tinymodel

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/quant"
)

// Options describe a model. A field that is zero takes the default given in
// its comment.
type Options struct {
	Arch    string // any that model.Architectures lists; llama
	Dim     int    // 64
	Layers  int    // 2, or as many as the architecture has kinds of layers in a row
	Heads   int    // 4, or what llama.cpp wants of the architecture
	KVHeads int    // half the heads
	HeadDim int    // 32
	FF      int    // 96
	Context int    // 512
	Window  int    // sliding window of those that have one: 16
	Labels  int    // > 0: an encoder that scores pairs of texts

	// Experts of a layer, how many of them a row uses, and how wide they are. Where
	// an architecture does without experts there are none unless Experts is given; in
	// the others 8, 3 and 64.
	Experts, ExpertsUsed, ExpertFF int

	Vocabulary string // smollm (default of most), qwen2 (of qwen…), gemma (of gemma…) or bert (of other encoders)
	Vocab      int    // tokens: 400, gemma: 512
	Template   string // chat template; default: chatML, for gemma: its own
	Infill     bool   // smollm only: its last tokens are those of fill-in-the-middle

	// Type is the format of all matrices. Types overrides it for tensors whose
	// name ends with the key, such as "ffn_down.weight". Where rows are not whole
	// blocks, a coarser block takes its place, as llama-quantize does it.
	Type  quant.Type // F32
	Types map[string]quant.Type

	Untied      bool      // separate output.weight instead of the embedding
	With        []string  // endings of the names of other optional tensors that are there
	RopeBase    float32   // 10000
	RopeFactors []float32 // rope_freqs.weight, HeadDim/2 divisors: llama 3
	Eps         float32   // 1e-5

	Keys  []gguf.KV // metadata of the architecture without its name, such as "expert_count": it decides which tensors there are
	Extra []gguf.KV // metadata that is added, or replaces what has the same key, and changes no tensor
	Seed  uint64    // of the weights
}

// Write writes the model to a file.
func Write(path string, o Options) error {
	b, err := encode(o)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

// Open builds the model in memory and parses it.
func Open(o Options) (*gguf.File, error) {
	b, err := encode(o)
	if err != nil {
		return nil, err
	}
	return gguf.Parse("tiny model", b)
}

// encode returns the model as a GGUF file.
func encode(o Options) ([]byte, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	vocabulary, err := o.vocabulary()
	if err != nil {
		return nil, err
	}
	tensors, err := o.tensors()
	if err != nil {
		return nil, err
	}
	meta := replace(append(o.metadata(), vocabulary...), o.Extra)
	var b bytes.Buffer
	if err := gguf.Write(&b, meta, tensors); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// complete fills in the defaults and refuses what no model can be.
func (o *Options) complete() error {
	setDefault(&o.Arch, "llama")
	traits, ok := model.TraitsOf(o.Arch)
	if !ok {
		return fmt.Errorf("architecture %q is not one of %s", o.Arch, strings.Join(model.Architectures(), ", "))
	}
	o.encoderDefaults()
	vocabulary, vocab := "smollm", 400
	switch {
	case strings.HasPrefix(o.Arch, "qwen"):
		vocabulary = "qwen2"
	case strings.HasPrefix(o.Arch, "gemma"):
		vocabulary = "gemma"
	}
	setDefault(&o.Vocabulary, vocabulary)
	if o.Vocabulary == "gemma" {
		vocab = 512
	}
	setDefault(&o.Dim, 64)
	setDefault(&o.Layers, max(2, traits.Period))
	setDefault(&o.HeadDim, 32)
	if traits.Square {
		setDefault(&o.Heads, max(1, o.Dim/o.HeadDim))
	}
	setDefault(&o.Heads, 4)
	setDefault(&o.KVHeads, max(1, o.Heads/2))
	if traits.Experts {
		setDefault(&o.Experts, 8)
	}
	if o.Experts > 0 {
		setDefault(&o.ExpertsUsed, min(3, o.Experts))
		setDefault(&o.ExpertFF, 64)
	}
	setDefault(&o.FF, 96)
	setDefault(&o.Context, 512)
	setDefault(&o.Window, 16)
	setDefault(&o.Vocab, vocab)
	setDefault(&o.RopeBase, 10000)
	setDefault(&o.Eps, 1e-5)
	for _, n := range []int{o.Dim, o.Layers, o.Heads, o.KVHeads, o.HeadDim, o.FF, o.Context, o.Window} {
		if n <= 0 {
			return fmt.Errorf("a size of %d in %+v", n, *o)
		}
	}
	if o.Heads%o.KVHeads != 0 || o.HeadDim%2 != 0 {
		return fmt.Errorf("%d heads of %d elements cannot share %d key heads", o.Heads, o.HeadDim, o.KVHeads)
	}
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// metadata is all but the vocabulary.
func (o *Options) metadata() []gguf.KV {
	a := o.Arch + "."
	meta := []gguf.KV{
		{Key: "general.architecture", Value: o.Arch},
		{Key: "general.name", Value: "Tiny " + o.Arch},
		{Key: "general.quantization_version", Value: uint32(2)},
		{Key: a + "block_count", Value: uint32(o.Layers)},
		{Key: a + "context_length", Value: uint32(o.Context)},
		{Key: a + "embedding_length", Value: uint32(o.Dim)},
		{Key: a + "feed_forward_length", Value: uint32(o.FF)},
		{Key: a + "attention.head_count", Value: uint32(o.Heads)},
		{Key: a + "attention.head_count_kv", Value: uint32(o.KVHeads)},
		{Key: a + "attention.key_length", Value: uint32(o.HeadDim)},
		{Key: a + "attention.value_length", Value: uint32(o.HeadDim)},
		{Key: a + "attention.layer_norm_epsilon", Value: o.Eps},
		{Key: a + "attention.sliding_window", Value: uint32(o.Window)},
		{Key: a + "rope.dimension_count", Value: uint32(o.HeadDim)},
		{Key: a + "rope.freq_base", Value: o.RopeBase},
		{Key: a + "vocab_size", Value: uint32(o.Vocab)},
	}
	if !o.encodes() || o.gemma() {
		meta = append(meta, gguf.KV{Key: a + "attention.layer_norm_rms_epsilon", Value: o.Eps})
	}
	if traits, _ := model.TraitsOf(o.Arch); traits.Convolves { // every second layer
		heads := make([]int32, o.Layers)
		for i := 1; i < o.Layers; i += 2 {
			heads[i] = int32(o.KVHeads)
		}
		meta = replace(meta, []gguf.KV{{Key: a + "attention.head_count_kv", Value: heads}, {Key: a + "shortconv.l_cache", Value: uint32(3)}})
		if o.Experts > 0 {
			meta = append(meta, gguf.KV{Key: a + "expert_gating_func", Value: uint32(2)}, gguf.KV{Key: a + "leading_dense_block_count", Value: uint32(1)})
		}
	}
	if o.Experts > 0 { // read by architectures with shared experts
		meta = append(meta, gguf.KV{Key: a + "expert_shared_count", Value: uint32(1)})
	}
	var keys []gguf.KV
	for _, kv := range append(o.encoderMetadata(), o.Keys...) {
		keys = append(keys, gguf.KV{Key: a + kv.Key, Value: kv.Value})
	}
	if o.Experts > 0 {
		keys = append(keys,
			gguf.KV{Key: a + "expert_count", Value: uint32(o.Experts)},
			gguf.KV{Key: a + "expert_used_count", Value: uint32(o.ExpertsUsed)},
			gguf.KV{Key: a + "expert_feed_forward_length", Value: uint32(o.ExpertFF)})
	}
	return replace(meta, keys)
}

// replace returns meta with the entries of extra: each takes the place of the entry
// with its key, and comes at the end if there is none.
func replace(meta, extra []gguf.KV) []gguf.KV {
	for _, kv := range extra {
		i := slices.IndexFunc(meta, func(old gguf.KV) bool { return old.Key == kv.Key })
		if i < 0 {
			meta = append(meta, kv)
		} else {
			meta[i] = kv
		}
	}
	return meta
}
