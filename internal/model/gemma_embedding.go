package model

import "github.com/penstock-llm/penstock/internal/nn"

// gemmaEmbedding is EmbeddingGemma: Gemma 3 whose tokens see what comes after them,
// too, and two dense layers over the mean of their states.
type gemmaEmbedding struct{ gemma3 }

func bindGemmaEmbedding(b *binder) network {
	c := &b.config
	b.encoder()
	m := &gemmaEmbedding{b.gemma3Layers()}
	for i := range m.layers {
		a := &m.layers[i].attn
		a.Layer, a.Both = 0, true
	}
	var h head
	for _, name := range []string{"dense_2", "dense_3"} {
		if _, ok := b.file.Tensor(name + ".weight"); ok {
			h.layers = append(h.layers, b.dense(name, h.out(c.Dim)))
		}
	}
	if len(h.layers) > 0 {
		b.head = &h
	}
	return m
}

func (m *gemmaEmbedding) forward(be nn.Backend) []float32 {
	m.compute(be)
	be.States(&m.norm)
	return nil
}
