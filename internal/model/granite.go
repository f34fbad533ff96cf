package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindGranite binds Granite 3 and 4: llama with factors for the embeddings, for the
// scores of attention, for what each layer adds, and one that divides the logits.
// Some of its models do not rotate. Its mixtures, such as 3.1 3B-A800M, always do; they
// have experts whose weights sum to 1, and perhaps a network that every row uses beside
// them.
func bindGranite(b *binder) network {
	rope := b.rope(nn.Adjacent)
	if rotates, ok := b.file.Bool(b.meta.key("rope.scaling.finetuned")); ok && !rotates && !b.arch.needs {
		rope = nil
	}
	c := &b.config
	c.ExpertFF = min(c.Experts, 1) * c.FF // they have no other width
	b.scale = float64(b.meta.factor("embedding_scale"))
	residual := b.meta.factor("residual_scale")
	m := b.decoder(func(i int) layer {
		l := b.layer(i, b.attention(i, rope))
		l.out = multiplied(l.out, residual)
		if c.Experts > 0 {
			l.experts = b.graniteExperts(i, residual)
		} else {
			b.feed(&l, i, b.gated(prefix(i), nn.SiLU))
			l.down = multiplied(l.down, residual)
		}
		b.before(&l, i)
		return l
	})
	if logits := b.meta.factor("logit_scale"); logits != 0 && m != nil {
		m.output.Linear = multiplied(m.output.Linear, 1/logits)
	}
	return m
}

func (b *binder) graniteExperts(i int, residual float32) *nn.Experts {
	e := b.experts(prefix(i), nn.Routing{Normalised: true, Scale: residual}, nn.SiLU)
	if e != nil && b.config.SharedFF > 0 {
		e.Shared = b.shared(prefix(i), nn.SiLU)
		e.Shared.Down = multiplied(e.Shared.Down, residual)
	}
	return e
}
