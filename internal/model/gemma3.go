package model

import (
	"math"

	"github.com/penstock-llm/penstock/internal/nn"
)

const (
	gemma3Period    = 6     // one layer in so many is global, unless the file says otherwise
	gemma3LocalBase = 10000 // of the rotation in sliding layers
	gemma3Layers27B = 62    // the 27B model scales attention by its width
)

// bindGemma3 binds Gemma 3's text model.
func bindGemma3(b *binder) network { return b.gemma3(func(*nn.Attention) {}) }

// gemma3 binds a model whose attention is as adapt makes it. Most layers see a sliding window and rotate
// by a base of their own, every sixth sees everything; queries and keys are
// normalised; there are norms after attention and after the feed-forward network,
// too; embeddings are scaled by sqrt(dim). GGUF stores norm weights with their +1
// added.
func (b *binder) gemma3(adapt func(a *nn.Attention)) network {
	c := &b.config
	b.scale = math.Sqrt(float64(c.Dim))
	sliding := b.meta.sliding(c, gemma3Period)
	global := b.rope(nn.Halves)
	local := b.rotation(nn.RopeConfig{
		Style: nn.Halves, Dim: c.RopeDim,
		Base: b.meta.positive("rope.freq_base_swa", gemma3LocalBase),
	})
	return b.decoder(func(i int) layer {
		a := b.attention(i, global)
		if sliding[i] {
			a.Rope, a.Window = local, c.Window
		}
		if c.Layers == gemma3Layers27B {
			a.Scale = float32(1 / math.Sqrt(float64(c.Dim/c.Heads)))
		}
		b.headNorms(&a, i)
		adapt(&a)
		l := b.layer(i, a)
		b.feed(&l, i, b.gated(prefix(i), nn.GELU))
		b.before(&l, i)
		b.after(&l, i)
		return l
	})
}
