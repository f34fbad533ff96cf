package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindFalcon binds the first Falcon: attention and the feed-forward network beside each
// other, layer normalisations, rotated halves, GELU without a gate. The 40B model has
// a norm of its own for attention.
func bindFalcon(b *binder) network {
	c := &b.config
	rope := b.rope(nn.Halves)
	return b.decoder(func(i int) layer {
		p := prefix(i)
		b.require(p+"attn_norm.bias", c.Dim)
		l := b.layer(i, b.attention(i, rope))
		b.feed(&l, i, b.ungated(p, nn.GELU))
		l.attnNorm = b.norm(p+"attn_norm", c.Dim)
		l.ffnNorm, l.parallel = l.attnNorm, true
		if b.has(p + "attn_norm_2.weight") {
			l.attnNorm = b.norm(p+"attn_norm_2", c.Dim)
		}
		return l
	})
}
