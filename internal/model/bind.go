package model

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/nn"
	"github.com/penstock-llm/penstock/internal/quant"
)

// binder ties the tensors of a file to the places of a network. It checks that
// each is there with the shape and a type that the network needs, and notes what
// there is to load; it allocates nothing but vectors. The first problem is kept
// in meta.err, and what is returned afterwards must not be used.
type binder struct {
	file   *gguf.File
	meta   *metadata
	config Config
	arch   architecture
	opts   Options
	limits nn.Limits
	loads  []load
	ropes  []*nn.Rope

	routers []*nn.Matrix // of loads: they alone read floats where their weights are floats
	head    *head        // of what is pooled; nil: none
	used    map[string]bool
	params  int64
	scale   float64 // of the embeddings; 0 means 1
	sketch  *sketch // makes up the file's tensors; nil: they are in the file
}

// load is one matrix to bring into the backend's form, or two that belong
// together.
type load struct {
	m, twin     *nn.Matrix
	src, twinOf gguf.Tensor
}

// bind finds the file's architecture and ties the file to it.
func bind(f *gguf.File, o Options) (*binder, network, error) { return bindTo(f, o, nil) }

func bindTo(f *gguf.File, o Options, s *sketch) (*binder, network, error) {
	arch, err := find(f)
	if err != nil {
		return nil, nil, err
	}
	config, meta := readConfig(f, arch)
	b := &binder{file: f, meta: meta, config: config, arch: arch, opts: o, sketch: s, used: map[string]bool{}}
	if arch.needs && config.Experts == 0 && meta.err == nil {
		meta.fail("key %q is missing", meta.key("expert_count"))
	}
	if config.Experts > 0 && !arch.mixed {
		meta.fail("architecture %s with %d experts is not supported", arch.name, config.Experts)
	}
	if meta.err != nil {
		return nil, nil, meta.err
	}
	if causal, ok := f.Bool(meta.key("attention.causal")); ok && !causal && !arch.encoder {
		meta.fail("key %q is false: a decoder whose tokens see what comes after them is not supported", meta.key("attention.causal"))
	}
	net := arch.bind(b)
	b.checkLeftovers()
	if meta.err != nil {
		return nil, nil, meta.err
	}
	c := &b.config
	c.Params = b.params
	b.checkHead()
	if meta.err != nil {
		return nil, nil, meta.err
	}
	b.limits.Dim, b.limits.Vocab = c.Dim, c.Vocab
	b.limits.Heads, b.limits.HeadDim = c.Heads*c.HeadDim, c.HeadDim
	b.limits.KVHeads, b.limits.Group = c.KVHeads, c.Heads/c.KVHeads
	if c.Encoder {
		b.limits.Vocab = 1 // no logits
	}
	for _, l := range b.loads {
		if slices.Contains(b.routers, l.m) {
			continue
		}
		b.limits.Floats = b.limits.Floats || l.m.MultipliesFloats() || l.twin != nil && l.twin.MultipliesFloats()
	}
	return b, net, nil
}

// find returns a tensor after checking its shape. ok is false if it is missing,
// which is an error unless optional.
func (b *binder) find(name string, optional bool, shape ...int) (t gguf.Tensor, ok bool) {
	if b.sketch != nil {
		t, ok = b.sketch.tensor(name, optional, shape)
	} else {
		t, ok = b.file.Tensor(name)
	}
	if !ok {
		if !optional {
			b.meta.fail("tensor %q is missing: expected %s", name, shapeText(shape))
		}
		return t, false
	}
	if b.used[name] {
		return t, true
	}
	b.used[name] = true
	if !slices.Equal(trimmed(t.Shape), trimmed(shape)) {
		b.meta.fail("tensor %q: expected shape %s, found %s", name, shapeText(shape), shapeText(t.Shape))
		return t, false
	}
	if err := quant.Dequantize(t.Type, nil, nil); err != nil {
		b.meta.fail("tensor %q: type %v is not supported: take another quantisation of the model, such as Q4_K_M", name, t.Type)
		return t, false
	}
	if n := shape[0]; n%t.Type.BlockSize() != 0 {
		b.meta.fail("tensor %q: rows of %d are not whole blocks of %v", name, n, t.Type)
		return t, false
	}
	b.params += int64(t.Elements())
	return t, true
}

// has reports whether there is a tensor of this name.
func (b *binder) has(name string) bool {
	if b.sketch != nil {
		return b.sketch.with(name)
	}
	_, ok := b.file.Tensor(name)
	return ok
}

// require refuses a model without a vector that is optional in other architectures.
func (b *binder) require(name string, n int) { b.vector(name, false, n) }

// requireQKVBiases refuses a model without biases of queries, keys and values, whose matrices may be one.
func (b *binder) requireQKVBiases(prefix string) {
	c := &b.config
	if b.has(prefix + "attn_qkv.bias") {
		return
	}
	b.require(prefix+"attn_q.bias", c.Heads*c.HeadDim)
	b.require(prefix+"attn_k.bias", c.KVHeads*c.HeadDim)
	b.require(prefix+"attn_v.bias", c.KVHeads*c.HeadDim)
}

// trimmed drops trailing ones: a vector may be stored as [n] or [n, 1].
func trimmed(shape []int) []int {
	for len(shape) > 1 && shape[len(shape)-1] == 1 {
		shape = shape[:len(shape)-1]
	}
	return shape
}

func shapeText(shape []int) string {
	s := make([]string, len(shape))
	for i, n := range shape {
		s[i] = fmt.Sprint(n)
	}
	return "[" + strings.Join(s, " x ") + "]"
}

// dequantize reads all numbers of a tensor.
func dequantize(t gguf.Tensor, dst []float32) error { return quant.Dequantize(t.Type, dst, t.Data) }

// vector reads a tensor of n numbers, or nil if it is optional and missing.
func (b *binder) vector(name string, optional bool, n int) []float32 {
	t, ok := b.find(name, optional, n)
	if !ok {
		return nil
	}
	return b.floats(t)
}

// floats is a tensor's numbers.
func (b *binder) floats(t gguf.Tensor) []float32 {
	v := make([]float32, t.Elements())
	if err := quant.Dequantize(t.Type, v, t.Data); err != nil {
		b.meta.fail("tensor %q: %v", t.Name, err)
	}
	return v
}

// matrix binds a tensor of rows x cols weights.
func (b *binder) matrix(name string, rows, cols int) *nn.Matrix {
	t, ok := b.find(name, false, cols, rows)
	if !ok {
		return &nn.Matrix{}
	}
	m := &nn.Matrix{Type: t.Type, Rows: rows, Cols: cols}
	b.loads = append(b.loads, load{m: m, src: t})
	return m
}

// norm binds a normalisation over n elements, of the kind that the architecture has.
func (b *binder) norm(name string, n int) nn.Norm {
	if b.arch.layerNorm {
		return b.layerNorm(name, n)
	}
	return nn.Norm{Weight: b.vector(name+".weight", false, n), Eps: float32(b.config.NormEps)}
}

// layerNorm binds a layer normalisation, whose bias may be missing.
func (b *binder) layerNorm(name string, n int) nn.Norm {
	norm := nn.Norm{Weight: b.vector(name+".weight", false, n), Eps: float32(b.config.NormEps)}
	if norm.Bias = b.vector(name+".bias", true, n); norm.Bias == nil {
		norm.Bias = make([]float32, n)
	}
	return norm
}

// linear binds a projection, with its bias and its scale if the file has them.
func (b *binder) linear(name string, rows, cols int) nn.Linear {
	l := nn.Linear{W: b.matrix(name+".weight", rows, cols)}
	l.Bias, l.Scale = b.vector(name+".bias", true, rows), b.scalar(name+".scale")
	b.inputScale(name)
	return l
}

// inputScale accepts the scale that a file may have for rounding a projection's input
// to 4 bits, which nothing here does.
func (b *binder) inputScale(name string) { b.scalar(name + ".input_scale") }

// scalar reads a tensor of one number; 0: the file has none.
func (b *binder) scalar(name string) float32 {
	if v := b.vector(name, true, 1); v != nil {
		return v[0]
	}
	return 0
}

// scaledBias makes l scale*(W h + b), as the feed-forward network has it.
func scaledBias(l nn.Linear) nn.Linear {
	if l.Scale != 0 {
		for i := range l.Bias {
			l.Bias[i] *= l.Scale
		}
	}
	return l
}

// multiplied is l with its result multiplied by c; 0 means 1.
func multiplied(l nn.Linear, c float32) nn.Linear {
	if c == 0 || c == 1 {
		return l
	}
	if l.Scale == 0 {
		l.Scale = 1
	}
	l.Scale *= c
	for i := range l.Bias {
		l.Bias[i] *= c
	}
	return l
}

// parts binds a matrix as several, of so many rows each. Vectors are cut by cut.
func (b *binder) parts(name string, cols int, rows ...int) []nn.Linear {
	all := 0
	for _, n := range rows {
		all += n
	}
	t, ok := b.find(name+".weight", false, cols, all)
	bias, scale := b.vector(name+".bias", true, all), b.scalar(name+".scale")
	b.inputScale(name)
	lines := make([]nn.Linear, len(rows))
	from := 0
	for i, n := range rows {
		l := nn.Linear{W: &nn.Matrix{Type: t.Type, Rows: n, Cols: cols}, Scale: scale}
		if bias != nil {
			l.Bias = bias[from : from+n]
		}
		if ok {
			b.loads = append(b.loads, load{m: l.W, src: t.Part(from, n)})
		}
		lines[i] = l
		from += n
	}
	return lines
}

// gated binds the first half of a feed-forward network that has a gate.
func (b *binder) gated(prefix string, act nn.Activation) nn.FFN {
	c := &b.config
	gate := scaledBias(b.linear(prefix+"ffn_gate", c.FF, c.Dim))
	up := scaledBias(b.linear(prefix+"ffn_up", c.FF, c.Dim))
	b.pair()
	return nn.FFN{Gate: gate, Up: up, Act: act}
}

// fusedGated is gated where the gate lies in ffn_up, before it.
func (b *binder) fusedGated(prefix string, act nn.Activation) nn.FFN {
	c := &b.config
	halves := b.parts(prefix+"ffn_up", c.Dim, c.FF, c.FF)
	b.pair()
	return nn.FFN{Gate: scaledBias(halves[0]), Up: scaledBias(halves[1]), Act: act}
}

// ungated binds the first half of a feed-forward network without a gate.
func (b *binder) ungated(prefix string, act nn.Activation) nn.FFN {
	c := &b.config
	b.limits.Hidden = max(b.limits.Hidden, c.FF)
	return nn.FFN{Up: scaledBias(b.linear(prefix+"ffn_up", c.FF, c.Dim)), Act: act}
}

// pair makes one of the last two loads, whose matrices will be read side by side.
func (b *binder) pair() {
	b.limits.Hidden = max(b.limits.Hidden, b.config.FF)
	if b.meta.err != nil {
		return
	}
	n := len(b.loads)
	gate, up := b.loads[n-2], b.loads[n-1]
	gate.twin, gate.twinOf = up.m, up.src
	b.loads = append(b.loads[:n-2], gate)
}

// qkv binds the projections that attention starts from: three matrices, or one.
func (b *binder) qkv(prefix string) nn.QKV {
	c := &b.config
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	if !b.has(prefix + "attn_qkv.weight") {
		return nn.QKV{
			Q: b.linear(prefix+"attn_q", q, c.Dim),
			K: b.linear(prefix+"attn_k", kv, c.Dim),
			V: b.linear(prefix+"attn_v", kv, c.Dim),
		}
	}
	all := b.parts(prefix+"attn_qkv", c.Dim, q, kv, kv)
	if !b.has(prefix + "attn_qkv.bias") { // some files have one matrix and three biases
		for i, name := range []string{"attn_q.bias", "attn_k.bias", "attn_v.bias"} {
			all[i].Bias = b.vector(prefix+name, true, all[i].W.Rows)
		}
	}
	return nn.QKV{Q: all[0], K: all[1], V: all[2]}
}

// embedding binds the token table, whose size is the vocabulary's.
func (b *binder) embedding() nn.Embedding {
	const name = "token_embd.weight"
	vocab := 1
	if t, ok := b.file.Tensor(name); ok {
		if len(t.Shape) < 2 || t.Shape[1] > maxVocab {
			b.meta.fail("tensor %q: expected [%d x vocabulary], found %s", name, b.config.Dim, shapeText(t.Shape))
			return nn.Embedding{}
		}
		vocab = t.Shape[1]
	} else if b.sketch != nil {
		vocab = b.meta.count("vocab_size", maxVocab)
	}
	t, ok := b.find(name, false, b.config.Dim, vocab)
	if !ok {
		return nn.Embedding{}
	}
	if tokens, ok := b.file.Strs("tokenizer.ggml.tokens"); ok && len(tokens) > vocab {
		b.meta.fail("tensor %q has %d rows for a vocabulary of %d tokens", name, vocab, len(tokens))
	}
	b.config.Vocab = vocab
	return nn.Embedding{Type: t.Type, Dim: b.config.Dim, Data: t.Data, Scale: float32(b.scale)}
}

// output binds the projection to the vocabulary, which is the token table where
// the file has none of its own.
func (b *binder) output() nn.Output {
	c := &b.config
	name := "output.weight"
	if !b.has(name) {
		name = "token_embd.weight"
	}
	t, ok := b.find(name, false, c.Dim, c.Vocab)
	if !ok {
		return nn.Output{}
	}
	l := nn.Linear{W: &nn.Matrix{Type: t.Type, Rows: c.Vocab, Cols: c.Dim}}
	b.loads = append(b.loads, load{m: l.W, src: t})
	if table, ok := b.file.Tensor("token_embd.weight"); ok && name == "output.weight" && sameWeights(table, t) {
		b.params -= int64(t.Elements())
	}
	l.Bias, l.Scale = b.vector("output.bias", true, c.Vocab), b.scalar("output.scale")
	return nn.Output{Linear: l, Rows: t.Data, Softcap: b.meta.factor("final_logit_softcapping")}
}

// sameWeights reports whether two matrices hold the same weights but for rounding: some
// files have the token table a second time, in another format, as the output. Rows of
// different matrices have next to nothing in common.
func sameWeights(a, b gguf.Tensor) bool {
	n, rows := a.Cols(), a.Rows()
	x, y := make([]float32, n), make([]float32, n)
	for i := range 8 {
		row := rows / 8 * i
		if dequantize(a.Part(row, 1), x) != nil || dequantize(b.Part(row, 1), y) != nil {
			return false
		}
		var xy, xx, yy float64
		for d := range x {
			xy += float64(x[d]) * float64(y[d])
			xx += float64(x[d]) * float64(x[d])
			yy += float64(y[d]) * float64(y[d])
		}
		if !(xy > 0.9*math.Sqrt(xx*yy)) && xx+yy > 0 {
			return false
		}
	}
	return true
}

// checkLeftovers refuses a file with tensors that nobody bound: leaving out a
// bias or a norm that the model was trained with would be silently wrong.
func (b *binder) checkLeftovers() {
	for _, t := range b.file.Tensors() {
		if !b.used[t.Name] {
			b.meta.fail("tensor %q is not part of architecture %s as supported here", brief(t.Name), b.config.Arch)
			return
		}
	}
}
