package engine

import (
	"math"
	"time"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/draft"
	"github.com/penstock-llm/penstock/internal/sample"
)

// draftModel is a smaller model of the same vocabulary, which guesses what the other
// would say. Its keys and values are in blocks of its own, as many as the other has,
// and a sequence has the same ids of both: whatever the scheduler decides about one
// holds for the other. But it computes only for streams that it guesses for, so it
// remembers for which content the keys and values of a block are.
type draftModel struct {
	x       Executor
	context int
	chunk   int      // rows that it catches up by, for one stream and step
	content []uint64 // [blocks] hash of the tokens up to the block's end; 0: unknown, or not all of it is there
	pass    batch.Batch
	rows    []*Stream // [MaxBatch] streams in pass
	with    *sample.Sampler
	out     sample.Output
	unsure  float32 // log-probability below which it does not trust its own guess
	seconds float64 // that a guessed token takes; 0: not known
}

const (
	// farthest is the most tokens that are guessed by a model: each has a pass of its own.
	farthest = 8
	// presumed is what a guessed token takes until it is known, compared with a step.
	presumed = 0.35
	// each is how many tokens of a prompt may be computed for guesses for each token of
	// the answer: a short answer to a long prompt would be over before that pays.
	each, free = 8, 64
)

var likeliest = sample.Params{Logprobs: true}

func newDraftModel(e *Engine) *draftModel {
	m := &draftModel{x: e.cfg.Draft, context: e.cfg.DraftContext, content: make([]uint64, e.cfg.Blocks),
		unsure: float32(math.Log(0.4)), with: e.workers[0]}
	if e.cfg.always {
		m.unsure = float32(math.Inf(-1))
	}
	m.chunk = min(32, max(1, m.x.MaxRows()/draft.Panel))
	m.rows = make([]*Stream, 0, e.cfg.MaxBatch)
	return m
}

// price is what a guessed token costs, in the unit of the costs of steps.
func (m *draftModel) price(c *draft.Costs) float64 {
	if m.seconds > 0 && c.Known() {
		return m.seconds
	}
	return presumed * c.Of(1)
}

// ready reports whether the model can guess for a stream in this step. If much of the
// text is not computed by it, it computes a part, as far as that will pay.
func (m *draftModel) ready(s *Stream) bool {
	seq, g := s.seq, s.guesser
	if seq.Preemptions() != g.preempted { // it has other blocks
		g.preempted, g.computed, g.noted = seq.Preemptions(), 0, 0
	}
	m.find(s)
	g.computed = min(g.computed, seq.Len()-1) // the last token is computed again, for its logits
	missing := seq.Len() - g.computed
	generated := seq.Len() - seq.Prompt()
	if missing > each*generated+free || seq.Len()+farthest > m.context {
		return false
	}
	if missing <= m.chunk {
		return true
	}
	m.begin()
	m.add(s, seq.Tokens()[g.computed:g.computed+m.chunk], g.computed, false)
	m.x.Forward(&m.pass)
	g.computed += m.chunk
	m.note(s)
	return false
}

// find skips blocks whose content the model has computed, for this or another stream.
func (m *draftModel) find(s *Stream) {
	seq, g := s.seq, s.guesser
	for {
		i := g.computed / batch.BlockTokens
		hash, ok := seq.BlockHash(i)
		if !ok || hash == 0 || (i+1)*batch.BlockTokens >= seq.Len() || m.content[seq.Blocks()[i]] != hash {
			return
		}
		g.computed = (i + 1) * batch.BlockTokens
	}
}

// note remembers the content of the blocks that are computed for a stream.
func (m *draftModel) note(s *Stream) {
	seq, g := s.seq, s.guesser
	for ; (g.noted+1)*batch.BlockTokens <= g.computed; g.noted++ {
		hash, ok := seq.BlockHash(g.noted)
		if !ok {
			return
		}
		m.content[seq.Blocks()[g.noted]] = hash
	}
}

func (m *draftModel) begin() {
	clear(m.pass.Blocks)
	m.pass.Reset()
	m.pass.Start = append(m.pass.Start, 0)
}

// add gives a stream rows in the pass. What the blocks had is overwritten.
func (m *draftModel) add(s *Stream, tokens []int32, at int, logits bool) {
	b, blocks := &m.pass, s.seq.Blocks()
	for i, t := range tokens {
		b.Tokens = append(b.Tokens, t)
		b.Positions = append(b.Positions, int32(at+i))
		m.content[blocks[(at+i)/batch.BlockTokens]] = 0
	}
	s.guesser.noted = min(s.guesser.noted, at/batch.BlockTokens)
	b.Start = append(b.Start, int32(len(b.Tokens)))
	b.Blocks = append(b.Blocks, blocks)
	if logits {
		b.Logits = append(b.Logits, int32(len(b.Tokens)-1))
	}
}

// guess fills in the guesses of the streams that asked for the model's, each of as many
// tokens as it has rows for or fewer, where the model is not sure.
func (m *draftModel) guess(streams []*Stream, asks []draft.Ask) {
	for depth := 0; ; depth++ {
		m.begin()
		m.rows = m.rows[:0]
		for i, s := range streams {
			g := s.guesser
			if g.sure != draft.Model || depth >= asks[i].Rows || len(g.guess) < depth {
				continue
			}
			text := s.seq.Tokens()
			if depth == 0 {
				m.add(s, text[g.computed:], g.computed, true)
				g.computed = len(text)
				m.note(s)
			} else {
				m.add(s, g.guess[depth-1:], len(text)+depth-1, true)
			}
			m.rows = append(m.rows, s)
		}
		if len(m.rows) == 0 {
			return
		}
		start := time.Now()
		logits := m.x.Forward(&m.pass)
		m.choose(logits, depth)
		if len(m.pass.Tokens) == len(m.rows) {
			learn(&m.seconds, time.Since(start).Seconds(), 0.1)
		}
	}
}

// choose takes the likeliest token of each row, unless the model is not sure of it.
func (m *draftModel) choose(logits []float32, depth int) {
	vocab := m.x.Vocab()
	damaged := len(m.x.NotFinite()) > 0
	for i, s := range m.rows {
		g := s.guesser
		err := m.with.Sample(sample.Input{Logits: logits[i*vocab:][:vocab], Params: &likeliest}, &m.out)
		if err == nil && !damaged && m.out.Logprob >= m.unsure {
			g.list[depth] = m.out.Token
			g.guess = g.list[:depth+1]
		}
	}
	clear(m.rows)
}
