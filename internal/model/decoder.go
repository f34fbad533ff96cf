package model

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/nn"
)

// decoder is what most architectures have in common: layers of attention and of a
// feed-forward network, each of which adds to the residual stream. An architecture's
// bind puts one together out of what its file has; what a model has not is left out.
type decoder struct {
	embedding nn.Embedding
	layers    []layer
	norm      nn.Norm
	output    nn.Output
	encoder   bool // there is no output
}

type layer struct {
	attnNorm nn.Norm // of what attention reads; without a weight: none
	qkv      nn.QKV
	attn     nn.Attention
	conv     *nn.Convolution // instead of attn; nil: none
	out      nn.Linear
	attnPost *nn.Norm // of what attention adds; nil: none

	ffnNorm nn.Norm
	ffn     nn.FFN // without a gate only Up is there
	down    nn.Linear
	ffnPost *nn.Norm
	experts *nn.Experts // instead of ffn and down; nil: none

	parallel bool // the feed-forward network reads what attention reads, not what it adds
}

func (m *decoder) forward(be nn.Backend) []float32 {
	be.Embed(&m.embedding)
	for i := range m.layers {
		l := &m.layers[i]
		be.Norm(&l.attnNorm)
		be.Project(&l.qkv)
		if i == len(m.layers)-1 {
			be.Narrow()
		}
		if l.parallel { // attention has its queries, keys and values already
			l.feedForward(be)
		}
		if l.conv != nil {
			be.Convolve(l.conv)
		} else {
			be.Attend(&l.attn)
		}
		add(be, &l.out, l.attnPost)
		if !l.parallel {
			l.feedForward(be)
		}
	}
	if m.encoder {
		be.States(&m.norm)
		return nil
	}
	return be.Head(&m.norm, &m.output)
}

func (l *layer) feedForward(be nn.Backend) {
	be.Norm(&l.ffnNorm)
	if l.experts != nil {
		be.Experts(l.experts)
		return
	}
	if l.ffn.Gate.W != nil {
		be.Gated(&l.ffn)
	} else {
		be.Activate(&l.ffn.Up, l.ffn.Act)
	}
	add(be, &l.down, l.ffnPost)
}

// add adds l(h), normalised by post, to the residual stream.
func add(be nn.Backend, l *nn.Linear, post *nn.Norm) {
	if post == nil {
		be.ProjectAdd(l)
	} else {
		be.ProjectNormAdd(l, post)
	}
}

// decoder binds a decoder whose layer i is what each returns.
func (b *binder) decoder(each func(i int) layer) *decoder {
	m := &decoder{embedding: b.embedding(), encoder: b.config.Encoder}
	for i := range b.config.Layers {
		m.layers = append(m.layers, each(i))
		if b.meta.err != nil {
			return nil
		}
	}
	b.group(m.layers)
	m.norm = b.norm(cmp.Or(b.arch.outputNorm, "output_norm"), b.config.Dim)
	if !m.encoder {
		m.output = b.output()
	}
	return m
}

// group says which cache is each layer's. Layers that need the last positions only have
// one of their own: those with a window, or beside convolutions these alone. There have
// to be others, for the index of what is cached goes by the blocks of layers that keep
// everything. So where all layers have a window, they keep everything.
func (b *binder) group(layers []layer) {
	c := &b.config
	if c.Encoder {
		return // as they are
	}
	convolved := slices.ContainsFunc(layers, func(l layer) bool { return l.conv != nil })
	last := func(l layer) bool { return l.conv != nil || !convolved && l.attn.Window > 0 }
	if !slices.ContainsFunc(layers, func(l layer) bool { return !last(l) }) {
		if convolved {
			b.meta.fail("a model without attention is not supported")
		}
		last = func(layer) bool { return false }
	}
	next := [batch.Groups]int{}
	for i, l := range layers {
		group := batch.Full
		if last(l) {
			group = batch.Window
			c.Kept = max(l.attn.Window, c.Kept)
		}
		layers[i].attn.Group, layers[i].attn.Layer = group, next[group]
		if l.conv != nil {
			l.conv.Group, l.conv.Layer = group, next[group]
			c.Kept = l.conv.Width
		}
		next[group]++
	}
	c.Windowed = next[batch.Window]
}

// layer binds the projections of layer i's attention, which is attn. The rest of it is
// the architecture's to bind.
func (b *binder) layer(i int, attn nn.Attention) layer {
	c, p := &b.config, prefix(i)
	return layer{
		qkv:  b.qkv(p),
		attn: attn,
		out:  b.linear(p+"attn_output", c.Dim, c.Heads*c.HeadDim),
	}
}

// feed makes ffn the feed-forward network of layer i, and binds its second half.
func (b *binder) feed(l *layer, i int, ffn nn.FFN) {
	l.ffn = ffn
	l.down = scaledBias(b.linear(prefix(i)+"ffn_down", b.config.Dim, b.config.FF))
}

// before binds the norms of what attention and the feed-forward network, or the
// experts, read.
func (b *binder) before(l *layer, i int) {
	l.attnNorm = b.norm(prefix(i)+"attn_norm", b.config.Dim)
	l.ffnNorm = b.norm(prefix(i)+"ffn_norm", b.config.Dim)
	l.ffnNorm.Routed = l.experts != nil
}

// after binds the norms of what attention and the feed-forward network add.
func (b *binder) after(l *layer, i int) {
	attn := b.norm(prefix(i)+"post_attention_norm", b.config.Dim)
	ffn := b.norm(prefix(i)+"post_ffw_norm", b.config.Dim)
	l.attnPost, l.ffnPost = &attn, &ffn
}

// attention is layer i's attention with nothing unusual about it.
func (b *binder) attention(i int, rope *nn.Rope) nn.Attention {
	c := &b.config
	a := nn.Attention{
		Layer:   i,
		Heads:   c.Heads,
		KVHeads: c.KVHeads,
		HeadDim: c.HeadDim,
		Rope:    rope,
		Scale:   b.meta.factor("attention.scale"),
	}
	if a.Scale == 0 {
		a.Scale = float32(1 / math.Sqrt(float64(c.HeadDim)))
	}
	return a
}

// headNorms binds norms of each head's queries and keys.
func (b *binder) headNorms(a *nn.Attention, i int) {
	q, k := b.norm(prefix(i)+"attn_q_norm", a.HeadDim), b.norm(prefix(i)+"attn_k_norm", a.HeadDim)
	a.QNorm, a.KNorm = &q, &k
}

// normsOfHeads binds norms of queries and keys that differ from head to head.
func (b *binder) normsOfHeads(a *nn.Attention, i int) {
	a.QNorms = b.normOfEach(prefix(i)+"attn_q_norm", a.Heads, a.HeadDim)
	a.KNorms = b.normOfEach(prefix(i)+"attn_k_norm", a.KVHeads, a.HeadDim)
}

func (b *binder) normOfEach(name string, heads, n int) []nn.Norm {
	t, ok := b.find(name+".weight", false, n, heads)
	if !ok {
		return nil
	}
	all, norms := b.floats(t), make([]nn.Norm, heads)
	for h := range norms {
		norms[h] = nn.Norm{Weight: all[h*n:][:n], Eps: float32(b.config.NormEps)}
		if b.arch.layerNorm {
			norms[h].Bias = make([]float32, n)
		}
	}
	return norms
}

// prefix is that of layer i's tensors.
func prefix(i int) string { return fmt.Sprintf("blk.%d.", i) }
