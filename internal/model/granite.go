package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindGranite binds Granite 3 and 4: llama with factors for the embeddings, for the
// scores of attention, for what each layer adds, and one that divides the logits.
// Some of its models do not rotate.
func bindGranite(b *binder) network {
	rope := b.rope(nn.Adjacent)
	if rotates, ok := b.file.Bool(b.meta.key("rope.scaling.finetuned")); ok && !rotates {
		rope = nil
	}
	b.scale = float64(b.meta.factor("embedding_scale"))
	residual := b.meta.factor("residual_scale")
	m := b.decoder(func(i int) layer {
		l := b.layer(i, b.attention(i, rope))
		b.feed(&l, i, b.gated(prefix(i), nn.SiLU))
		b.before(&l, i)
		l.out, l.down = multiplied(l.out, residual), multiplied(l.down, residual)
		return l
	})
	if logits := b.meta.factor("logit_scale"); logits != 0 && m != nil {
		m.output.Linear = multiplied(m.output.Linear, 1/logits)
	}
	return m
}
