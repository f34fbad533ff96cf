package model

import "github.com/penstock-llm/penstock/internal/nn"

const olmo2Period = 4 // one layer in so many is global, in OLMo 3

// bindOLMo2 binds OLMo 2 and 3: norms after attention and after the feed-forward
// network instead of before them, and over the queries and the keys of all heads
// together. In OLMo 3 most layers see a window, and rotate without the scaling that
// makes the context longer.
func bindOLMo2(b *binder) network {
	c := &b.config
	sliding := b.meta.sliding(c, olmo2Period)
	global := b.rope(nn.Halves)
	local := global
	if c.Window > 0 {
		local = b.rotation(nn.RopeConfig{Style: nn.Halves, Dim: c.RopeDim, Base: c.RopeBase})
	}
	return b.decoder(func(i int) layer {
		a := b.attention(i, global)
		if sliding[i] {
			a.Rope, a.Window = local, c.Window
		}
		l := b.layer(i, a)
		q := b.norm(prefix(i)+"attn_q_norm", c.Heads*c.HeadDim)
		k := b.norm(prefix(i)+"attn_k_norm", c.KVHeads*c.HeadDim)
		l.qkv.QNorm, l.qkv.KNorm = &q, &k
		b.feed(&l, i, b.gated(prefix(i), nn.SiLU))
		b.after(&l, i)
		return l
	})
}
