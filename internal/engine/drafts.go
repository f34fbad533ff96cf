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
	asks   []draft.Ask   // [MaxBatch]
	asking []*Stream     // [MaxBatch] whose they are
	free   []*guesser    // that no stream has
	model  *draftModel   // nil: there is none
	spent  time.Duration // by the draft model, before this step
}

func (d *drafts) init(e *Engine) {
	d.asks = make([]draft.Ask, 0, e.cfg.MaxBatch)
	d.asking = make([]*Stream, 0, e.cfg.MaxBatch)
	if e.cfg.Speculate {
		// No more streams than fit into a panel are guessed for at once.
		for range min(e.cfg.MaxBatch, draft.Panel) {
			d.free = append(d.free, &guesser{index: draft.New(min(e.cfg.Context, remembered))})
		}
	}
	if e.cfg.Draft != nil {
		d.model = newDraftModel(e)
	}
}

// observe learns what rows cost, from a step of streams alone.
func (d *drafts) observe(plan *sched.Plan, took time.Duration) {
	if plan.Streams == len(plan.Entries) {
		d.costs.Observe(plan.Batch.Rows(), (took - d.spent).Seconds())
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

	// What the draft model has done for the stream.
	computed  int // tokens whose keys and values it has
	noted     int // blocks of these whose content it has noted
	preempted int // Preemptions of the sequence when it was so
}

// remembered is the longest text that a guesser looks through.
const remembered = 32 << 10

// lend gives a stream a guesser when its first guess is asked for. Guessers are made
// with the engine and used again; ok is false while all of them are with others.
func (d *drafts) lend(s *Stream) (ok bool) {
	if s.guesser != nil {
		return true
	}
	n := len(d.free) - 1
	if n < 0 {
		return false
	}
	g := d.free[n]
	d.free = d.free[:n]
	g.index.Reset()
	*g = guesser{index: g.index, record: draft.NewRecord()}
	s.guesser = g
	return true
}

// takeBack ends a stream's use of its guesser.
func (d *drafts) takeBack(s *Stream) {
	if s.guesser != nil {
		d.free = append(d.free, s.guesser)
		s.guesser = nil
	}
}

// next learns from what has become of the last guess, and makes the next.
func (g *guesser) next(text []int32) {
	if len(g.guess) > 0 {
		right := g.record.Learn(g.sure, g.guess, text[g.at:])
		if g.sure == draft.Model { // which has not computed the last token that it guessed
			g.computed = g.at + min(right, len(g.guess)-1)
		}
	}
	n := 0
	n, g.sure = g.index.Guess(text, g.list[:])
	g.guess, g.at = g.list[:n], len(text)
}

// propose gives the scheduler drafts for the next step, unless the step has other work
// for its rows.
func (e *Engine) propose() {
	e.drafts.spent = 0
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
	if !e.cfg.always && (streams == 0 || streams >= draft.Panel || streams < e.sched.Running() || joining) {
		return
	}
	start := time.Now()
	d.asks, d.asking = d.asks[:0], d.asking[:0]
	for _, s := range e.streams {
		if s.request.NoGuesses || !s.seq.Streams() || !d.lend(s) {
			continue
		}
		s.guesser.next(s.seq.Tokens())
		if ask := e.ask(s); ask.Most > 0 {
			d.asking = append(d.asking, s)
			d.asks = append(d.asks, ask)
		}
	}
	e.share(streams, own)
	if d.model != nil {
		d.model.guess(d.asking, d.asks)
		d.spent = time.Since(start)
	}
	for i, s := range d.asking {
		if rows := min(d.asks[i].Rows, len(s.guesser.guess)); rows > 0 {
			e.sched.Draft(s.seq, s.guesser.guess[:rows])
		}
	}
}

// ask is what a stream's guess is worth: the one from its text or, where that is less
// likely to be right, the one that the draft model would make.
func (e *Engine) ask(s *Stream) draft.Ask {
	d, g := &e.drafts, s.guesser
	left := s.seq.Prompt() + s.seq.Limit() - s.seq.Len() - 1 // tokens of a guess that may still come
	ask := draft.Ask{Right: g.record.Right(g.sure), Most: min(len(g.guess), left)}
	if d.model == nil || left <= 0 {
		return ask
	}
	chance := g.record.Right(draft.Model)
	if ask.Most > 0 && ask.Right >= chance && !e.cfg.always || !d.model.ready(s) || !e.sched.Reserve(s.seq, farthest) {
		return ask
	}
	g.record.Revive(draft.Model)
	g.sure, g.guess = draft.Model, g.list[:0]
	return draft.Ask{Right: chance, Most: min(farthest, left), Price: d.model.price(&d.costs)}
}

// share decides which guesses get rows.
func (e *Engine) share(streams, own int) {
	d := &e.drafts
	if !e.cfg.always {
		d.costs.Share(d.asks, streams, own)
		return
	}
	for i := range d.asks {
		d.asks[i].Rows = d.asks[i].Most
	}
}
