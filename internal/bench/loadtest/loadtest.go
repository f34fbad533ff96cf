// Package loadtest measures one server under load: throughput, latencies, goodput, and how they change with the load. It takes the
// samples that package load collected and makes a Summary of them, which peers uses, too. It starts no server and compares none.
// `penstock bench load` calls it.
package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

// Load measures a server under load: `penstock bench load`.
type Load struct {
	URL        string        `help:"Server: a base such as http://127.0.0.1:8080, or an endpoint's URL." name:"url"`
	API        string        `help:"What the server speaks." enum:"auto,completions,chat,native,ollama,ollama-chat" default:"auto"`
	Model      string        `help:"Model to ask for (default: the server's first)."`
	APIKeyFile string        `help:"File that holds the API key." type:"path"`
	Duration   time.Duration `help:"Send requests for this long instead of a number of them."`
	Rate       float64       `help:"Open loop: mean arrivals a second, whatever the server does."`
	RampTo     float64       `help:"Open loop: the rate grows from --rate to this over the run."`
	Burstiness float64       `help:"Open loop: shape of the gamma-distributed gaps; 1 is Poisson, less is burstier, 0 is even." default:"1"`
	Sweep      bool          `help:"Measure at several loads and find the knee: rates when --rate is set, else clients."`
	SLO        []string      `help:"Objective for the goodput: ttft=500ms, tpot=50ms, itl=80ms or e2e=5s; all must be met." name:"slo"`
	Work       `embed:""`
	JSON       bool      `help:"Print JSON."`
	Out        string    `help:"Also write the JSON, with every sample, to this file." type:"path"`
	Progress   io.Writer `kong:"-"` // where the progress bar goes; nil: none
}

// Result is the outcome of Load, as JSON.
type Result struct {
	results.Record
	Settings map[string]any `json:"settings"`
	Summary  *Summary       `json:"summary,omitempty"`
	Sweep    *Sweep         `json:"sweep,omitempty"`
	Samples  []load.Sample  `json:"samples,omitempty"`
}

// Run measures and prints the result. It fails when the server can't be reached, when a figure would be false, and, after
// printing, when requests failed.
func (l *Load) Run(ctx context.Context, out io.Writer) error {
	objectives, err := l.check()
	if err != nil {
		return err
	}
	target, err := l.detect(ctx)
	if err != nil {
		return err
	}
	res := &Result{Record: results.NewRecord("load"), Settings: l.settings(target)}
	if l.Sweep {
		res.Sweep, err = l.sweep(ctx, target, objectives)
	} else {
		res.Samples, res.Summary, err = l.once(ctx, target, l.plan(), objectives, "load")
	}
	if err != nil {
		return err
	}
	if err := l.store(res); err != nil {
		return err
	}
	return l.print(out, res)
}

func (l *Load) check() ([]objective, error) {
	if l.URL == "" {
		return nil, errors.New("bench: set --url, or --mock")
	}
	if err := l.Work.Check(); err != nil {
		return nil, err
	}
	if l.RampTo > 0 && l.Rate <= 0 {
		return nil, errors.New("bench: --ramp-to needs --rate")
	}
	for _, x := range []float64{l.Rate, l.RampTo, l.Burstiness} {
		if !(x >= 0 && x <= 1e6) { // nor no number
			return nil, fmt.Errorf("bench: a rate or burstiness of %g", x)
		}
	}
	if l.Requests == 0 && l.Duration == 0 {
		return nil, errors.New("bench: set --requests or --duration")
	}
	if l.Rate == 0 && l.Concurrency == 0 {
		return nil, errors.New("bench: a closed loop needs --concurrency of at least 1")
	}
	objectives, err := parseObjectives(l.SLO)
	if err != nil {
		return nil, err
	}
	if needsStream(objectives) && !l.Stream {
		return nil, errors.New("bench: an objective on ttft, tpot or itl needs --stream")
	}
	return objectives, nil
}

func (l *Load) detect(ctx context.Context) (load.Target, error) {
	key, err := readKey(l.APIKeyFile)
	if err != nil {
		return load.Target{}, err
	}
	t := l.Target(l.URL, load.Dialect(l.API))
	t.Model, t.APIKey = l.Model, key
	return load.Detect(ctx, t)
}

func (l *Load) plan() load.Plan {
	p := load.Plan{Clients: l.Concurrency, Requests: l.Requests, Duration: l.Duration, Rate: l.Rate, RampTo: l.RampTo, Burstiness: l.Burstiness}
	if l.Duration > 0 {
		p.Requests = 0
	}
	return p
}

// once warms up, sends the load and sums it up.
func (l *Load) once(ctx context.Context, target load.Target, plan load.Plan, objectives []objective, name string) ([]load.Sample, *Summary, error) {
	if n := l.WarmupRequests(); n > 0 {
		if err := Warm(ctx, &l.Work, target, n); err != nil {
			return nil, nil, err
		}
	}
	seed := l.NextSeed()
	plan.Seed = seed
	prompts, err := l.PromptSet(seed)
	if err != nil {
		return nil, nil, err
	}
	bar := NewProgress(l.Progress, name, plan.Requests)
	r, err := load.Run(ctx, target, plan, prompts, func(*load.Sample) { bar.Step() })
	bar.End()
	if err != nil {
		return nil, nil, err
	}
	s, err := Summarise(r, objectives)
	return r.Samples, s, err
}

// Warm sends requests that nobody counts. Their prompts are never those of the measurement.
func Warm(ctx context.Context, w *Work, target load.Target, n int) error {
	prompts := load.Prompts(load.Words{Words: max(w.Words, 1), Seed: w.NextSeed() ^ 0x5bd1e995})
	target.MaxTokens = min(target.MaxTokens, 8)
	r, err := load.Run(ctx, target, load.Plan{Clients: min(n, max(1, w.Concurrency)), Requests: n}, prompts, nil)
	if err != nil {
		return err
	}
	for i := range r.Samples {
		if r.Samples[i].OK() {
			return nil
		}
	}
	return fmt.Errorf("bench: the warm-up failed: %s", r.Samples[0].Err)
}

func (l *Load) settings(t load.Target) map[string]any {
	s := map[string]any{"url": l.URL, "api": string(t.Dialect), "model": t.Model, "stream": l.Stream, "fresh": l.Fresh, "http2": l.HTTP2,
		"requests": l.Requests, "concurrency": l.Concurrency, "gen": l.Gen, "temperature": l.Temperature, "ignore_eos": l.IgnoreEOS,
		"words": l.Words, "prefix_words": l.PrefixWords, "turns": l.Turns, "seed": l.Seed, "warmup": l.WarmupRequests()}
	if l.Prompt != "" {
		s["prompt"] = l.Prompt
	}
	if l.Prompts != "" {
		s["prompts"] = filepath.Base(l.Prompts)
	}
	if l.Rate > 0 {
		s["rate"], s["ramp_to"], s["burstiness"] = l.Rate, l.RampTo, l.Burstiness
	}
	if l.Duration > 0 {
		s["duration"] = l.Duration.String()
	}
	return s
}

func (l *Load) store(res *Result) error {
	if l.Out == "" {
		return nil
	}
	return results.SaveJSON(l.Out, res)
}

func (l *Load) print(out io.Writer, res *Result) error {
	if l.JSON {
		brief := *res
		brief.Samples = nil
		if err := results.WriteJSON(out, brief); err != nil {
			return err
		}
	}
	if res.Sweep != nil {
		if l.JSON {
			return nil
		}
		return res.Sweep.print(out)
	}
	if !l.JSON {
		if err := res.Summary.print(out); err != nil {
			return err
		}
	}
	return res.Summary.Failures()
}

func (s *Summary) print(out io.Writer) error {
	fmt.Fprintf(out, "%d of %d requests succeeded in %.2f s, %.1f under way on average\n", s.OK, s.Requests, s.Seconds, s.Concurrency)
	for text, n := range s.Errors {
		fmt.Fprintf(out, "  %d failed: %s\n", n, text)
	}
	if s.Resent > 0 {
		fmt.Fprintf(out, "  %d sent again because the server had closed the kept connection\n", s.Resent)
	}
	fmt.Fprintf(out, "output %.1f tokens/s, prompt %.1f tokens/s, %.2f requests/s\n", s.TokensPerSecond, s.PromptTokensPerSecond, s.RequestsPerSecond)
	fmt.Fprintf(out, "tokens: %d prompt (%d cached), %d output\n", s.PromptTokens, s.CachedTokens, s.OutputTokens)
	rows := [][]string{{"ms", "mean", "p50", "p90", "p99", "max"}}
	for _, d := range []struct {
		name string
		d    *stats.Distribution
	}{{"TTFT", s.TTFT}, {"ITL", s.ITL}, {"TPOT", s.TPOT}, {"E2E", &s.E2E}, {"late", s.Late}} {
		if d.d != nil {
			rows = append(rows, append([]string{d.name}, milliseconds(d.d.Mean, d.d.P50, d.d.P90, d.d.P99, d.d.Max)...))
		}
	}
	if err := results.Table(out, rows); err != nil {
		return err
	}
	if g := s.Goodput; g != nil {
		fmt.Fprintf(out, "goodput %.2f requests/s: %d of %d met %s\n", g.RequestsPerSecond, g.Met, s.Requests, strings.Join(g.Objectives, ", "))
	}
	_, err := fmt.Fprintf(out, "client: %.1f CPU-µs per token\n", s.ClientCPUPerToken)
	return err
}

func milliseconds(values ...float64) []string {
	var out []string
	for _, v := range values {
		out = append(out, fmt.Sprintf("%.2f", v))
	}
	return out
}
