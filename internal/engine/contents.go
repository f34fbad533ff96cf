package engine

import (
	"context"

	"github.com/penstock-llm/penstock/internal/sched"
)

// Contents is a copy of which contents the prefix cache finds, for those who tell
// others. Its zero value is that of an empty cache.
type Contents struct {
	sched.Contents
	Anew bool // the engine has started over since the last time: all that was there before is lost, and no change says so

	era int // of the scheduler that it was brought up to date with
}

// contents is what the loop keeps for those who hold copies.
type contents struct {
	loan   loan[Contents]
	era    int    // schedulers so far; the loop's own
	before uint64 // turnover of the last ones; the loop's own
}

// Contents brings a copy up to date. It waits for the end of a step that is running,
// and returns ErrClosed when the engine has ended.
func (e *Engine) Contents(ctx context.Context, c *Contents) error {
	return e.contents.loan.lend(ctx, e, c, func() { c.Fit(e.cfg.Blocks, e.cfg.BlockTokens) })
}

// Turnover is another number whenever Contents has something to say that it had not
// at the last number. It takes no lock.
func (e *Engine) Turnover() uint64 { return e.stats.turnover.Load() }

// observe brings the copy up to date that somebody has lent, between two steps.
func (e *Engine) observe() {
	c := e.contents.loan.take()
	if c == nil {
		return
	}
	c.Anew = c.era != 0 && c.era != e.contents.era
	if c.era != e.contents.era {
		c.Forget()
		c.era = e.contents.era
	}
	e.sched.Observe(&c.Contents)
	e.contents.loan.filled <- struct{}{}
}
