package model

import (
	"math"

	"github.com/penstock-llm/penstock/internal/nn"
)

// rope binds the rotation of an architecture's layers, with the factors that the file
// may have for its frequencies.
func (b *binder) rope(style nn.RopeStyle) *nn.Rope {
	r := b.meta.ropeConfig(&b.config, style)
	pairs := b.config.RopeDim / 2
	switch kind, _ := b.meta.file.Str(b.meta.key("rope.scaling.type")); {
	case kind == "longrope" || b.has("rope_factors_long.weight"):
		r.Factors = b.longFactors(r.Original, pairs)
	case b.has("rope_freqs.weight"): // Llama 3.1's scaling
		r.Factors = b.vector("rope_freqs.weight", true, pairs)
	}
	return b.rotation(r)
}

// localRope is the rotation of layers with a window, where the file may give them a base of
// their own; otherwise it is that of the others.
func (b *binder) localRope(global *nn.Rope, style nn.RopeStyle) *nn.Rope {
	c := &b.config
	base := b.meta.positive("rope.freq_base_swa", c.RopeBase)
	if base == c.RopeBase {
		return global
	}
	r := b.meta.ropeConfig(c, style)
	r.Base = base
	return b.rotation(r)
}

// longFactors are the factors of LongRoPE: a list for sequences within the context that
// the model was trained with, and one for those beyond it. A sequence may not change
// from one to the other, because its older keys are rotated already. So the list is
// that of the longest sequence that may come.
func (b *binder) longFactors(original, pairs int) []float32 {
	long := b.vector("rope_factors_long.weight", false, pairs)
	short := b.vector("rope_factors_short.weight", false, pairs)
	context := b.opts.Context
	if context == 0 {
		context = b.config.Context
	}
	if context > original {
		return long
	}
	return short
}

// rotation makes the tables of a rotation.
func (b *binder) rotation(c nn.RopeConfig) *nn.Rope {
	if b.meta.err != nil || b.sketch != nil {
		return nil
	}
	r, err := nn.NewRope(c, b.config.Context)
	if err != nil {
		b.meta.fail("%v", err)
		return nil
	}
	b.ropes = append(b.ropes, r)
	return r
}

// ropeConfig reads how positions rotate heads, scaling included.
func (m *metadata) ropeConfig(c *Config, style nn.RopeStyle) nn.RopeConfig {
	r := nn.RopeConfig{Style: style, Dim: c.RopeDim, Base: c.RopeBase}
	kind, ok := m.file.Str(m.key("rope.scaling.type"))
	if !ok {
		kind = "linear"
	}
	factor := m.positive("rope.scaling.factor", m.positive("rope.scale_linear", 1))
	r.Original = m.countOr("rope.scaling.original_context_length", maxContext, c.Context)
	switch kind {
	case "none":
		return r
	case "linear":
		r.Scale = 1 / factor
	case "longrope":
		r.Scale = 1 / factor
	case "yarn":
		r.YaRN = true
		r.Scale = 1 / factor
		r.BetaFast = m.positive("rope.scaling.yarn_beta_fast", 32)
		r.BetaSlow = m.positive("rope.scaling.yarn_beta_slow", 1)
	default:
		m.fail("rope scaling %q is not supported: want none, linear, yarn or longrope", brief(kind))
	}
	r.Attn = m.positive("rope.scaling.attn_factor", 1)
	// A model whose attention has a temperature of its own has YaRN's taken back.
	if mul := m.factor("rope.scaling.yarn_log_multiplier"); r.YaRN && factor > 1 && mul > 0 {
		r.Attn /= 1 + 0.1*float64(mul)*math.Log(factor)
	}
	return r
}
