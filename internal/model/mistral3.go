package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindMistral3 binds Ministral 3 and its relatives: llama whose queries grow a little
// with their position beyond the context that the model was trained with. Some have
// experts.
func bindMistral3(b *binder) network {
	rope := b.rope(nn.Adjacent)
	temper := nn.Temper{Scale: b.meta.factor("attention.temperature_scale")}
	if temper.Scale != 0 {
		temper.Every = b.meta.countOr("rope.scaling.original_context_length", maxContext, b.config.Context)
	}
	return b.decoder(func(i int) layer {
		a := b.attention(i, rope)
		a.Temper = temper
		l := b.layer(i, a)
		b.feedOrExperts(&l, i)
		b.before(&l, i)
		return l
	})
}
