package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindSeedOSS binds Seed-OSS: llama with rotated halves. What its files call the norm
// after attention is the one before the feed-forward network.
func bindSeedOSS(b *binder) network {
	c := &b.config
	rope := b.rope(nn.Halves)
	return b.decoder(func(i int) layer {
		l := b.layer(i, b.attention(i, rope))
		b.feed(&l, i, b.gated(prefix(i), nn.SiLU))
		l.attnNorm = b.norm(prefix(i)+"attn_norm", c.Dim)
		l.ffnNorm = b.norm(prefix(i)+"post_attention_norm", c.Dim)
		return l
	})
}
