package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindLFM2 binds LFM2 and its mixtures: most layers have a short convolution in the
// place of attention, which has norms of its heads and may have a window. In the
// mixtures all but the first layers have experts, chosen with a bias by their sigmoids.
func bindLFM2(b *binder) network {
	c := &b.config
	convolved := b.meta.convolved(c)
	rope := b.rope(nn.Halves)
	window := b.meta.countOr("attention.sliding_window", maxContext, 0)
	dense := c.Layers
	if c.Experts > 0 {
		dense, window = b.meta.countOr("leading_dense_block_count", c.Layers, 0), 0
	}
	return b.decoder(func(i int) layer {
		var l layer
		if convolved[i] {
			l = b.convolution(i)
		} else {
			l = b.layer(i, b.attention(i, rope))
			b.headNorms(&l.attn, i)
			l.attn.Window = window
		}
		if i < dense {
			b.feed(&l, i, b.gated(prefix(i), nn.SiLU))
		} else if l.experts = b.experts(prefix(i), b.meta.gating(nn.Routing{Normalised: true}), nn.SiLU); l.experts != nil {
			l.experts.Routing.Bias = b.vector(prefix(i)+"exp_probs_b.bias", false, c.Experts)
		}
		b.before(&l, i)
		return l
	})
}

// convolution binds a layer with a short convolution in the place of attention.
func (b *binder) convolution(i int) layer {
	c, p := &b.config, prefix(i)+"shortconv."
	in := b.parts(p+"in_proj", c.Dim, c.Dim, c.Dim, c.Dim)
	width := b.meta.count("shortconv.l_cache", maxKernel)
	l := layer{
		qkv:  nn.QKV{Q: in[0], K: in[1], V: in[2]},
		conv: &nn.Convolution{Width: width},
		out:  b.linear(p+"out_proj", c.Dim, c.Dim),
	}
	if t, ok := b.find(p+"conv.weight", false, width, c.Dim); ok {
		l.conv.Kernel = transposed(b.floats(t), width)
	}
	if c.Heads*c.HeadDim != c.Dim {
		b.meta.fail("heads of %d together beside convolutions of %d are not supported", c.Heads*c.HeadDim, c.Dim)
	}
	b.limits.Conv = c.Dim
	return l
}

// maxKernel bounds what a file may claim of the width of a convolution.
const maxKernel = 64

// transposed is a table of rows of n numbers with its columns as rows.
func transposed(x []float32, n int) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i%n*(len(x)/n)+i/n] = v
	}
	return y
}

// headCount reads a number of heads, which otherwise has a default for, or 0. Where layers without any are convolutions, the
// others have to agree.
func (m *metadata) headCount(a architecture, name string, otherwise int) int {
	list, ok := m.file.Ints(m.key(name))
	if !a.convolves || !ok {
		if otherwise == 0 {
			return m.count(name, maxHeads)
		}
		return m.countOr(name, maxHeads, otherwise)
	}
	n := int64(0)
	for _, h := range list {
		if h < 0 || h > maxHeads || n > 0 && h > 0 && h != n {
			m.fail("key %q has layers of %d and of %d heads, which is not supported", m.key(name), n, h)
			return 0
		}
		n = max(n, h)
	}
	if n == 0 {
		m.fail("key %q: a model without attention is not supported", m.key(name))
	}
	return int(n)
}

// convolved says which layers are convolutions: those without key heads.
func (m *metadata) convolved(c *Config) []bool {
	convolved := make([]bool, c.Layers)
	list, ok := m.file.Ints(m.key("attention.head_count_kv"))
	if ok && len(list) < c.Layers {
		m.fail("key %q has %d entries for %d layers", m.key("attention.head_count_kv"), len(list), c.Layers)
		return convolved
	}
	for i := range list[:min(len(list), c.Layers)] {
		convolved[i] = list[i] == 0
	}
	return convolved
}

// The values of expert_gating_func.
const (
	gatingSoftmax = 1
	gatingSigmoid = 2
)

// gating sets the rule by which a file says that experts are weighted.
func (m *metadata) gating(r nn.Routing) nn.Routing {
	switch f := m.count("expert_gating_func", 1<<8); f {
	case gatingSoftmax:
		r.Rule = nn.SoftmaxOfAll
	case gatingSigmoid:
		r.Rule = nn.Sigmoid
	default:
		m.fail("key %q is %d: want %d, softmax, or %d, sigmoid", m.key("expert_gating_func"), f, gatingSoftmax, gatingSigmoid)
	}
	return r
}
