package engine

import (
	"time"

	"github.com/penstock-llm/penstock/internal/draft"
	"github.com/penstock-llm/penstock/internal/sched"
)

// Speculation: before a step the tokens that streams are likely to get are guessed,
// and have rows in the step as far as such are nearly free. From every row the sampler
// draws what it would draw without a guess, in order, with the sequence's own
// generator, until a token is another than was guessed. So the tokens of a request are
// the same with and without, whether greedy or drawn.

// drafts is what the engine knows of guesses.
type drafts struct {
	costs  draft.Costs
	asks   []draft.Ask // [MaxBatch]
	asking []*Stream   // [MaxBatch] whose they are
	all    bool        // every guess has rows, whatever it costs: so tests do not depend on the clock
}

func (d *drafts) init(maxBatch int) {
	d.asks = make([]draft.Ask, 0, maxBatch)
	d.asking = make([]*Stream, 0, maxBatch)
}

// observe learns what rows cost, from a step of streams alone.
func (d *drafts) observe(plan *sched.Plan, took time.Duration) {
	if plan.Streams == len(plan.Entries) {
		d.costs.Observe(plan.Batch.Rows(), took.Seconds())
	}
}

// guesser guesses the tokens of one stream, from what stands in its prompt and output.
type guesser struct {
	index  *draft.Index
	record draft.Record
	list   [draft.MostRows]int32
	guess  []int32 // the part of list that was guessed last
	sure   draft.Class
	at     int // length of the text that it follows
}

const (
	// remembered is the longest text that a guesser looks through.
	remembered = 32 << 10
	// expected is how much a text is expected to grow.
	expected = 2048
)

func newGuesser(e *Engine, r Request) *guesser {
	grow := r.MaxTokens
	if grow < 0 || grow > expected {
		grow = expected
	}
	g := &guesser{index: draft.New(min(len(r.Prompt)+grow, e.cfg.Context, remembered)), record: draft.NewRecord()}
	g.index.Guess(r.Prompt, nil) // it takes the prompt in here, not in a step
	return g
}

// next learns from what has become of the last guess, and makes the next.
func (g *guesser) next(text []int32) {
	if len(g.guess) > 0 {
		g.record.Learn(g.sure, g.guess, text[g.at:])
	}
	n := 0
	n, g.sure = g.index.Guess(text, g.list[:])
	g.guess, g.at = g.list[:n], len(text)
}

// propose gives the scheduler drafts for the next step, unless the step has other work
// for its rows.
func (e *Engine) propose() {
	if !e.cfg.Speculate {
		return
	}
	streams, own := 0, 0
	for _, s := range e.streams {
		if s.seq.Streams() {
			streams++
			own += s.seq.Len() - s.seq.Computed()
		}
	}
	joining := e.sched.Waiting() > 0 && e.sched.Running() < e.cfg.MaxBatch
	d := &e.drafts
	if !d.all && (streams == 0 || streams >= draft.Panel || streams < e.sched.Running() || joining) {
		return
	}
	d.asks, d.asking = d.asks[:0], d.asking[:0]
	for _, s := range e.streams {
		if s.guesser == nil || !s.seq.Streams() {
			continue
		}
		g := s.guesser
		if g.next(s.seq.Tokens()); len(g.guess) > 0 {
			d.asking = append(d.asking, s)
			d.asks = append(d.asks, draft.Ask{Right: g.record.Right(g.sure), Most: len(g.guess)})
		}
	}
	d.share(streams, own)
	for i, s := range d.asking {
		if rows := d.asks[i].Rows; rows > 0 {
			e.sched.Draft(s.seq, s.guesser.guess[:rows])
		}
	}
}

// share decides which guesses get rows.
func (d *drafts) share(streams, own int) {
	if !d.all {
		d.costs.Share(d.asks, streams, own)
		return
	}
	for i := range d.asks {
		d.asks[i].Rows = d.asks[i].Most
	}
}
