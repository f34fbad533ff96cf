package model

import "github.com/penstock-llm/penstock/internal/nn"

const smolLM3Period = 4 // one layer in so many does not rotate

// bindSmolLM3 binds SmolLM 3: llama whose every fourth layer knows no positions.
func bindSmolLM3(b *binder) network {
	rope := b.rope(nn.Adjacent)
	return b.decoder(func(i int) layer {
		a := b.attention(i, rope)
		if (i+1)%smolLM3Period == 0 {
			a.Rope = nil
		}
		l := b.layer(i, a)
		b.feed(&l, i, b.gated(prefix(i), nn.SiLU))
		b.before(&l, i)
		return l
	})
}
