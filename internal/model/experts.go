package model

import "github.com/penstock-llm/penstock/internal/nn"

// maxExperts bounds what a file may claim.
const maxExperts = 1 << 12

// expertConfig reads how many experts a layer has, how many of them a row uses and
// how wide they are. c.Experts is 0 where the file has none. Files of the first
// mixtures have no width of their own for experts: it is that of the feed-forward
// layer, or narrow, which says otherwise.
func (m *metadata) expertConfig(c *Config) {
	if n, ok := m.file.Uint(m.key("expert_count")); ok && n == 0 {
		return // as if the key were missing
	}
	if c.Experts = m.countOr("expert_count", maxExperts, 0); c.Experts == 0 {
		return
	}
	c.ExpertsUsed = m.count("expert_used_count", c.Experts)
	c.ExpertFF = m.countOr("expert_feed_forward_length", maxDim, c.FF)
	if m.countOr("expert_group_count", maxExperts, 1) > 1 {
		m.fail("key %q: experts that are chosen by groups are not supported", m.key("expert_group_count"))
	}
	c.SharedFF = m.countOr("expert_shared_feed_forward_length", maxDim, 0)
}

// expertShare makes an expert as wide as its share of the feed-forward layer, where the file gives experts no width.
func (b *binder) expertShare() {
	if c := &b.config; !b.meta.has("expert_feed_forward_length") {
		c.ExpertFF = max(1, c.FF/max(1, c.ExpertsUsed))
	}
}

// experts binds a layer's experts, which are chosen by r. Biases and scales are bound
// where a file has them.
func (b *binder) experts(prefix string, r nn.Routing, act nn.Activation) *nn.Experts {
	c := &b.config
	r.Experts, r.Used = c.Experts, c.ExpertsUsed
	if err := r.Check(); err != nil {
		b.meta.fail("%v", err)
		return nil
	}
	n, ff := c.Experts, c.ExpertFF
	gate, ok := b.find(prefix+"ffn_gate_exps.weight", false, c.Dim, ff, n)
	up, ok2 := b.find(prefix+"ffn_up_exps.weight", false, c.Dim, ff, n)
	down, ok3 := b.find(prefix+"ffn_down_exps.weight", false, ff, c.Dim, n)
	if !ok || !ok2 || !ok3 {
		return nil
	}
	e := &nn.Experts{
		Router:   b.router(prefix+"ffn_gate_inp", n),
		Routing:  r,
		Gate:     &nn.Matrix{Type: gate.Type, Rows: n * ff, Cols: c.Dim},
		Up:       &nn.Matrix{Type: up.Type, Rows: n * ff, Cols: c.Dim},
		Down:     &nn.Matrix{Type: down.Type, Rows: n * c.Dim, Cols: ff},
		GateBias: b.table(prefix+"ffn_gate_exps.bias", ff, n),
		UpBias:   b.table(prefix+"ffn_up_exps.bias", ff, n),
		DownBias: b.table(prefix+"ffn_down_exps.bias", c.Dim, n),
		Act:      act,

		GateScale: b.scales(prefix+"ffn_gate_exps", n),
		UpScale:   b.scales(prefix+"ffn_up_exps", n),
		DownScale: b.scales(prefix+"ffn_down_exps", n),
	}
	b.loads = append(b.loads, load{m: e.Gate, twin: e.Up, src: gate, twinOf: up}, load{m: e.Down, src: down})
	l := &b.limits
	l.Experts, l.Used, l.ExpertFF = n, r.Used, ff
	return e
}

// scales reads the factors that a file may have for the products of each of n experts. It
// accepts, as inputScale does, those for rounding what they read.
func (b *binder) scales(name string, n int) []float32 {
	b.vector(name+".input_scale", true, n)
	return b.vector(name+".scale", true, n)
}

// router binds a projection that reads the rows of a routed norm.
func (b *binder) router(name string, rows int) nn.Linear {
	l := b.linear(name, rows, b.config.Dim)
	b.routers = append(b.routers, l.W)
	return l
}

// shared binds the network that every row uses beside its experts. It is as wide as
// those of other models are where the file gives it no width of its own.
func (b *binder) shared(prefix string, act nn.Activation) *nn.Shared {
	c := &b.config
	if c.SharedFF == 0 {
		c.SharedFF = c.FF
	}
	s := &nn.Shared{FFN: nn.FFN{
		Gate: b.linear(prefix+"ffn_gate_shexp", c.SharedFF, c.Dim),
		Up:   b.linear(prefix+"ffn_up_shexp", c.SharedFF, c.Dim),
		Act:  act,
	}}
	b.pair()
	s.Down = b.linear(prefix+"ffn_down_shexp", c.Dim, c.SharedFF)
	b.limits.Hidden = max(b.limits.Hidden, c.SharedFF)
	return s
}

// requireExpertBiases refuses a model without the biases that others do without.
func (b *binder) requireExpertBiases(prefix string) {
	c := &b.config
	b.require(prefix+"ffn_gate_inp.bias", c.Experts)
	b.find(prefix+"ffn_gate_exps.bias", false, c.ExpertFF, c.Experts)
	b.find(prefix+"ffn_up_exps.bias", false, c.ExpertFF, c.Experts)
	b.find(prefix+"ffn_down_exps.bias", false, c.Dim, c.Experts)
}

// table reads an optional tensor of n rows of width numbers; nil if it is missing.
func (b *binder) table(name string, width, n int) []float32 {
	t, ok := b.find(name, true, width, n)
	if !ok {
		return nil
	}
	return b.floats(t)
}
