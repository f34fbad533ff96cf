package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindStableLM binds StableLM: llama with layer normalisations and rotated halves of a
// part of each head. Without a norm of its own the feed-forward network stands beside
// attention. The 12B model normalises queries and keys, each head by weights of its
// own.
func bindStableLM(b *binder) network {
	rope := b.rope(nn.Halves)
	return b.decoder(func(i int) layer {
		a := b.attention(i, rope)
		if b.has(prefix(i) + "attn_q_norm.weight") {
			b.normsOfHeads(&a, i)
		}
		l := b.layer(i, a)
		b.feed(&l, i, b.gated(prefix(i), nn.SiLU))
		l.attnNorm = b.norm(prefix(i)+"attn_norm", b.config.Dim)
		l.ffnNorm, l.parallel = l.attnNorm, true
		if !b.has(prefix(i) + "ffn_norm.weight") {
			return l
		}
		l.ffnNorm, l.parallel = b.norm(prefix(i)+"ffn_norm", b.config.Dim), false
		return l
	})
}
