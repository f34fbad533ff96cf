package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindQwen2MoE binds Qwen 1.5's and Qwen 2's mixtures, such as A2.7B and 57B-A14B: Qwen 2
// with experts in every layer, whose weights are not made to sum to 1, and beside them a
// network that every row uses, as far as a gate lets it.
func bindQwen2MoE(b *binder) network {
	b.expertShare()
	rope := b.rope(nn.Halves)
	return b.decoder(func(i int) layer {
		l := b.layer(i, b.attention(i, rope))
		if l.experts = b.experts(prefix(i), nn.Routing{}, nn.SiLU); l.experts != nil {
			l.experts.Shared = b.shared(prefix(i), nn.SiLU)
			l.experts.Shared.Gate = b.router(prefix(i)+"ffn_gate_inp_shexp", 1).W
		}
		b.before(&l, i)
		return l
	})
}
