package layers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/kvcache"
)

// passes lists the forward passes of a scenario as an ideal scheduler would order them. Sequences run in waves, each as large as the
// batch: a wave first computes all its prompts, then generates one token for each sequence in every pass.
type passes struct {
	batch, prompt, gen int
	rows               int // at most in one pass
}

// pass is one forward pass: its number of rows, and the number of those whose logits are needed.
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

// Executor runs the model's forward pass at the scenario's batch, without scheduler or sampler.
type Executor struct {
	*instance.Instance
	s      *Scenario
	p      passes
	ids    []int32
	store  *kvcache.Store
	tables [][]int32 // [batch] blocks of each sequence, in every group of layers
	b      batch.Batch
}

// OpenExecutor loads the scenario's model.
func OpenExecutor(s *Scenario) (*Executor, error) {
	in, err := s.open()
	if err != nil {
		return nil, err
	}
	_, ids, err := s.prompt(in.Tokenizer)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	x := &Executor{Instance: in, s: s, ids: ids,
		p: passes{batch: s.batch(), prompt: len(ids), gen: s.Gen, rows: in.Engine.Config().StepBudget}}
	each := (len(ids) + s.Gen + kvcache.BlockTokens - 1) / kvcache.BlockTokens
	if have := in.Engine.Config().Blocks; each*x.p.batch > have {
		return nil, errors.Join(fmt.Errorf("%d sequences of %d blocks need more than the cache's %d", x.p.batch, each, have), in.Close())
	}
	// Without a scheduler no blocks are given back: the layers with a window have as many
	// as the others here.
	if x.store, err = in.Model.NewStore(kvcache.Room{Blocks: in.Engine.Config().Blocks}); err != nil {
		return nil, errors.Join(err, in.Close())
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

// PromptLen is the number of tokens of the prompt.
func (x *Executor) PromptLen() int { return len(x.ids) }

// RunEngine runs requests through the engine that the executor belongs to, with scheduler and sampler.
func (x *Executor) RunEngine(ctx context.Context, requests int) (*LayerRun, error) {
	c := &coreLayer{engine: x.Engine, s: x.s, ids: x.ids}
	return c.run(ctx, requests)
}

func (x *Executor) close() error { return x.Close() }

// Close frees the executor's memory and the instance.
func (x *Executor) Close() error { return errors.Join(x.store.Close(), x.Instance.Close()) }

func (x *Executor) run(ctx context.Context, requests int) (*LayerRun, error) {
	r := &LayerRun{Requests: requests, OK: requests, Tokens: requests * x.s.Gen, PromptTotal: requests * len(x.ids)}
	steps, rows := 0, 0
	start := time.Now()
	for left := requests; left > 0; left -= x.p.batch {
		n := min(left, x.p.batch)
		x.Prefill(n)
		for pos := len(x.ids); pos < len(x.ids)+x.s.Gen-1; pos++ {
			x.Decode(n, pos)
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

// Prefill computes the prompts of n sequences, with as many rows in each pass as the budget allows.
func (x *Executor) Prefill(n int) {
	x.b.Reset()
	x.b.Start = append(x.b.Start, 0)
	flush := func() {
		if x.b.Rows() > 0 {
			x.Model.Forward(&x.b, x.store)
		}
		x.b.Reset()
		x.b.Start = append(x.b.Start, 0)
	}
	for i := range n {
		for from := 0; from < len(x.ids); {
			k := min(len(x.ids)-from, x.p.rows-x.b.Rows())
			for pos := from; pos < from+k; pos++ {
				x.b.Tokens = append(x.b.Tokens, x.token(i, pos))
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

// token is the token of sequence i at position pos. The sequences go round the prompt, each from another place on: a dense model
// takes the same time for any tokens, but rows with equal tokens would all choose the same experts.
func (x *Executor) token(i, pos int) int32 { return x.ids[(pos+i*sequenceShift)%len(x.ids)] }

// sequenceShift is the distance, in tokens of the prompt, between the beginnings of two sequences.
const sequenceShift = 7

// Decode computes one token at position pos for each of n sequences. The tokens of the prompt are used again.
func (x *Executor) Decode(n, pos int) {
	x.b.Reset()
	x.b.Start = append(x.b.Start, 0)
	for i := range n {
		x.b.Tokens = append(x.b.Tokens, x.token(i, pos))
		x.b.Positions = append(x.b.Positions, int32(pos))
		x.b.Start = append(x.b.Start, int32(i+1))
		x.b.Blocks = append(x.b.Blocks, x.tables[i])
		x.b.Logits = append(x.b.Logits, int32(i))
	}
	x.Model.Forward(&x.b, x.store)
}
