package model

import (
	"math"

	"github.com/penstock-llm/penstock/internal/nn"
)

const (
	gemma2Period    = 2 // every second layer is global
	gemma2Window    = 4096
	gemma2Layers27B = 46 // the 27B model scales attention by its width
)

// bindGemma2 binds Gemma 2: norms before and after attention and the feed-forward
// network, scores and logits that are capped, every second layer with a window.
func bindGemma2(b *binder) network {
	c := &b.config
	b.scale = math.Sqrt(float64(c.Dim))
	c.Window = gemma2Window
	sliding := b.meta.sliding(c, gemma2Period)
	rope := b.rope(nn.Halves)
	local := b.localRope(rope, nn.Halves)
	softcap := b.meta.factor("attn_logit_softcapping")
	return b.decoder(func(i int) layer {
		a := b.attention(i, rope)
		a.Softcap = softcap
		if sliding[i] {
			a.Rope, a.Window = local, c.Window
		}
		if c.Layers == gemma2Layers27B {
			a.Scale = float32(1 / math.Sqrt(float64(c.Dim/c.Heads)))
		}
		l := b.layer(i, a)
		b.feed(&l, i, b.gated(prefix(i), nn.GELU))
		b.before(&l, i)
		b.after(&l, i)
		return l
	})
}

// bindGemma binds the first Gemma: llama with rotated halves, GELU, and embeddings
// scaled by sqrt(dim).
func bindGemma(b *binder) network {
	b.scale = math.Sqrt(float64(b.config.Dim))
	rope := b.rope(nn.Halves)
	return b.decoder(func(i int) layer {
		l := b.layer(i, b.attention(i, rope))
		b.feed(&l, i, b.gated(prefix(i), nn.GELU))
		b.before(&l, i)
		return l
	})
}
