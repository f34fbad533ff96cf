package model

import "github.com/penstock-llm/penstock/internal/nn"

const cohere2Period = 4 // one layer in so many is global

// bindCommandR binds Command R: layer normalisations without biases, attention and the
// feed-forward network beside each other, a factor for the logits. Command R+ normalises
// queries and keys, each head by weights of its own.
func bindCommandR(b *binder) network {
	rope := b.rope(nn.Adjacent)
	return b.cohere(func(i int) nn.Attention {
		a := b.attention(i, rope)
		if b.has(prefix(i) + "attn_q_norm.weight") {
			b.normsOfHeads(&a, i)
		}
		return a
	})
}

// bindCohere2 binds Command R7B and its successors: Command R with windows in most
// layers; the others know no positions.
func bindCohere2(b *binder) network {
	c := &b.config
	sliding := b.meta.sliding(c, cohere2Period)
	rope := b.rope(nn.Adjacent)
	return b.cohere(func(i int) nn.Attention {
		a := b.attention(i, nil)
		if sliding[i] {
			a.Rope, a.Window = rope, c.Window
		}
		return a
	})
}

func (b *binder) cohere(attention func(i int) nn.Attention) network {
	m := b.decoder(func(i int) layer {
		l := b.layer(i, attention(i))
		b.feed(&l, i, b.gated(prefix(i), nn.SiLU))
		l.attnNorm = b.norm(prefix(i)+"attn_norm", b.config.Dim)
		l.ffnNorm, l.parallel = l.attnNorm, true
		return l
	})
	if m != nil {
		m.output.Linear = multiplied(m.output.Linear, b.meta.factor("logit_scale"))
	}
	return m
}
