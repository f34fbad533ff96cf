package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/kvcache"
)

// passes lists the forward passes of a scenario without a scheduler: waves of as many sequences as run together; each wave
// first takes in its prompts, then generates a token a step. It is what a perfect scheduler would have the executor do.
type passes struct {
	batch, prompt, gen int
	rows               int // of a pass, at most
}

// pass is one forward pass: so many rows, of which so many want logits.
type pass struct{ rows, logits int }

// wave lists the passes of n sequences.
func (p passes) wave(n int) []pass {
	var out []pass
	rows, wanted := 0, 0
	for range n {
		for left := p.prompt; left > 0; {
			k := min(left, p.rows-rows)
			left -= k
			rows += k
			if left == 0 {
				wanted++
			}
			if rows == p.rows {
				out = append(out, pass{rows, wanted})
				rows, wanted = 0, 0
			}
		}
	}
	if rows > 0 {
		out = append(out, pass{rows, wanted})
	}
	for range p.gen - 1 {
		out = append(out, pass{n, n})
	}
	return out
}

// executorLayer is the model's forward pass at the batch of the scenario: no scheduler, no sampler.
type executorLayer struct {
	*instance.Instance
	s      *Scenario
	p      passes
	ids    []int32
	tables [][]int32 // [batch] blocks of each sequence
	b      batch.Batch
}

func newExecutorLayer(s *Scenario) (measurable, error) {
	in, err := s.open()
	if err != nil {
		return nil, err
	}
	_, ids, err := s.prompt(in.Tokenizer)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	x := &executorLayer{Instance: in, s: s, ids: ids,
		p: passes{batch: s.batch(), prompt: len(ids), gen: s.Gen, rows: in.Engine.Config().StepBudget}}
	each := (len(ids) + s.Gen + kvcache.BlockTokens - 1) / kvcache.BlockTokens
	if have := in.Engine.Config().Blocks; each*x.p.batch > have {
		return nil, errors.Join(fmt.Errorf("bench: %d sequences of %d blocks need more than the cache's %d", x.p.batch, each, have), in.Close())
	}
	for i := range x.p.batch {
		table := make([]int32, each)
		for j := range table {
			table[j] = int32(i*each + j)
		}
		x.tables = append(x.tables, table)
	}
	return x, nil
}

func (x *executorLayer) close() error { return x.Close() }

func (x *executorLayer) run(ctx context.Context, requests int) (*LayerRun, error) {
	r := &LayerRun{Requests: requests, OK: requests, Tokens: requests * x.s.Gen, PromptTotal: requests * len(x.ids)}
	steps, rows := 0, 0
	start := time.Now()
	for left := requests; left > 0; left -= x.p.batch {
		n := min(left, x.p.batch)
		x.prefill(n)
		for pos := len(x.ids); pos < len(x.ids)+x.s.Gen-1; pos++ {
			x.decode(n, pos)
			steps, rows = steps+1, rows+n
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	r.Seconds = time.Since(start).Seconds()
	if steps > 0 {
		r.Occupancy = float64(rows) / float64(steps)
	}
	return r, nil
}

// prefill runs the prompts of n sequences, as many rows a pass as the budget allows.
func (x *executorLayer) prefill(n int) {
	x.b.Reset()
	x.b.Start = append(x.b.Start, 0)
	flush := func() {
		if x.b.Rows() > 0 {
			x.Model.Forward(&x.b, x.Cache)
		}
		x.b.Reset()
		x.b.Start = append(x.b.Start, 0)
	}
	for i := range n {
		for from := 0; from < len(x.ids); {
			k := min(len(x.ids)-from, x.p.rows-x.b.Rows())
			for pos := from; pos < from+k; pos++ {
				x.b.Tokens = append(x.b.Tokens, x.ids[pos])
				x.b.Positions = append(x.b.Positions, int32(pos))
			}
			from += k
			x.b.Start = append(x.b.Start, int32(x.b.Rows()))
			x.b.Blocks = append(x.b.Blocks, x.tables[i])
			if from == len(x.ids) {
				x.b.Logits = append(x.b.Logits, int32(x.b.Rows()-1))
			}
			if x.b.Rows() == x.p.rows {
				flush()
			}
		}
	}
	flush()
}

// decode runs one token of each of n sequences. Which token is all the same to the arithmetic: the prompt's, over and over.
func (x *executorLayer) decode(n, pos int) {
	x.b.Reset()
	x.b.Start = append(x.b.Start, 0)
	for i := range n {
		x.b.Tokens = append(x.b.Tokens, x.ids[pos%len(x.ids)])
		x.b.Positions = append(x.b.Positions, int32(pos))
		x.b.Start = append(x.b.Start, int32(i+1))
		x.b.Blocks = append(x.b.Blocks, x.tables[i])
		x.b.Logits = append(x.b.Logits, int32(i))
	}
	x.Model.Forward(&x.b, x.Cache)
}
