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
		c := &obedience{Follower: j.grammar.Follow(v, d.encodeForced), budget: thinks(), least: j.Params.MinTokens}
		if j.IgnoreEOS {
			c.least = math.MaxInt
		}
		if c.least > 0 {
			c.ends, c.open = slices.Concat(d.Tokenizer.EOG(), j.StopTokens), make([]uint64, (d.Tokenizer.Vocab()+63)/64)
		}
		return c
	}
}

// obedience has the engine obey a grammar, a budget of reasoning and a least length.
type obedience struct {
	*grammar.Follower
	budget *thinkingBudget // nil: none

	least int      // tokens before which the answer ends only where nothing else may follow
	count int      // tokens so far
	ends  []int32  // that end the answer
	open  []uint64 // what may come, without them
	held  bool     // open holds
}

// Prepare finds the tokens that may come next.
func (c *obedience) Prepare(left int) error {
	err := c.Follower.Prepare(left)
	c.held = err == nil && c.count < c.least && c.goOn()
	return err
}

// goOn makes open of what may come without the tokens that end the answer, and reports
// whether there are any.
func (c *obedience) goOn() bool {
	mask := c.Follower.Allowed()
	if mask == nil {
		mask = c.Follower.Any()
	}
	copy(c.open, mask)
	for _, t := range c.ends {
		c.open[t/64] &^= 1 << (t % 64)
	}
	return slices.ContainsFunc(c.open, func(bits uint64) bool { return bits != 0 })
}

// Allowed returns what may come, unless the model has thought for too long.
func (c *obedience) Allowed() []uint64 {
	if c.budget != nil {
		if closing := c.budget.Allowed(); closing != nil {
			return closing
		}
	}
	if c.held {
		return c.open
	}
	return c.Follower.Allowed()
}

// Accept takes a token, and returns those that must follow it.
func (c *obedience) Accept(token int32) (forced []int32, err error) {
	if err := c.take(token); err != nil {
		return nil, err
	}
	if forced, err = c.Follower.Accept(token); err != nil {
		return nil, err
	}
	for _, t := range forced {
		if err := c.take(t); err != nil {
			return nil, err
		}
	}
	return forced, nil
}

// take counts a token.
func (c *obedience) take(token int32) (err error) {
	c.count++
	if c.budget != nil {
		_, err = c.budget.Accept(token)
	}
	return err
}

// Quick takes a token at once where that takes no work. While the model thinks, or the
// answer may not end yet, it does not.
func (c *obedience) Quick(token int32, left int) (forced []int32, ok bool) {
	if c.budget != nil && !c.budget.over || c.count < c.least {
		return nil, false
	}
	if forced, ok = c.Follower.Quick(token, left); ok {
		c.count, c.held = c.count+1+len(forced), false
	}
	return forced, ok
}
