package model

import (
	"math"

	"github.com/penstock-llm/penstock/internal/nn"
)

// gemma3 is Gemma 3's text model. Most layers see a sliding window and rotate by
// a base of their own, every sixth sees everything; queries and keys are
// normalised; there are norms after attention and after the feed-forward layer,
// too; embeddings are scaled by sqrt(dim). GGUF stores norm weights with their
// +1 added.
type gemma3 struct {
	embedding nn.Embedding
	layers    []gemma3Layer
	norm      nn.Norm
	output    nn.Output
}

type gemma3Layer struct {
	attnNorm nn.Norm
	qkv      nn.QKV
	attn     nn.Attention
	out      nn.Linear
	postAttn nn.Norm
	ffnNorm  nn.Norm
	ffn      nn.FFN
	down     nn.Linear
	postFFN  nn.Norm
}

const (
	gemma3Pattern   = 6     // one layer in so many is global, unless the file says otherwise
	gemma3LocalBase = 10000 // of the rotation in sliding layers
	gemma3Layers27B = 62    // the 27B model scales attention by its width
)

func bindGemma3(b *binder) network {
	m := b.gemma3Layers()
	if b.meta.err != nil {
		return nil
	}
	m.output = b.output()
	if b.meta.has("final_logit_softcapping") {
		m.output.Softcap = float32(b.meta.positive("final_logit_softcapping", 0))
	}
	return &m
}

// gemma3Layers binds all but the output.
func (b *binder) gemma3Layers() (m gemma3) {
	c := &b.config
	c.Window = b.meta.countOr("attention.sliding_window", maxContext, 0)
	sliding := b.meta.slidingLayers(c, gemma3Pattern)
	global := b.rope(b.meta.ropeConfig(c, nn.Halves))
	local := b.rope(nn.RopeConfig{
		Style: nn.Halves, Dim: c.HeadDim,
		Base: b.meta.positive("rope.freq_base_swa", gemma3LocalBase),
	})
	m = gemma3{embedding: b.embedding()}
	m.embedding.Scale = float32(math.Sqrt(float64(c.Dim)))
	for i := range c.Layers {
		p := layer(i)
		l := gemma3Layer{
			attnNorm: b.norm(p+"attn_norm", c.Dim),
			qkv:      b.qkv(p),
			attn:     b.normedAttention(i, global),
			out:      b.linear(p+"attn_output", c.Dim, c.Heads*c.HeadDim),
			postAttn: b.norm(p+"post_attention_norm", c.Dim),
			ffnNorm:  b.norm(p+"ffn_norm", c.Dim),
			ffn:      b.gated(p, nn.GELU),
			down:     b.linear(p+"ffn_down", c.Dim, c.FF),
			postFFN:  b.norm(p+"post_ffw_norm", c.Dim),
		}
		if sliding[i] {
			l.attn.Rope, l.attn.Window = local, c.Window
		}
		if c.Layers == gemma3Layers27B {
			l.attn.Scale = float32(1 / math.Sqrt(float64(c.Dim/c.Heads)))
		}
		if b.meta.err != nil {
			return m
		}
		m.layers = append(m.layers, l)
	}
	m.norm = b.norm("output_norm", c.Dim)
	return m
}

// slidingLayers says which layers slide: the last of every period sees all,
// where a file does not list them one by one.
func (m *metadata) slidingLayers(c *Config, period int) []bool {
	sliding := make([]bool, c.Layers)
	if c.Window == 0 {
		return sliding
	}
	const name = "attention.sliding_window_pattern"
	raw, _ := m.file.Value(m.key(name))
	if list, ok := raw.([]bool); ok {
		if len(list) < c.Layers {
			m.fail("key %q has %d entries for %d layers", m.key(name), len(list), c.Layers)
			return sliding
		}
		return list[:c.Layers]
	}
	period = m.countOr(name, maxLayers, period)
	if m.err != nil {
		return sliding
	}
	for i := range sliding {
		sliding[i] = i%period < period-1
	}
	return sliding
}

func (m *gemma3) forward(be nn.Backend) []float32 {
	m.compute(be)
	return be.Head(&m.norm, &m.output)
}

// compute is all but the output.
func (m *gemma3) compute(be nn.Backend) {
	be.Embed(&m.embedding)
	for i := range m.layers {
		l := &m.layers[i]
		be.Norm(&l.attnNorm)
		be.Project(&l.qkv)
		if i == len(m.layers)-1 {
			be.Narrow()
		}
		be.Attend(&l.attn)
		be.ProjectNormAdd(&l.out, &l.postAttn)
		be.Norm(&l.ffnNorm)
		be.Gated(&l.ffn)
		be.ProjectNormAdd(&l.down, &l.postFFN)
	}
}
