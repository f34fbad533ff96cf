package engine

import (
	"errors"

	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/sched"
)

// ErrNoStates is what Submit refuses a request for an embedding with where the
// executor cannot show hidden states.
var ErrNoStates = errors.New("the model shows no hidden states")

// stater is an Executor that shows the final hidden state of row b.Hidden[i] of the
// last batch: [Dim], valid until the next call of Forward.
type stater interface {
	Hidden(i int) []float32
	Dim() int
}

// finisher is an Executor that turns the pooled states of a text into its embedding,
// or into the scores of its labels.
type finisher interface {
	Finish(pooled []float32) []float32
}

// pooled collects the hidden states of a sequence that wants an embedding. They come
// in the order of their positions, each once, whatever chunks the prompt is computed
// in: so the sum has the same bits every time.
type pooled struct {
	sum       []float64 // [Dim]
	rows      int
	embedding []float32 // [Dim]
}

func newPooled(dim int) *pooled {
	return &pooled{sum: make([]float64, dim), embedding: make([]float32, dim)}
}

// hiddenOf is the rows of a prompt that its embedding is made of.
func hiddenOf(p model.Pooling, prompt int) sched.Range {
	switch p {
	case model.MeanPooling:
		return sched.Range{From: 0, To: prompt}
	case model.FirstPooling:
		return sched.Range{From: 0, To: 1}
	case model.LastPooling:
		return sched.Range{From: prompt - 1, To: prompt}
	}
	return sched.Range{}
}

// pool adds the hidden states of a step to their sequences' sums.
func (e *Engine) pool(plan *sched.Plan) {
	if len(plan.Batch.Hidden) == 0 {
		return
	}
	x := e.x.(stater) // Submit has seen to it
	for i := range plan.Entries {
		entry := &plan.Entries[i]
		if entry.Seq.Reason() != sched.Running {
			continue
		}
		p := owner(entry.Seq).pooled
		for k := range entry.States {
			for d, v := range x.Hidden(entry.Hidden + k) {
				p.sum[d] += float64(v)
			}
			p.rows++
		}
	}
}

// embed is a text's embedding, once all its rows are pooled.
func (e *Engine) embed(p *pooled) ([]float32, error) {
	v := p.mean()
	if x, ok := e.x.(finisher); ok {
		v = x.Finish(v)
	}
	if !finite(v) {
		return nil, ErrNotFinite
	}
	return v, nil
}

// finite says that a vector has no NaN and no infinity.
func finite(x []float32) bool {
	for _, v := range x {
		if v-v != 0 {
			return false
		}
	}
	return true
}

// mean is the embedding once all rows are there.
func (p *pooled) mean() []float32 {
	for d, v := range p.sum {
		p.embedding[d] = float32(v / float64(p.rows))
	}
	return p.embedding
}
