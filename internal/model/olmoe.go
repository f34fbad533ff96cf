package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindOLMoE binds OLMoE: the queries of all heads are normalised together, and so are the
// keys; every layer has experts, as wide as feed_forward_length says, whose weights are
// not made to sum to 1.
func bindOLMoE(b *binder) network {
	c := &b.config
	c.ExpertFF = c.FF
	rope := b.rope(nn.Halves)
	return b.decoder(func(i int) layer {
		l := b.layer(i, b.attention(i, rope))
		q, k := b.norm(prefix(i)+"attn_q_norm", c.Heads*c.HeadDim), b.norm(prefix(i)+"attn_k_norm", c.KVHeads*c.HeadDim)
		l.qkv.QNorm, l.qkv.KNorm = &q, &k
		l.experts = b.experts(prefix(i), nn.Routing{}, nn.SiLU)
		b.before(&l, i)
		return l
	})
}
