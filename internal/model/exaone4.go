package model

import "github.com/penstock-llm/penstock/internal/nn"

const (
	exaone4Period    = 4 // one layer in so many is global, in the 32B model
	exaone4Layers32B = 64
)

// bindEXAONE4 binds EXAONE 4: norms after attention and after the feed-forward network
// instead of before them, and each head's queries and keys normalised. In the 32B
// model most layers see a window, and the others know no positions.
func bindEXAONE4(b *binder) network {
	c := &b.config
	sliding := make([]bool, c.Layers)
	if c.Layers == exaone4Layers32B {
		c.Window = 4096
		sliding = b.meta.sliding(c, exaone4Period)
	}
	rope := b.rope(nn.Halves)
	return b.decoder(func(i int) layer {
		a := b.attention(i, rope)
		switch {
		case sliding[i]:
			a.Window = c.Window
		case c.Window > 0:
			a.Rope = nil
		}
		b.headNorms(&a, i)
		l := b.layer(i, a)
		b.feed(&l, i, b.gated(prefix(i), nn.SiLU))
		b.after(&l, i)
		return l
	})
}
