package model

import "github.com/penstock-llm/penstock/internal/nn"

// modernBert is ModernBERT: layer normalisations before attention and before a
// feed-forward layer with a gate, rotated halves, no biases. Two of three layers see
// a window around each token and rotate by a base of their own. The first layer's
// input is normalised already.
type modernBert struct {
	embedding nn.Embedding
	embedNorm nn.Norm
	layers    []modernBertLayer
	norm      nn.Norm
}

type modernBertLayer struct {
	attnNorm nn.Norm // no weights: the first layer, which has none
	qkv      nn.QKV
	attn     nn.Attention
	out      nn.Linear
	ffnNorm  nn.Norm
	ffn      nn.FFN
	down     nn.Linear
}

const modernBertPattern = 3 // the first of so many layers is global

func bindModernBert(b *binder) network {
	c := &b.config
	b.encoder()
	act := nn.GELUErf
	switch name, ok := b.file.Str(b.meta.key("hidden_activation")); {
	case !ok || name == "gelu" || name == "geglu":
	case name == "silu" || name == "swiglu":
		act = nn.SiLU
	default:
		b.meta.fail("key %q is %s: supported are gelu and silu", b.meta.key("hidden_activation"), brief(name))
	}
	sliding := b.meta.slidingFrom(c, modernBertPattern)
	global := b.rope(nn.Halves)
	local := global
	if base := b.meta.positive("rope.freq_base_swa", c.RopeBase); base != c.RopeBase {
		local = b.rotation(nn.RopeConfig{Style: nn.Halves, Dim: c.RopeDim, Base: base})
	}
	m := &modernBert{embedding: b.embedding(), embedNorm: b.layerNorm("token_embd_norm", c.Dim)}
	for i := range c.Layers {
		p := prefix(i)
		l := modernBertLayer{
			qkv:     b.qkv(p),
			attn:    b.attention(0, global),
			out:     b.linear(p+"attn_output", c.Dim, c.Heads*c.HeadDim),
			ffnNorm: b.layerNorm(p+"ffn_norm", c.Dim),
			ffn:     b.fusedGated(p, act),
			down:    b.linear(p+"ffn_down", c.Dim, c.FF),
		}
		l.attn.Both = true
		if sliding[i] {
			l.attn.Rope, l.attn.Window = local, c.Window
		}
		if _, ok := b.file.Tensor(p + "attn_norm.weight"); ok || i > 0 {
			l.attnNorm = b.layerNorm(p+"attn_norm", c.Dim)
		}
		if b.meta.err != nil {
			return nil
		}
		m.layers = append(m.layers, l)
	}
	m.norm = b.layerNorm("output_norm", c.Dim)
	b.classifier(geluErf)
	if b.meta.ranks { // the head has a pooling of its own, the mean unless the file says otherwise
		if v, ok := b.file.Uint(b.meta.key("classifier.pooling_type")); !ok || v != uint64(FirstPooling) {
			c.Pooling = MeanPooling
		}
	}
	return m
}

// slidingFrom is sliding where the first layer of every period sees all.
func (m *metadata) slidingFrom(c *Config, period int) []bool {
	sliding := m.sliding(c, period)
	if m.flags("attention.sliding_window_pattern") != nil || c.Window == 0 || m.err != nil {
		return sliding
	}
	period = m.countOr("attention.sliding_window_pattern", maxLayers, period)
	for i := range sliding {
		sliding[i] = i%period != 0
	}
	return sliding
}

func (m *modernBert) forward(be nn.Backend) []float32 {
	be.Embed(&m.embedding)
	be.NormStay(&m.embedNorm)
	for i := range m.layers {
		l := &m.layers[i]
		if l.attnNorm.Weight != nil {
			be.Norm(&l.attnNorm)
		}
		be.Project(&l.qkv)
		if i == len(m.layers)-1 {
			be.Narrow()
		}
		be.Attend(&l.attn)
		be.ProjectAdd(&l.out)
		be.Norm(&l.ffnNorm)
		be.Gated(&l.ffn)
		be.ProjectAdd(&l.down)
	}
	be.States(&m.norm)
	return nil
}
