package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindNomicBert binds Nomic Embed: BERT with rotated halves in place of learned
// positions, and a feed-forward layer with a gate.
func bindNomicBert(b *binder) network {
	rope := b.rope(nn.Halves)
	return b.bert(rope, func(l *bertLayer, prefix string) { l.ffn = b.gated(prefix, nn.SiLU) })
}
