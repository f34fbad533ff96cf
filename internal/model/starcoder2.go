package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindStarCoder2 binds StarCoder 2: layer normalisations, biases everywhere, rotated
// halves, GELU without a gate.
func bindStarCoder2(b *binder) network {
	c := &b.config
	rope := b.rope(nn.Halves)
	return b.decoder(func(i int) layer {
		p := prefix(i)
		b.requireQKVBiases(p)
		b.require(p+"attn_output.bias", c.Dim)
		b.require(p+"ffn_up.bias", c.FF)
		b.require(p+"ffn_down.bias", c.Dim)
		b.require(p+"attn_norm.bias", c.Dim)
		b.require(p+"ffn_norm.bias", c.Dim)
		l := b.layer(i, b.attention(i, rope))
		b.feed(&l, i, b.ungated(p, nn.GELU))
		b.before(&l, i)
		return l
	})
}
