package model

import (
	"math"
	"math/bits"

	"github.com/penstock-llm/penstock/internal/nn"
)

// bindJinaBertV2 binds Jina Embeddings v2: BERT whose scores fall with the distance
// of two tokens (ALiBi), and a feed-forward layer with a gate. The variants for code,
// which normalise queries and keys, are not supported: their tensors are refused.
func bindJinaBertV2(b *binder) network {
	bias := alibi(&b.config)
	return b.bert(nil, func(l *bertLayer, prefix string) {
		l.attn.Bias = bias
		if _, ok := b.file.Tensor(prefix + "ffn_gate.weight"); ok {
			l.ffn = b.gated(prefix, nn.GELUErf)
		} else {
			l.ffn = b.fusedGated(prefix, nn.GELUErf)
		}
	})
}

// alibi is each head's slope times the distance, which is taken off a score: the
// slopes are a geometric sequence that ends at 2^-8 for a power of two of heads.
// For other numbers, those that are missing come from the sequence of twice as many
// heads, every second of it.
func alibi(c *Config) [][]float32 {
	whole := 1 << (bits.Len(uint(c.Heads)) - 1)
	bias := make([][]float32, c.Heads)
	for h := range bias {
		exponent := -8 * float64(h+1) / float64(whole)
		if h >= whole {
			exponent = -4 * float64(2*(h-whole)+1) / float64(whole)
		}
		slope := math.Exp2(exponent)
		bias[h] = make([]float32, 2*c.Context-1)
		for i := range bias[h] {
			bias[h][i] = float32(-slope * math.Abs(float64(i-(c.Context-1))))
		}
	}
	return bias
}
