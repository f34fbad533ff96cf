package model

import "github.com/penstock-llm/penstock/internal/nn"

// gptOSSPeriod: every second layer sees the whole context, the others a window.
const gptOSSPeriod = 2

// bindGPTOSS binds gpt-oss: experts with biases and an activation of their own, of which
// the chosen ones share out the weight; attention with biases, with a sink in every
// head, and with a window in every second layer. The norm before the experts has the
// name of one that comes after attention.
func bindGPTOSS(b *binder) network {
	c := &b.config
	sliding := b.meta.sliding(c, gptOSSPeriod)
	rope := b.rope(nn.Halves)
	local := b.localRope(rope, nn.Halves)
	return b.decoder(func(i int) layer {
		p := prefix(i)
		b.requireQKVBiases(p)
		b.require(p+"attn_output.bias", c.Dim)
		b.requireExpertBiases(p)
		l := b.layer(i, b.attention(i, rope))
		l.attn.Sinks = b.vector(p+"attn_sinks.weight", false, c.Heads)
		if sliding[i] {
			l.attn.Rope, l.attn.Window = local, c.Window
		}
		l.experts = b.experts(p, nn.Routing{Rule: nn.SoftmaxOfUsed}, nn.SwiGLUOAI)
		l.attnNorm = b.norm(p+"attn_norm", c.Dim)
		l.ffnNorm = b.norm(p+"post_attention_norm", c.Dim)
		l.ffnNorm.Routed = true
		return l
	})
}
