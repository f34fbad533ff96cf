package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindQwen2 binds Qwen 2 and 2.5: llama with biases on queries, keys and values
// and rotated halves.
func bindQwen2(b *binder) network {
	c := &b.config
	rope := b.rope(b.meta.ropeConfig(c, nn.Halves))
	m := &llama{embedding: b.embedding()}
	for i := range c.Layers {
		p := layer(i)
		l := llamaLayer{
			attnNorm: b.norm(p+"attn_norm", c.Dim),
			qkv:      b.qkv(p),
			attn:     c.attention(i, rope),
			out:      b.linear(p+"attn_output", c.Dim, c.Heads*c.HeadDim),
			ffnNorm:  b.norm(p+"ffn_norm", c.Dim),
			ffn:      b.gated(p, nn.SiLU),
			down:     b.linear(p+"ffn_down", c.Dim, c.FF),
		}
		if l.qkv.Q.Bias == nil || l.qkv.K.Bias == nil || l.qkv.V.Bias == nil {
			b.meta.fail("tensor %q is missing: expected [%d]", p+"attn_q.bias", c.Heads*c.HeadDim)
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
