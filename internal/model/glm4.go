package model

import "github.com/penstock-llm/penstock/internal/nn"

// bindGLM4 binds GLM 4: norms before and after attention and the feed-forward network,
// gate and up in one matrix, half of each head rotated. Files for pictures have
// sections for their places; then the halves of a head rotate, as they do for text.
func bindGLM4(b *binder) network {
	style := nn.Adjacent
	if sections, ok := b.file.Ints(b.meta.key("rope.dimension_sections")); ok && len(sections) > 1 && sections[0]+sections[1] > 0 {
		style = nn.Halves
	}
	rope := b.rope(style)
	return b.decoder(func(i int) layer {
		l := b.layer(i, b.attention(i, rope))
		b.feed(&l, i, b.fusedGated(prefix(i), nn.SiLU))
		b.before(&l, i)
		b.after(&l, i)
		return l
	})
}
