package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindQwen3 binds Qwen 3: llama with rotated halves and each head of queries and
// keys normalised before it is rotated.
func bindQwen3(b *binder) network {
	if b.has("cls.output.weight") { // a reranker: the states of yes and no
		b.head = &head{layers: []dense{b.dense("cls.output", b.config.Dim)}, softmax: true}
	}
	rope := b.rope(nn.Halves)
	return b.decoder(func(i int) layer {
		l := b.layer(i, b.attention(i, rope))
		b.feed(&l, i, b.gated(prefix(i), nn.SiLU))
		b.before(&l, i)
		b.headNorms(&l.attn, i)
		return l
	})
}
