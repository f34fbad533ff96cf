package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindGemmaEmbedding binds EmbeddingGemma: Gemma 3 whose tokens see what comes after
// them, too, and two dense layers over the mean of their states.
func bindGemmaEmbedding(b *binder) network {
	b.encoder()
	net := b.gemma3(func(a *nn.Attention) { a.Layer, a.Both = 0, true })
	var h head
	for _, name := range []string{"dense_2", "dense_3"} {
		if b.has(name + ".weight") {
			h.layers = append(h.layers, b.dense(name, h.out(b.config.Dim)))
		}
	}
	if len(h.layers) > 0 {
		b.head = &h
	}
	return net
}
