package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindPhi3 binds Phi 3 and Phi 4 mini: llama with rotated halves, of a part of each
// head in Phi 4, and with queries, keys and values as well as gate and up in one
// matrix. Their windows are not used: files of models that have none name one.
func bindPhi3(b *binder) network {
	rope := b.rope(nn.Halves)
	return b.decoder(func(i int) layer {
		l := b.layer(i, b.attention(i, rope))
		b.feed(&l, i, b.fusedGated(prefix(i), nn.SiLU))
		b.before(&l, i)
		return l
	})
}
