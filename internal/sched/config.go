package sched

import (
	"errors"
	"fmt"
)

// What Add refuses.
var (
	ErrQueueFull = errors.New("the queue is full")
	ErrTooLong   = errors.New("the prompt does not fit the context")
	ErrEmpty     = errors.New("the prompt has no tokens")
)

// TooLongError is an ErrTooLong with its counts.
type TooLongError struct{ Prompt, Context int }

func (e *TooLongError) Error() string {
	return fmt.Sprintf("the prompt of %d tokens does not fit the context of %d", e.Prompt, e.Context)
}

// Is makes errors.Is(err, ErrTooLong) true.
func (e *TooLongError) Is(target error) bool { return target == ErrTooLong }

// Config is the size of the machine and the shape of a step.
type Config struct {
	Blocks       int     // blocks of the KV cache
	BlockSize    int     // tokens of a block
	Window       int     // positions that a row sees in the layers that have blocks of their own; 0: there are no such layers
	WindowBlocks int     // their blocks
	Context      int     // tokens of a sequence; clipped to what the blocks hold
	MaxSeqs      int     // sequences that run at once
	MaxQueue     int     // requests that wait beyond those
	MaxRows      int     // rows of a step
	Align        int     // rows of a panel of the kernels, which take hardly longer than one row; 0: 1
	MaxLogits    int     // rows with logits of a step; 0: MaxSeqs
	AgeSteps     int     // waiting requests rise by one class after so many steps without an admission from theirs; 0: 256
	PrefixCache  bool    // share blocks between sequences that begin alike
	EOG          []int32 // tokens that end a generation

	// Whole is for encoders, whose tokens see the whole of their text: a prompt is
	// computed in one step, and nothing is generated. Context is at most MaxRows.
	Whole bool
}

func (c *Config) validate() error {
	c.Align = max(c.Align, 1)
	if c.MaxLogits == 0 {
		c.MaxLogits = c.MaxSeqs
	}
	if c.AgeSteps == 0 {
		c.AgeSteps = 256
	}
	c.Context = min(c.Context, c.Blocks*c.BlockSize)
	if c.Whole {
		c.Context, c.MaxLogits = min(c.Context, c.MaxRows), c.MaxSeqs // there are no logits
	}
	least := 0
	if c.Window > 0 && c.BlockSize > 0 {
		least = min((c.Context+c.BlockSize-1)/c.BlockSize, WindowBlocks(c.Window, c.BlockSize))
	}
	switch {
	case c.Window < 0 || c.WindowBlocks < least || c.Window == 0 && c.WindowBlocks != 0:
		return fmt.Errorf("window of %d positions with %d blocks: want at least %d", c.Window, c.WindowBlocks, least)
	case c.Blocks < 1 || c.BlockSize < 1 || c.Context < 1 || c.MaxSeqs < 1 || c.MaxQueue < 0:
		return fmt.Errorf("blocks %d, block size %d, context %d, sequences %d, queue %d: too small",
			c.Blocks, c.BlockSize, c.Context, c.MaxSeqs, c.MaxQueue)
	case c.MaxRows < c.MaxSeqs || c.MaxLogits < c.MaxSeqs:
		return fmt.Errorf("step of %d rows and %d logits is too small for %d sequences",
			c.MaxRows, c.MaxLogits, c.MaxSeqs)
	case c.AgeSteps < 1:
		return fmt.Errorf("aging of %d steps", c.AgeSteps)
	}
	return nil
}

// Budget bounds the prompt rows of one step. Decoding streams always get theirs.
type Budget struct {
	Alone  int // when no stream decodes; at least 1
	Beside int // when streams wait for the step to end: what bounds their delay
}

// Counters only ever grow.
type Counters struct {
	Steps       uint64
	Preemptions uint64
	PrefixQuery uint64 // prompt tokens that could have been found
	PrefixHit   uint64 // prompt tokens that were found
	PromptRows  uint64 // rows computed that belong to prompts, also those computed again
	Generated   uint64 // tokens generated, stop tokens included
	Evictions   uint64 // cached blocks that had to go
}

// Add adds the counters of another scheduler.
func (c *Counters) Add(o Counters) {
	c.Steps += o.Steps
	c.Preemptions += o.Preemptions
	c.PrefixQuery += o.PrefixQuery
	c.PrefixHit += o.PrefixHit
	c.PromptRows += o.PromptRows
	c.Generated += o.Generated
	c.Evictions += o.Evictions
}
