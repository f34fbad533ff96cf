package steps

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/layers"
	"github.com/penstock-llm/penstock/internal/bench/limits"
	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/nn"
)

// Reads compares the memory that whole steps read with plain reads. Rounds of both alternate, because shared machines change their speed
// from one second to the next.
type Reads struct {
	Bytes float64   `json:"bytes"` // of weights that a step reads: of a mixture, those of the experts that its rows chose
	Steps []float64 `json:"steps_bytes_per_second"`
	Plain []float64 `json:"plain_bytes_per_second"` // of the same rounds
	Share float64   `json:"share"`                  // median of the rounds
	Best  float64   `json:"share_of_best"`          // the fastest steps, of the fastest plain reads
}

// roundsOfReads is how many rounds there are, if there are as many steps.
const roundsOfReads = 40

// round is the profile of some consecutive steps, and what plain reads reached after them.
type round struct {
	profile nn.Profile
	took    time.Duration
	plain   limits.Limits
}

// rate is the bytes of weights per second that the steps read.
func (r *round) rate() float64 { return float64(bytesRead(r.profile)) / r.took.Seconds() }

// rounds runs the steps of sequences whose prompts are computed, with plain reads in between.
func (s *Steps) rounds(ctx context.Context, x *layers.Executor, plain *limits.Reads) (all []round) {
	first, n := x.PromptLen(), s.Steps-1
	many := min(roundsOfReads, n)
	for i := 0; i < many && ctx.Err() == nil; i++ {
		lo, hi := first+n*i/many, first+n*(i+1)/many
		x.Decode(s.Batch, lo) // wakes the workers
		x.Model.SetProfile(true)
		start := time.Now()
		for pos := lo; pos < hi; pos++ {
			x.Decode(s.Batch, pos)
		}
		r := round{took: time.Since(start), profile: x.Model.Profile()}
		x.Model.SetProfile(false)
		r.plain = plain.Best(0)
		all = append(all, r)
	}
	return all
}

// fastest is the round whose steps took the least time each.
func fastest(all []round) (best round) {
	each := func(r *round) float64 { return r.took.Seconds() / float64(r.profile.Steps) }
	best = all[0]
	for i := range all {
		if each(&all[i]) < each(&best) {
			best = all[i]
		}
	}
	return best
}

// newReads compares the rounds' reads.
func newReads(all []round) *Reads {
	r := &Reads{}
	var steps, bytes, fast, plain float64
	for i := range all {
		steps += float64(all[i].profile.Steps)
		bytes += float64(bytesRead(all[i].profile))
		r.Steps, r.Plain = append(r.Steps, all[i].rate()), append(r.Plain, all[i].plain.Bandwidth)
		fast, plain = max(fast, all[i].rate()), max(plain, all[i].plain.Bandwidth)
	}
	r.Bytes, r.Share, r.Best = bytes/steps, stats.Median(stats.Ratios(r.Steps, r.Plain)), fast/plain
	return r
}

func (r *Reads) print(out io.Writer) {
	ratios := stats.Ratios(r.Steps, r.Plain)
	fmt.Fprintf(out, "a step reads %.1f MB of weights, at %.1f GB/s; plain reads between the rounds reach %.1f GB/s: %.0f %% of them (median of %d rounds, quartiles %.0f and %.0f %%; the best of each %.0f %%)\n",
		r.Bytes/1e6, stats.Median(r.Steps)/1e9, stats.Median(r.Plain)/1e9, 100*r.Share, len(ratios),
		100*stats.Quantile(ratios, 0.25), 100*stats.Quantile(ratios, 0.75), 100*r.Best)
}
