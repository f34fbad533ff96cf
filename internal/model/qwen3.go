package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindQwen3 binds Qwen 3: llama with rotated halves and each head of queries and
// keys normalised before it is rotated.
func bindQwen3(b *binder) network {
	c := &b.config
	rope := b.rope(b.meta.ropeConfig(c, nn.Halves))
	m := &llama{embedding: b.embedding()}
	for i := range c.Layers {
		p := layer(i)
		l := llamaLayer{
			attnNorm: b.norm(p+"attn_norm", c.Dim),
			qkv:      b.qkv(p),
			attn:     b.normedAttention(i, rope),
			out:      b.linear(p+"attn_output", c.Dim, c.Heads*c.HeadDim),
			ffnNorm:  b.norm(p+"ffn_norm", c.Dim),
			ffn:      b.gated(p, nn.SiLU),
			down:     b.linear(p+"ffn_down", c.Dim, c.FF),
		}
		if b.meta.err != nil {
			return nil
		}
		m.layers = append(m.layers, l)
	}
	m.norm = b.norm("output_norm", c.Dim)
	m.output = b.output()
	if _, ok := b.file.Tensor("cls.output.weight"); ok { // a reranker: the states of yes and no
		b.head = &head{layers: []dense{b.dense("cls.output", c.Dim)}, softmax: true}
	}
	return m
}

// normedAttention is attention with norms on queries and keys.
func (b *binder) normedAttention(i int, rope *nn.Rope) nn.Attention {
	c := &b.config
	a := c.attention(i, rope)
	q, k := b.norm(layer(i)+"attn_q_norm", c.HeadDim), b.norm(layer(i)+"attn_k_norm", c.HeadDim)
	a.QNorm, a.KNorm = &q, &k
	return a
}
