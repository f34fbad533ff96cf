// Package steps takes a model's steps apart by kind of work, such as attention or sampling, and says what share of the machine's
// limits each kind reaches. It measures the forward pass and the engine of package layers, no HTTP. `penstock bench steps` calls it.
package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/layers"
	"github.com/penstock-llm/penstock/internal/bench/limits"
	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/nn"
)

// Steps takes a model's steps apart by kind of work, and says what share of the machine's limits each reaches:
// `penstock bench steps`.
type Steps struct {
	Model          string       `help:"Model to measure." required:""`
	Batch          int          `help:"Sequences of a step." default:"8"`
	Ctx            int          `help:"Tokens that each sequence has before the step." default:"64"`
	Steps          int          `help:"Steps to measure." default:"60"`
	Prefill        int          `help:"Also measure the prefill of a prompt of so many tokens (0: not)." default:"512"`
	Threads        int          `help:"Compute threads (0: all that this process may use)."`
	KVType         model.KVType `name:"kv-type" help:"Numbers of the KV cache: i16, f16 or q8." default:"i16"`
	results.Output `embed:""`
	Tier           cpu.Tier  `kong:"-"`
	Progress       io.Writer `kong:"-"`
}

// Result is the outcome of Steps, as JSON.
type Result struct {
	results.Record
	Settings map[string]any `json:"settings"`
	Limits   limits.Limits  `json:"limits"`
	Decode   *StepTable     `json:"decode"`
	Reads    *Reads         `json:"reads"` // of the decode
	Prefill  *StepTable     `json:"prefill,omitempty"`
}

// StepTable is where the time of some steps went.
type StepTable struct {
	Name            string    `json:"name"`
	Steps           int64     `json:"steps"`
	Rows            int64     `json:"rows"`
	TokensPerSecond float64   `json:"tokens_per_second"` // of the forward pass alone
	Work            []StepRow `json:"work"`
}

// StepRow is one kind of work. Times are per step.
type StepRow struct {
	Kind       string  `json:"kind"`
	Time       float64 `json:"us"`
	Wait       float64 `json:"wait_us"` // part of the time that a worker waited at barriers, mean
	Share      float64 `json:"share"`   // of the step
	Bytes      float64 `json:"bytes_per_second,omitempty"`
	Ops        float64 `json:"ops_per_second,omitempty"`
	BytesShare float64 `json:"bytes_share,omitempty"`
	OpsShare   float64 `json:"ops_share,omitempty"`
}

// Run profiles and prints.
func (s *Steps) Run(ctx context.Context, out io.Writer) error {
	if s.Batch < 1 || s.Ctx < 1 || s.Steps < 2 || s.Prefill < 0 {
		return errors.New("--batch and --ctx must be at least 1, --steps at least 2")
	}
	sc := &layers.Scenario{Model: s.Model, Tier: s.Tier.String(), Threads: s.Threads, MaxBatch: s.Batch, Requests: s.Batch, Concurrency: s.Batch,
		Gen: s.Steps, PromptTokens: s.Ctx, Prompt: layers.PlainPrompt, KV: s.KVType}
	if sc.Threads == 0 {
		sc.Threads = cpu.Threads()
	}
	if err := sc.Check(); err != nil {
		return err
	}
	res := &Result{Record: results.NewRecord("steps"), Settings: map[string]any{"model": filepath.Base(s.Model), "tier": sc.Tier, "threads": sc.Threads,
		"batch": s.Batch, "ctx": s.Ctx, "steps": s.Steps, "prefill": s.Prefill, "kv_type": s.KVType}}
	results.Say(s.Progress, "%d steps of %d sequences", s.Steps, s.Batch)
	if err := s.decode(ctx, sc, res); err != nil {
		return err
	}
	if s.Prefill > 0 {
		results.Say(s.Progress, "a prompt of %d tokens", s.Prefill)
		if err := s.prefill(ctx, *sc, res); err != nil {
			return err
		}
	}
	return s.Deliver(out, res, res.print)
}

// decode profiles forward passes with one token for each sequence, beside plain reads of memory. Then it runs the same in the engine, for the time of the sampler and of
// everything else in a step.
func (s *Steps) decode(ctx context.Context, sc *layers.Scenario, res *Result) error {
	x, err := layers.OpenExecutor(sc)
	if err != nil {
		return err
	}
	defer x.Close()
	x.Prefill(s.Batch)
	x.Decode(s.Batch, x.PromptLen()) // wakes the workers, so that the limits are measured under the same conditions
	x.Model.SetProfile(true)
	x.Decode(s.Batch, x.PromptLen())
	// The same weights are read in every step. How fast depends on whether they fit into a cache.
	weights := bytesRead(x.Model.Profile())
	res.Limits = limits.Probe(s.Tier, sc.Threads, weights)
	x.Model.SetProfile(false)
	plain, err := limits.NewReads(s.Tier, sc.Threads, weights)
	if err != nil {
		return err
	}
	rounds := s.rounds(ctx, x, plain)
	plain.Close()
	if err := ctx.Err(); err != nil {
		return err
	}
	res.Limits = res.Limits.Best(limits.Probe(s.Tier, sc.Threads, weights))
	for i := range rounds {
		res.Limits = res.Limits.Best(rounds[i].plain)
	}
	res.Reads = newReads(rounds)
	best := fastest(rounds)
	name := fmt.Sprintf("decode, batch %d, context %d, the fastest of %d rounds", s.Batch, x.PromptLen(), len(rounds))
	res.Decode = stepTable(name, best.profile, best.took, res.Limits)
	before := x.Engine.Stats()
	if _, err := x.RunEngine(ctx, s.Batch); err != nil {
		return err
	}
	after := x.Engine.Stats()
	steps := float64(after.Steps - before.Steps)
	if steps == 0 {
		return errors.New("the engine took no step")
	}
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / steps }
	sampling, all, forward := us(after.SampleTime-before.SampleTime), us(after.StepTime-before.StepTime), us(after.ForwardTime-before.ForwardTime)
	res.Decode.Work = append(res.Decode.Work, StepRow{Kind: "sampling", Time: sampling}, StepRow{Kind: "updating and delivering", Time: all - forward - sampling})
	res.Decode.share()
	return nil
}

// prefill profiles one prompt.
func (s *Steps) prefill(ctx context.Context, sc layers.Scenario, res *Result) error {
	sc.PromptTokens, sc.MaxBatch, sc.Requests, sc.Concurrency, sc.Gen = s.Prefill, 1, 1, 1, 2
	x, err := layers.OpenExecutor(&sc)
	if err != nil {
		return err
	}
	defer x.Close()
	x.Prefill(1)
	x.Model.SetProfile(true)
	start := time.Now()
	const times = 3
	for range times {
		x.Prefill(1)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	took := time.Since(start)
	res.Prefill = stepTable(fmt.Sprintf("prefill of %d tokens", x.PromptLen()), x.Model.Profile(), took, res.Limits)
	res.Prefill.share()
	return nil
}

// bytesRead is the memory that the steps of p read of the weights.
func bytesRead(p nn.Profile) (sum int) {
	for _, w := range p.Work {
		sum += int(w.Bytes)
	}
	return sum
}

func stepTable(name string, p nn.Profile, took time.Duration, lim limits.Limits) *StepTable {
	t := &StepTable{Name: name, Steps: p.Steps, Rows: p.Rows, TokensPerSecond: float64(p.Rows) / took.Seconds()}
	steps := float64(max(p.Steps, 1))
	var known time.Duration
	for _, k := range nn.Kinds() {
		w := p.Work[k]
		known += w.Time
		r := StepRow{Kind: k.String(), Time: w.Time.Seconds() * 1e6 / steps, Wait: w.Wait.Seconds() * 1e6 / steps}
		if w.Time > 0 {
			r.Bytes, r.Ops = float64(w.Bytes)/w.Time.Seconds(), float64(w.Ops)/w.Time.Seconds()
			r.BytesShare = r.Bytes / lim.Bandwidth
			if lim.Ops > 0 {
				r.OpsShare = r.Ops / lim.Ops
			}
		}
		t.Work = append(t.Work, r)
	}
	t.Work = append(t.Work, StepRow{Kind: "between operations", Time: (took - known).Seconds() * 1e6 / steps})
	return t
}

// share computes each kind's share of the step.
func (t *StepTable) share() {
	var sum float64
	for _, r := range t.Work {
		sum += r.Time
	}
	for i := range t.Work {
		if sum > 0 {
			t.Work[i].Share = t.Work[i].Time / sum
		}
	}
}

func (t *StepTable) print(out io.Writer) error {
	fmt.Fprintf(out, "%s: %.1f tokens/s in the forward pass\n", t.Name, t.TokensPerSecond)
	rows := [][]string{{"work", "µs a step", "share", "waiting", "GB/s", "of reads", "GOPS", "of the ceiling"}}
	var sum, wait float64
	for _, r := range t.Work {
		sum += r.Time
		wait += r.Wait
		row := []string{r.Kind, fmt.Sprintf("%.1f", r.Time), fmt.Sprintf("%.1f %%", 100*r.Share), "-", "-", "-", "-", "-"}
		if r.Wait > 0 {
			row[3] = fmt.Sprintf("%.1f", r.Wait)
		}
		if r.Ops > 0 {
			row[4], row[5] = fmt.Sprintf("%.1f", r.Bytes/1e9), fmt.Sprintf("%.0f %%", 100*r.BytesShare)
			row[6] = fmt.Sprintf("%.0f", r.Ops/1e9)
			if r.OpsShare > 0 {
				row[7] = fmt.Sprintf("%.0f %%", 100*r.OpsShare)
			}
		}
		rows = append(rows, row)
	}
	rows = append(rows, []string{"all", fmt.Sprintf("%.1f", sum), "100 %", fmt.Sprintf("%.1f", wait)})
	return results.Table(out, rows)
}

func (r *Result) print(out io.Writer) error {
	if err := r.Decode.print(out); err != nil {
		return err
	}
	r.Reads.print(out)
	if r.Prefill != nil {
		fmt.Fprintln(out)
		if err := r.Prefill.print(out); err != nil {
			return err
		}
	}
	return r.Limits.Print(out)
}

func (r *Result) Conditions() map[string]any { return r.Settings }

func (r *Result) Series() []results.Series {
	var out []results.Series
	for _, t := range []*StepTable{r.Decode, r.Prefill} {
		if t == nil {
			continue
		}
		for _, w := range t.Work {
			out = append(out, results.Series{Name: strings.Split(t.Name, " ")[0] + ": " + w.Kind, Unit: "µs a step", Lower: true, Values: []float64{w.Time}})
		}
	}
	if r.Reads != nil {
		out = append(out, results.Series{Name: "decode: of plain reads", Unit: "share", Values: stats.Ratios(r.Reads.Steps, r.Reads.Plain)})
	}
	return out
}

func (r *Result) Headline() string {
	text := fmt.Sprintf("%s: %.0f tokens/s", r.Decode.Name, r.Decode.TokensPerSecond)
	if r.Prefill != nil {
		text += fmt.Sprintf("; %s: %.0f tokens/s", r.Prefill.Name, r.Prefill.TokensPerSecond)
	}
	return text
}
