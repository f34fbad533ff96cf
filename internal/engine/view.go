package engine

import (
	"context"
	"time"

	"github.com/penstock-llm/penstock/internal/sched"
)

// View is what the loop alone knows, at one moment between two steps: who has
// rows in the step, and who holds which block. Whoever wants to see it lends the
// loop a View, and the loop fills it in when it passes by. So a step never waits
// for a viewer, and where nobody looks it does nothing at all.
type View struct {
	Step      StepView
	Sequences []SequenceView // that have a slot, in the order of arrival
	Waiting   []WaitingView  // the first of the queue
	Queued    int            // all of the queue
	Blocks    []BlockView    // [blocks of the cache]
	Recent    []RecentView   // requests that have ended, the oldest first
}

// StepView is the last step.
type StepView struct {
	Number  int64
	Rows    int
	Streams int // rows of sequences that were decoding
	Began   time.Time
	Forward time.Duration
	Sample  time.Duration
	Whole   time.Duration
}

// SequenceView is a sequence that has a slot.
type SequenceView struct {
	Number      uint64 // of its request; they are counted from 1
	Place       int    // the bit of BlockView.Holders that is its own; -1: none
	Submitted   time.Time
	Prompt      int // tokens of its prompt
	Computed    int // tokens, prompt and generated, whose keys and values exist
	Cached      int // prompt tokens that the prefix cache had
	Decoded     int // tokens that were generated
	Limit       int // tokens that may be generated
	Blocks      int
	Rows        int // in the last step
	Preemptions int
}

// Decoding reports whether the whole prompt is computed.
func (s *SequenceView) Decoding() bool { return s.Computed >= s.Prompt }

// WaitingView is a request that has no slot.
type WaitingView struct {
	Number    uint64
	Prompt    int
	Submitted time.Time
	Preempted bool // it had one
}

// BlockView is a block of the cache.
type BlockView struct {
	Use     int32  // sequences that hold it, or sched.BlockClean or sched.BlockCached
	Holders uint64 // those of them whose place is below 64, a bit for each place
}

// RecentView is a request that has ended.
type RecentView struct {
	Number  uint64
	Reason  Reason
	Usage   Usage
	Timings Timings
}

// How much of the queue and of the past a View shows.
const (
	viewWaiting = 64
	viewRecent  = 32
)

// views is what the loop keeps for viewers.
type views struct {
	loan loan[View]

	// The loop's own.
	step   StepView
	rows   []rowsOf // [entries of the last step]
	recent [viewRecent]RecentView
	ended  int // requests so far
}

type rowsOf struct {
	number uint64
	rows   int
}

func (v *views) init(maxBatch int) {
	v.loan.init()
	v.rows = make([]rowsOf, 0, maxBatch)
}

// View fills in v, whose memory is used again. It waits for the end of a step that
// is running, and returns ErrClosed when the engine has ended.
func (e *Engine) View(ctx context.Context, v *View) error {
	return e.views.loan.lend(ctx, e, v, func() { v.grow(&e.cfg) })
}

// grow makes room for all that the loop may write.
func (v *View) grow(c *Config) {
	if cap(v.Sequences) < c.MaxBatch {
		v.Sequences = make([]SequenceView, 0, c.MaxBatch)
	}
	if cap(v.Waiting) == 0 {
		v.Waiting, v.Recent = make([]WaitingView, 0, viewWaiting), make([]RecentView, 0, viewRecent)
	}
	if len(v.Blocks) != c.Blocks {
		v.Blocks = make([]BlockView, c.Blocks)
	}
}

// show fills in what a viewer has lent, between two steps.
func (e *Engine) show() {
	v := e.views.loan.take()
	if v == nil {
		return
	}
	v.Step = e.views.step
	e.showSequences(v)
	e.showBlocks(v)
	v.Recent = v.Recent[:0]
	for i := max(0, e.views.ended-viewRecent); i < e.views.ended; i++ {
		v.Recent = append(v.Recent, e.views.recent[i%viewRecent])
	}
	e.views.loan.filled <- struct{}{} // there is room: one lender at a time
}

func (e *Engine) showSequences(v *View) {
	v.Sequences, v.Waiting = v.Sequences[:0], v.Waiting[:0]
	for _, seq := range e.sched.Admitted() {
		s := owner(seq)
		one := SequenceView{
			Number: s.number, Place: s.place, Submitted: s.timings.Submitted,
			Prompt: seq.Prompt(), Computed: seq.Computed(), Cached: seq.Cached(), Decoded: seq.Len() - seq.Prompt(), Limit: seq.Limit(),
			Blocks: len(seq.Blocks()), Preemptions: seq.Preemptions(),
		}
		for _, r := range e.views.rows {
			if r.number == s.number {
				one.Rows = r.rows
			}
		}
		v.Sequences = append(v.Sequences, one)
	}
	queue := e.sched.Queue()
	v.Queued = len(queue)
	for _, seq := range queue[:min(len(queue), viewWaiting)] {
		s := owner(seq)
		v.Waiting = append(v.Waiting, WaitingView{Number: s.number, Prompt: seq.Prompt(), Submitted: s.timings.Submitted, Preempted: seq.Preemptions() > 0})
	}
}

func (e *Engine) showBlocks(v *View) {
	e.sched.Survey(func(i int, use int32) { v.Blocks[i] = BlockView{Use: use} })
	for _, seq := range e.sched.Admitted() {
		if place := owner(seq).place; place >= 0 && place < 64 {
			for _, b := range seq.Blocks() {
				v.Blocks[b].Holders |= 1 << place
			}
		}
	}
}

// note remembers a step, for viewers.
func (v *views) note(e *Engine, plan *sched.Plan, at [3]time.Time) {
	start, forward, now := at[0], at[1], at[2]
	v.step = StepView{
		Number: e.steps, Rows: plan.Batch.Rows(), Streams: plan.StreamRows, Began: start,
		Forward: forward.Sub(start), Sample: now.Sub(forward), Whole: time.Since(start),
	}
	v.rows = v.rows[:0]
	for i := range plan.Entries {
		v.rows = append(v.rows, rowsOf{owner(plan.Entries[i].Seq).number, plan.Entries[i].Rows})
	}
}

// past remembers a request that has ended, for viewers.
func (v *views) past(s *Stream) {
	v.recent[v.ended%viewRecent] = RecentView{Number: s.number, Reason: s.finish.Reason, Usage: s.finish.Usage, Timings: s.timings}
	v.ended++
}
