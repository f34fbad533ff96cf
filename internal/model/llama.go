package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindLlama binds Llama 2 and 3, Mistral, SmolLM2, InternLM 2 and many others: RMS norms before
// attention and before a gated feed-forward network, rotated adjacent pairs, grouped
// heads. Biases are bound where a file has them. Mixtral has experts instead of the
// feed-forward network, whose weights sum to 1.
func bindLlama(b *binder) network {
	b.config.ExpertFF = min(b.config.Experts, 1) * b.config.FF // Mixtral has no other width
	style := nn.Adjacent
	if halves, _ := b.file.Bool(b.meta.key("rope.halves")); halves { // as Hugging Face keeps queries and keys
		style = nn.Halves
	}
	rope := b.rope(style)
	return b.decoder(func(i int) layer {
		l := b.layer(i, b.attention(i, rope))
		b.feedOrExperts(&l, i)
		b.before(&l, i)
		return l
	})
}

// feedOrExperts binds a gated feed-forward network or, of a model like Mixtral, the
// experts.
func (b *binder) feedOrExperts(l *layer, i int) {
	if b.config.Experts > 0 {
		l.experts = b.experts(prefix(i), nn.Routing{Normalised: true}, nn.SiLU)
		return
	}
	b.feed(l, i, b.gated(prefix(i), nn.SiLU))
}
