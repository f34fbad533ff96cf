package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindQwen3MoE binds Qwen 3's mixtures, such as 30B-A3B: Qwen 3 with experts in every
// layer, whose weights sum to 1.
func bindQwen3MoE(b *binder) network {
	c := &b.config
	if !b.needExperts() {
		return nil
	}
	rope := b.rope(b.meta.ropeConfig(c, nn.Halves))
	m := &llama{embedding: b.embedding()}
	for i := range c.Layers {
		p := layer(i)
		l := llamaLayer{
			attnNorm: b.norm(p+"attn_norm", c.Dim),
			qkv:      b.qkv(p),
			attn:     b.normedAttention(i, rope),
			out:      b.linear(p+"attn_output", c.Dim, c.Heads*c.HeadDim),
			ffnNorm:  b.routedNorm(p+"ffn_norm", c.Dim),
			experts:  b.experts(p, nn.Routing{Normalised: true}, nn.SiLU),
		}
		if b.meta.err != nil {
			return nil
		}
		m.layers = append(m.layers, l)
	}
	m.norm = b.norm("output_norm", c.Dim)
	m.output = b.output()
	return m
}
