package model

import (
	"fmt"
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
	limits nn.Limits
	loads  []load
	ropes  []*nn.Rope

	routers []*nn.Matrix // of loads: they alone read floats where their weights are floats
	head    *head        // of what is pooled; nil: none
	used    map[string]bool
	params  int64
}

// load is one matrix to bring into the backend's form, or two that belong
// together.
type load struct {
	m, twin     *nn.Matrix
	src, twinOf gguf.Tensor
}

// bind finds the file's architecture and ties the file to it.
func bind(f *gguf.File) (*binder, network, error) {
	arch, err := find(f)
	if err != nil {
		return nil, nil, err
	}
	config, meta := readConfig(f, arch.name)
	b := &binder{file: f, meta: meta, config: config, used: map[string]bool{}}
	if config.Experts > 0 && !arch.mixed {
		meta.fail("architecture %s with %d experts is not supported", arch.name, config.Experts)
	}
	if meta.err != nil {
		return nil, nil, meta.err
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
	t, ok = b.file.Tensor(name)
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
		b.meta.fail("tensor %q: type %v is not supported", name, t.Type)
		return t, false
	}
	if n := shape[0]; n%t.Type.BlockSize() != 0 {
		b.meta.fail("tensor %q: rows of %d are not whole blocks of %v", name, n, t.Type)
		return t, false
	}
	b.params += int64(t.Elements())
	return t, true
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

// norm binds a normalisation over n elements.
func (b *binder) norm(name string, n int) nn.Norm {
	return nn.Norm{Weight: b.vector(name+".weight", false, n), Eps: float32(b.config.NormEps)}
}

// routedNorm is norm before a layer of experts.
func (b *binder) routedNorm(name string, n int) nn.Norm {
	norm := b.norm(name, n)
	norm.Routed = true
	return norm
}

// layerNorm binds a layer normalisation, whose bias may be missing.
func (b *binder) layerNorm(name string, n int) nn.Norm {
	norm := b.norm(name, n)
	if norm.Bias = b.vector(name+".bias", true, n); norm.Bias == nil {
		norm.Bias = make([]float32, n)
	}
	return norm
}

// rows is a part of a tensor that holds several matrices, one after the other:
// rows [from, from+n) of them.
func (b *binder) rows(t gguf.Tensor, from, n int) (*nn.Matrix, gguf.Tensor) {
	size := t.Type.RowBytes(t.Shape[0])
	part := b.file.Part(t, from*size, n*size)
	part.Shape = []int{t.Shape[0], n}
	return &nn.Matrix{Type: t.Type, Rows: n, Cols: t.Shape[0]}, part
}

// fused binds queries, keys and values, which are one tensor where a file has
// attn_qkv.
func (b *binder) fused(prefix string) nn.QKV {
	c := &b.config
	if _, ok := b.file.Tensor(prefix + "attn_qkv.weight"); !ok {
		return b.qkv(prefix)
	}
	counts := []int{c.Heads * c.HeadDim, c.KVHeads * c.HeadDim, c.KVHeads * c.HeadDim}
	all := counts[0] + counts[1] + counts[2]
	t, ok := b.find(prefix+"attn_qkv.weight", false, c.Dim, all)
	bias := b.vector(prefix+"attn_qkv.bias", true, all)
	if !ok {
		return nn.QKV{}
	}
	var parts [3]nn.Linear
	from := 0
	for i, n := range counts {
		m, part := b.rows(t, from, n)
		b.loads = append(b.loads, load{m: m, src: part})
		parts[i].W = m
		if bias != nil {
			parts[i].Bias = bias[from : from+n]
		}
		from += n
	}
	return nn.QKV{Q: parts[0], K: parts[1], V: parts[2]}
}

// fusedGated binds the first half of a feed-forward layer whose gate lies in
// ffn_up, before it.
func (b *binder) fusedGated(prefix string, act nn.Activation) nn.FFN {
	c := &b.config
	t, ok := b.find(prefix+"ffn_up.weight", false, c.Dim, 2*c.FF)
	if !ok {
		return nn.FFN{}
	}
	gate, gatePart := b.rows(t, 0, c.FF)
	up, upPart := b.rows(t, c.FF, c.FF)
	b.loads = append(b.loads, load{m: gate, twin: up, src: gatePart, twinOf: upPart})
	b.limits.Hidden = max(b.limits.Hidden, c.FF)
	return nn.FFN{Gate: gate, Up: up, Act: act}
}

// linear binds a projection, with its bias if the file has one.
func (b *binder) linear(name string, rows, cols int) nn.Linear {
	return nn.Linear{W: b.matrix(name+".weight", rows, cols), Bias: b.vector(name+".bias", true, rows)}
}

// gated binds the first half of a feed-forward layer.
func (b *binder) gated(prefix string, act nn.Activation) nn.FFN {
	c := &b.config
	gate, ok := b.find(prefix+"ffn_gate.weight", false, c.Dim, c.FF)
	up, ok2 := b.find(prefix+"ffn_up.weight", false, c.Dim, c.FF)
	if !ok || !ok2 {
		return nn.FFN{}
	}
	f := nn.FFN{
		Gate: &nn.Matrix{Type: gate.Type, Rows: c.FF, Cols: c.Dim},
		Up:   &nn.Matrix{Type: up.Type, Rows: c.FF, Cols: c.Dim},
		Act:  act,
	}
	b.loads = append(b.loads, load{m: f.Gate, twin: f.Up, src: gate, twinOf: up})
	b.limits.Hidden = max(b.limits.Hidden, c.FF)
	return f
}

// qkv binds the projections that attention starts from.
func (b *binder) qkv(prefix string) nn.QKV {
	c := &b.config
	return nn.QKV{
		Q: b.linear(prefix+"attn_q", c.Heads*c.HeadDim, c.Dim),
		K: b.linear(prefix+"attn_k", c.KVHeads*c.HeadDim, c.Dim),
		V: b.linear(prefix+"attn_v", c.KVHeads*c.HeadDim, c.Dim),
	}
}

// embedding binds the token table, whose size is the vocabulary's.
func (b *binder) embedding() nn.Embedding {
	const name = "token_embd.weight"
	t, ok := b.file.Tensor(name)
	if ok && (len(t.Shape) < 2 || t.Shape[1] > maxVocab) {
		b.meta.fail("tensor %q: expected [%d x vocabulary], found %s", name, b.config.Dim, shapeText(t.Shape))
		return nn.Embedding{}
	}
	vocab := 1
	if ok {
		vocab = t.Shape[1]
	}
	if t, ok = b.find(name, false, b.config.Dim, vocab); !ok {
		return nn.Embedding{}
	}
	if tokens, ok := b.file.Strs("tokenizer.ggml.tokens"); ok && len(tokens) > vocab {
		b.meta.fail("tensor %q has %d rows for a vocabulary of %d tokens", name, vocab, len(tokens))
	}
	b.config.Vocab = vocab
	return nn.Embedding{Type: t.Type, Dim: b.config.Dim, Data: t.Data}
}

// output binds the projection to the vocabulary, which is the token table where
// the file has none of its own.
func (b *binder) output() nn.Output {
	name := "output.weight"
	t, ok := b.file.Tensor(name)
	if !ok {
		name = "token_embd.weight"
		t, _ = b.file.Tensor(name)
	}
	c := &b.config
	l := nn.Linear{W: b.matrix(name, c.Vocab, c.Dim), Bias: b.vector("output.bias", true, c.Vocab)}
	return nn.Output{Linear: l, Rows: t.Data}
}

// rope makes the tables of a rotation.
func (b *binder) rope(c nn.RopeConfig) *nn.Rope {
	if b.meta.err != nil {
		return nil
	}
	r, err := nn.NewRope(c, b.config.Context)
	if err != nil {
		b.meta.fail("%v", err)
		return nil
	}
	b.ropes = append(b.ropes, r)
	return r
}

// layer is the prefix of a layer's tensors.
func layer(i int) string { return fmt.Sprintf("blk.%d.", i) }

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
