package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindDeepSeek binds DeepSeek's first generation of mixtures, DeepSeekMoE 16B: llama
// with experts in all but the first layers, whose weights are not made to sum to 1, and
// beside them the shared experts, which are one network as wide as all of them.
func bindDeepSeek(b *binder) network {
	c := &b.config
	rope := b.rope(nn.Adjacent)
	dense := b.meta.countOr("leading_dense_block_count", c.Layers, 0)
	c.SharedFF = c.ExpertFF * b.meta.count("expert_shared_count", maxExperts)
	scale := b.meta.factor("expert_weights_scale")
	return b.decoder(func(i int) layer {
		l := b.layer(i, b.attention(i, rope))
		if i < dense {
			b.feed(&l, i, b.gated(prefix(i), nn.SiLU))
		} else if l.experts = b.experts(prefix(i), nn.Routing{Scale: scale}, nn.SiLU); l.experts != nil {
			l.experts.Shared = b.shared(prefix(i), nn.SiLU)
		}
		b.before(&l, i)
		return l
	})
}
