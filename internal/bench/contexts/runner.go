package contexts

import (
	"errors"
	"fmt"
	"time"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/nn"
	"github.com/penstock-llm/penstock/internal/quant"
)

// samples is how many chunks of a long prompt are measured. A chunk's time grows evenly with what it sees, so that evenly spaced ones
// have the mean of all.
const samples = 9

// runner is a model with a full cache, and tables of its blocks.
type runner struct {
	in     *instance.Instance
	store  *kvcache.Store
	rows   int // of a chunk of a prompt
	b      batch.Batch
	own    [][]int32 // [batch] blocks of each sequence
	shared [][]int32 // [batch] the same, but all begin with one prefix
	long   []int32   // of the long context
}

// open loads the model, and fills a cache for it. What is in the cache is not what the tokens would give: the arithmetic takes the same
// time for all of it.
func (c *Contexts) open() (*runner, error) {
	instance.Tune(c.Threads)
	in, err := instance.Open(c.Model, instance.Options{Tier: c.Tier, Threads: c.Threads, MaxBatch: c.Batch, KV: c.KVType, NoPrefix: true, NoGuesses: true})
	if err != nil {
		return nil, err
	}
	if have := in.Model.Config().Context; c.Long > have {
		return nil, errors.Join(fmt.Errorf("--long %d: the model was made for %d positions", c.Long, have), in.Close())
	}
	r := &runner{in: in, rows: in.Engine.Config().StepBudget}
	each := blocksOf(c.Ctx + c.Short + 1)
	total := max(c.Batch*each, blocksOf(c.Long+1))
	if r.store, err = in.Model.NewStore(kvcache.Room{Blocks: total}); err != nil {
		return nil, errors.Join(err, in.Close())
	}
	r.long = consecutive(0, total)
	prefix := c.Ctx / kvcache.BlockTokens
	for i := range c.Batch {
		own := consecutive(i*each, each)
		r.own = append(r.own, own)
		r.shared = append(r.shared, append(consecutive(0, prefix), own[prefix:]...))
	}
	r.fill(min(r.rows, c.Long), total)
	return r, nil
}

func blocksOf(tokens int) int { return (tokens + kvcache.BlockTokens - 1) / kvcache.BlockTokens }

func consecutive(from, n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(from + i)
	}
	return ids
}

func (r *runner) close() error { return errors.Join(r.store.Close(), r.in.Close()) }

// fill computes the first n tokens of a prompt, and copies their blocks over all others.
func (r *runner) fill(n, blocks int) {
	r.chunk(0, n)
	filled := n / kvcache.BlockTokens
	for g := range batch.Groups {
		cache := r.store.Cache(g)
		if cache == nil || cache.Config().Type == quant.F32 || filled == 0 {
			continue
		}
		stride := cache.Stride()
		place := func(b int) int { return (b/cache.Run()*cache.Pitch() + b%cache.Run()) * stride }
		for layer := range cache.Config().Layers {
			for head := range cache.Config().KVHeads {
				for _, mem := range [][]byte{cache.Keys(layer, head), cache.Values(layer, head)} {
					for b := filled; b < blocks; b++ {
						copy(mem[place(b):][:stride], mem[place(b%filled):][:stride])
					}
				}
			}
		}
	}
}

func (r *runner) begin() {
	r.b.Reset()
	r.b.Start = append(r.b.Start, 0)
}

// add appends n rows of a sequence, from position pos on, of which the last has logits.
func (r *runner) add(pos, n int, table []int32) {
	for p := pos; p < pos+n; p++ {
		r.b.Tokens = append(r.b.Tokens, int32((p*31+17)%r.in.Model.Config().Vocab))
		r.b.Positions = append(r.b.Positions, int32(p))
	}
	r.b.Start = append(r.b.Start, int32(r.b.Rows()))
	r.b.Blocks = append(r.b.Blocks, table)
	r.b.Logits = append(r.b.Logits, int32(r.b.Rows()-1))
}

// run computes the batch, and says how long that took.
func (r *runner) run() time.Duration {
	start := time.Now()
	r.in.Model.Forward(&r.b, r.store)
	return time.Since(start)
}

// decode computes one token at position pos for n sequences, several times, and returns tokens a second by the median.
func (r *runner) decode(n, pos int, tables [][]int32, steps int) float64 {
	times := make([]float64, steps)
	for i := range times {
		r.begin()
		for seq := range n {
			r.add(pos, 1, tables[seq])
		}
		times[i] = r.run().Seconds()
	}
	return float64(n) / stats.Median(times)
}

func (r *runner) chunk(pos, n int) time.Duration {
	r.begin()
	r.add(pos, n, r.long)
	return r.run()
}

// prompt returns tokens a second of a prompt of n tokens: of all its chunks, or of some if there are many.
func (r *runner) prompt(n int) float64 {
	if n <= samples*r.rows {
		var took time.Duration
		for pos := 0; pos < n; pos += r.rows {
			took += r.chunk(pos, min(r.rows, n-pos))
		}
		return float64(n) / took.Seconds()
	}
	var took time.Duration
	for i := range samples {
		took += r.chunk((n-r.rows)*i/(samples-1), r.rows)
	}
	return samples * float64(r.rows) / took.Seconds()
}

// share is the part of a step of n sequences that attention takes.
func (r *runner) share(n, pos, steps int) float64 {
	r.in.Model.SetProfile(true)
	start := time.Now()
	r.decode(n, pos, r.own, steps)
	took := time.Since(start)
	p := r.in.Model.Profile()
	r.in.Model.SetProfile(false)
	return p.Work[nn.KindAttention].Time.Seconds() / took.Seconds()
}
