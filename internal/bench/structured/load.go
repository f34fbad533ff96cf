package structured

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/grammar"
	"github.com/penstock-llm/penstock/internal/grammar/schema"
	"github.com/penstock-llm/penstock/internal/sample"
)

// rounds runs every lane once in each round, one after the other. Odd rounds go through the lanes backwards, so that none always
// comes after the same one. The first round, which also sets the lengths of the answers, goes forwards and is followed by itself.
func (b *bench) rounds(ctx context.Context, lanes []*Lane) error {
	for _, l := range lanes { // a round to warm up
		if _, err := b.run(ctx, l, 0); err != nil {
			return err
		}
	}
	for round := range b.Rounds {
		for k := range lanes {
			at := (round/2 + k) % len(lanes)
			if round%2 == 1 {
				at = (round/2 + len(lanes) - 1 - k) % len(lanes)
			}
			l := lanes[at]
			results.Say(b.Progress, "round %d of %d, %s", round+1, b.Rounds, l.Name)
			r, err := b.run(ctx, l, round+1)
			if err != nil {
				return fmt.Errorf("%s: %w", l.Name, err)
			}
			l.Speed = append(l.Speed, float64(r.tokens)/r.took.Seconds())
			l.CPU = append(l.CPU, r.cpu.Seconds()/float64(r.tokens))
			l.Steps = append(l.Steps, float64(r.tokens)/float64(r.steps))
			l.Length = float64(r.tokens) / float64(b.Requests)
			if len(r.intervals) > 0 {
				l.P99 = append(l.P99, stats.Quantile(r.intervals, 0.99))
			}
		}
	}
	return nil
}

// outcome is one run of a lane.
type outcome struct {
	tokens    int
	steps     int // that the sequences took part in, summed up
	took, cpu time.Duration
	intervals []float64 // ms between the tokens of free clients
}

// run has the clients of a lane send their share of the requests, each one after the other. Requests have other seeds in each round, so
// that answers are not those that the masks of a schema that is kept are from.
func (b *bench) run(ctx context.Context, l *Lane, round int) (*outcome, error) {
	clients := l.bound + l.free
	if l.bound > 0 && (b.Fresh || l.grammar == nil) {
		var err error
		if l.grammar, err = schema.Compile(l.schema, schema.Limits{Order: grammar.InOrder}); err != nil {
			return nil, err
		}
	}
	out, lengths, errs := &outcome{}, make([]int, b.Requests), make([]error, clients)
	var mu sync.Mutex
	var wait sync.WaitGroup
	start, used := time.Now(), cpu.Used()
	for c := range clients {
		wait.Go(func() {
			for i := c; i < b.Requests && errs[c] == nil; i += clients {
				var a answer
				if a, errs[c] = b.request(ctx, l, c < l.bound, i, round); errs[c] != nil {
					return
				}
				lengths[i] = a.tokens
				mu.Lock()
				out.tokens += a.tokens
				out.steps += a.steps
				out.intervals = append(out.intervals, a.intervals...)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	out.took, out.cpu = time.Since(start), cpu.Used()-used
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	if l.lengths == nil {
		l.lengths = lengths
	}
	return out, nil
}

type answer struct {
	tokens, steps int
	intervals     []float64
}

// length is after how many tokens a request's answer is cut off. The first answers of the clients have different lengths, so that from then on prompts
// come while others generate, in every lane as on a server. If all began and ended together, one schema that makes a client a step faster or slower
// would look as if it held up the others.
func (b *bench) length(i int) int {
	if i >= b.Clients {
		return b.Tokens
	}
	return max(2, b.Tokens*(i+1)/b.Clients)
}

// request sends request i of a round, bound to the grammar or free. Every one has room for a whole answer, and is cut off by its client after as many
// tokens as are asked for: near its limit a bound one would be in a hurry to end, and what is computed before the engine learns of a cut costs all alike.
func (b *bench) request(ctx context.Context, l *Lane, bound bool, i, round int) (a answer, err error) {
	seed := uint64(round*b.Requests + i + 1)
	r := engine.Request{Prompt: b.prompt, MaxTokens: -1, IgnoreEOS: !bound, Params: sample.Params{Temperature: float32(b.Temperature), TopP: 1, Seed: seed}}
	want := b.length(i)
	if l.of != nil {
		want = min(want, l.of.lengths[i])
	}
	if bound {
		r.Constraint = func() engine.Constraint { return follow(l.grammar, b.vocab, b.in.Tokenizer, l.forced) }
	}
	s, err := b.in.Engine.Submit(ctx, r)
	if err != nil {
		return a, err
	}
	defer s.Close()
	last := time.Time{}
	for n := 1; ; n++ {
		_, more, err := s.Next(ctx)
		if err != nil {
			return a, err
		}
		if !more {
			f := s.Finish()
			a.tokens, a.steps = f.Usage.Completion, f.Timings.Steps
			return a, nil
		}
		if n == want {
			s.Close()
		}
		now := time.Now()
		if !bound && !last.IsZero() {
			a.intervals = append(a.intervals, float64(now.Sub(last).Nanoseconds())/1e6)
		}
		last = now
	}
}
