package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindQwen2 binds Qwen 2 and 2.5: llama with biases on queries, keys and values and
// rotated halves.
func bindQwen2(b *binder) network {
	rope := b.rope(nn.Halves)
	return b.decoder(func(i int) layer {
		b.requireQKVBiases(prefix(i))
		l := b.layer(i, b.attention(i, rope))
		b.feed(&l, i, b.gated(prefix(i), nn.SiLU))
		b.before(&l, i)
		return l
	})
}
