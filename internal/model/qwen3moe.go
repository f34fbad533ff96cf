package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindQwen3MoE binds Qwen 3's mixtures, such as 30B-A3B: Qwen 3 with experts in every
// layer, whose weights sum to 1.
func bindQwen3MoE(b *binder) network {
	b.expertShare()
	rope := b.rope(nn.Halves)
	return b.decoder(func(i int) layer {
		l := b.layer(i, b.attention(i, rope))
		l.experts = b.experts(prefix(i), nn.Routing{Normalised: true}, nn.SiLU)
		b.before(&l, i)
		b.headNorms(&l.attn, i)
		return l
	})
}
