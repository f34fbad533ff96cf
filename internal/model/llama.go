package model

import (
	"math"

	"github.com/penstock-llm/penstock/internal/nn"
)

// llama is the architecture of Llama 2 and 3, Mistral, SmolLM2 and many others:
// RMS norms before attention and before a gated feed-forward layer, rotated
// adjacent pairs, grouped heads. Biases are bound where a file has them. Mixtral has
// experts instead of the feed-forward layer, whose weights sum to 1.
type llama struct {
	embedding nn.Embedding
	layers    []llamaLayer
	norm      nn.Norm
	output    nn.Output
}

type llamaLayer struct {
	attnNorm nn.Norm
	qkv      nn.QKV
	attn     nn.Attention
	out      nn.Linear
	ffnNorm  nn.Norm
	ffn      nn.FFN
	down     nn.Linear
	experts  *nn.Experts // instead of ffn and down; nil: none
}

func bindLlama(b *binder) network {
	c := &b.config
	style := nn.Adjacent
	if halves, _ := b.file.Bool(b.meta.key("rope.halves")); halves { // as Hugging Face keeps queries and keys
		style = nn.Halves
	}
	scaling := b.meta.ropeConfig(c, style)
	scaling.Factors = b.vector("rope_freqs.weight", true, c.HeadDim/2) // Llama 3.1's scaling
	rope := b.rope(scaling)
	m := &llama{embedding: b.embedding()}
	for i := range c.Layers {
		p := layer(i)
		l := llamaLayer{
			attnNorm: b.norm(p+"attn_norm", c.Dim),
			qkv:      b.qkv(p),
			attn:     c.attention(i, rope),
			out:      b.linear(p+"attn_output", c.Dim, c.Heads*c.HeadDim),
		}
		if c.Experts > 0 { // Mixtral
			l.ffnNorm = b.routedNorm(p+"ffn_norm", c.Dim)
			l.experts = b.experts(p, nn.Routing{Normalised: true}, nn.SiLU)
		} else {
			l.ffnNorm = b.norm(p+"ffn_norm", c.Dim)
			l.ffn, l.down = b.gated(p, nn.SiLU), b.linear(p+"ffn_down", c.Dim, c.FF)
		}
		m.layers = append(m.layers, l)
		if b.meta.err != nil {
			return nil
		}
	}
	m.norm = b.norm("output_norm", c.Dim)
	m.output = b.output()
	return m
}

// attention is a layer's attention with nothing unusual about it.
func (c *Config) attention(layer int, rope *nn.Rope) nn.Attention {
	return nn.Attention{
		Layer:   layer,
		Heads:   c.Heads,
		KVHeads: c.KVHeads,
		HeadDim: c.HeadDim,
		Rope:    rope,
		Scale:   float32(1 / math.Sqrt(float64(c.HeadDim))),
	}
}

func (m *llama) forward(be nn.Backend) []float32 {
	be.Embed(&m.embedding)
	for i := range m.layers {
		l := &m.layers[i]
		be.Norm(&l.attnNorm)
		be.Project(&l.qkv)
		if i == len(m.layers)-1 {
			be.Narrow()
		}
		be.Attend(&l.attn)
		be.ProjectAdd(&l.out)
		be.Norm(&l.ffnNorm)
		if l.experts != nil {
			be.Experts(l.experts)
			continue
		}
		be.Gated(&l.ffn)
		be.ProjectAdd(&l.down)
	}
	return be.Head(&m.norm, &m.output)
}
