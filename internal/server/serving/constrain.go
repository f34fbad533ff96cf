package serving

import (
	"math"
	"slices"

	"github.com/penstock-llm/penstock/internal/chat/answer"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/grammar"
)

// thinking is what a model may think before it answers.
type thinking struct {
	marks  *answer.Reasoner // nil: it does not, or nobody counts
	begun  bool             // the prompt ends within the reasoning
	budget int              // tokens; 0: as many as it likes
}

// constraint makes what restricts the tokens of a job's generations, or nil.
func (d *Deployment) constraint(j *Job) func() engine.Constraint {
	thinks := func() *thinkingBudget { return nil }
	if t := j.thinking; t.marks != nil && t.budget > 0 {
		thinks = func() *thinkingBudget { return newThinkingBudget(t.budget, d.Tokenizer, t.marks, t.begun) }
	} else if j.grammar == nil {
		return nil
	}
	if j.grammar == nil {
		return func() engine.Constraint { return thinks() }
	}
	v := d.vocabulary()
	return func() engine.Constraint {
		c := &obedience{matcher: j.grammar.Matcher(v), encode: d.encodeForced, free: d.grammars.free, budget: thinks(), least: j.Params.MinTokens}
		if j.IgnoreEOS {
			c.least = math.MaxInt
		}
		if c.least > 0 {
			c.ends, c.open = slices.Concat(d.Tokenizer.EOG(), j.StopTokens), make([]uint64, len(c.free))
		}
		return c
	}
}

// obedience has the engine obey a grammar, and a budget of reasoning.
type obedience struct {
	budget  *thinkingBudget // nil: none
	matcher *grammar.Matcher
	encode  func(text []byte) []int32
	free    []uint64 // all tokens that a text may have
	mask    []uint64 // nil: any

	least int      // tokens before which the answer ends only where nothing else may follow
	count int      // tokens so far
	ends  []int32  // that end the answer
	open  []uint64 // mask without them
}

// Prepare finds the tokens that may come next.
func (c *obedience) Prepare(left int) (err error) {
	c.mask, err = c.matcher.Allowed(left)
	if err == nil && c.count < c.least {
		c.goOn()
	}
	if err == nil && slices.Equal(c.mask, c.free) {
		c.mask = nil // spares the engine the masking
	}
	return err
}

// goOn takes the tokens that end the answer out of the mask, unless there are no
// others.
func (c *obedience) goOn() {
	copy(c.open, c.mask)
	for _, t := range c.ends {
		c.open[t/64] &^= 1 << (t % 64)
	}
	if slices.ContainsFunc(c.open, func(bits uint64) bool { return bits != 0 }) {
		c.mask = c.open
	}
}

// Allowed returns what Prepare found, unless the model has thought for too long.
func (c *obedience) Allowed() []uint64 {
	if c.budget != nil {
		if closing := c.budget.Allowed(); closing != nil {
			return closing
		}
	}
	return c.mask
}

// Accept takes a token, and returns those that must follow it.
func (c *obedience) Accept(token int32) (forced []int32, err error) {
	if err := c.take(token); err != nil {
		return nil, err
	}
	forced, err = c.matcher.ForcedTokens(c.encode)
	if err != nil {
		return nil, err
	}
	for i, t := range forced {
		if c.take(t) != nil {
			return forced[:i], nil
		}
	}
	return forced, nil
}

func (c *obedience) take(token int32) error {
	c.count++
	if c.budget != nil {
		if _, err := c.budget.Accept(token); err != nil {
			return err
		}
	}
	if c.mask == nil && c.free[token/64]>>(token%64)&1 == 0 {
		return nil // no text, where anything may come
	}
	return c.matcher.Accept(token)
}
