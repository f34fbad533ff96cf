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
	"slices"
	"strings"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

// Load measures a server under load: `penstock bench load`.
type Load struct {
	URL            string        `help:"Server: a base such as http://127.0.0.1:8080, or an endpoint's URL." name:"url"`
	API            string        `help:"What the server speaks." enum:"auto,completions,chat,native,ollama,ollama-chat" default:"auto"`
	Model          string        `help:"Model to ask for (default: the server's first)."`
	APIKeyFile     string        `help:"File that holds the API key; -: standard input." type:"path"`
	Duration       time.Duration `help:"Send requests for this long instead of a number of them."`
	Rate           float64       `help:"Open loop: mean arrivals a second, whatever the server does."`
	RampTo         float64       `help:"Open loop: the rate grows from --rate to this over the run."`
	Burstiness     float64       `help:"Open loop: shape of the gamma-distributed gaps; 1 is Poisson, less is burstier, 0 is even." default:"1"`
	Repeats        int           `help:"Repeats of the measurement: to compare two results takes five." default:"1"`
	Sweep          bool          `help:"Measure at several loads and find the knee: rates when --rate is set, else clients."`
	Levels         []int         `help:"Sweep: these numbers of clients."`
	Lengths        []int         `help:"Sweep: random words of a prompt; every length with every number of clients."`
	SLO            []string      `help:"Objective for the goodput: ttft=500ms, tpot=50ms, itl=80ms or e2e=5s; all must be met." name:"slo"`
	Work           `embed:""`
	results.Output `embed:""`
	Progress       io.Writer `kong:"-"` // where the progress bar goes; nil: none
}

// Result is the outcome of Load, as JSON.
type Result struct {
	results.Record
	Settings map[string]any `json:"settings"`
	Summary  *Summary       `json:"summary,omitempty"` // of all repeats together
	Repeats  []Summary      `json:"repeats,omitempty"`
	Sweep    *Sweep         `json:"sweep,omitempty"`
	Samples  []load.Sample  `json:"samples,omitempty"` // of all repeats, one after the other
}

// Run measures and prints the result. It fails when the server can't be reached, when the answers allow no true figure,
// and, after printing, when requests failed.
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
		err = l.repeat(ctx, target, objectives, res)
	}
	if err != nil {
		return err
	}
	if err := l.store(res); err != nil {
		return err
	}
	return l.print(out, res)
}

// repeat measures the same load again and again. The samples of a repeat follow those of the one before in time, as if the pauses
// between them were not there.
func (l *Load) repeat(ctx context.Context, target load.Target, objectives []objective, res *Result) error {
	all := &load.Result{}
	for i := range l.Repeats {
		name := "load"
		if l.Repeats > 1 {
			name = fmt.Sprintf("repeat %d of %d", i+1, l.Repeats)
		}
		r, err := l.once(ctx, target, l.traffic(uint64(i)), name)
		if err != nil {
			return err
		}
		s, err := Summarise(r, objectives)
		if err != nil {
			return err
		}
		res.Repeats = append(res.Repeats, *s)
		for _, x := range r.Samples {
			x.Start += all.Elapsed
			all.Samples = append(all.Samples, x)
		}
		all.Elapsed += r.Elapsed
		all.CPU += r.CPU
	}
	var err error
	res.Samples = all.Samples
	res.Summary, err = Summarise(all, objectives)
	return err
}

func (l *Load) check() ([]objective, error) {
	if l.Repeats < 1 {
		return nil, errors.New("--repeats must be at least 1")
	}
	if l.URL == "" {
		return nil, errors.New("set --url, or --mock")
	}
	if err := l.Work.Check(); err != nil {
		return nil, err
	}
	if l.RampTo > 0 && l.Rate <= 0 {
		return nil, errors.New("--ramp-to needs --rate")
	}
	for _, x := range []float64{l.Rate, l.RampTo, l.Burstiness} {
		if !(x >= 0 && x <= 1e6) { // written so that NaN is refused, too
			return nil, fmt.Errorf("a rate or burstiness of %g", x)
		}
	}
	if !l.Sweep && len(l.Levels)+len(l.Lengths) > 0 || l.Rate > 0 && len(l.Levels) > 0 {
		return nil, errors.New("--levels and --lengths need --sweep, and --levels a closed loop")
	}
	if slices.ContainsFunc(slices.Concat(l.Levels, l.Lengths), func(n int) bool { return n < 1 }) {
		return nil, errors.New("--levels and --lengths: want numbers of at least 1")
	}
	if l.Requests == 0 && l.Duration == 0 {
		return nil, errors.New("set --requests or --duration")
	}
	if l.Rate == 0 && l.Concurrency == 0 {
		return nil, errors.New("a closed loop needs --concurrency of at least 1")
	}
	objectives, err := parseObjectives(l.SLO)
	if err != nil {
		return nil, err
	}
	if needsStream(objectives) && !l.Stream {
		return nil, errors.New("an objective on ttft, tpot or itl needs --stream")
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

// traffic is the load of a repeat; repeats have different prompts, so that no cache helps the later ones.
func (l *Load) traffic(repeat uint64) load.Traffic {
	p := load.Traffic{Seed: l.NextSeed() + repeat, Clients: l.Concurrency, Requests: l.Requests, Duration: l.Duration, Rate: l.Rate, RampTo: l.RampTo, Burstiness: l.Burstiness}
	if l.Duration > 0 {
		p.Requests = 0
	}
	return p
}

// once warms up and sends the load.
func (l *Load) once(ctx context.Context, target load.Target, traffic load.Traffic, name string) (*load.Result, error) {
	if n := l.WarmupRequests(); n > 0 {
		if err := Warm(ctx, &l.Work, target, n); err != nil {
			return nil, err
		}
	}
	prompts, err := l.PromptSet(traffic.Seed)
	if err != nil {
		return nil, err
	}
	bar := NewProgress(l.Progress, name, traffic.Requests)
	r, err := load.Run(ctx, target, traffic, prompts, func(*load.Sample) { bar.Step() })
	bar.End()
	return r, err
}

// Warm sends n requests that are not measured. Their prompts differ from those of the measurement, so that they fill no cache for it.
func Warm(ctx context.Context, w *Work, target load.Target, n int) error {
	prompts := load.Prompts(load.Words{Words: max(w.Words, 1), Seed: w.NextSeed() ^ 0x5bd1e995})
	target.MaxTokens = min(target.MaxTokens, 8)
	r, err := load.Run(ctx, target, load.Traffic{Clients: min(n, max(1, w.Concurrency)), Requests: n}, prompts, nil)
	if err != nil {
		return err
	}
	for i := range r.Samples {
		if r.Samples[i].OK() {
			return nil
		}
	}
	return fmt.Errorf("the warm-up failed: %s", r.Samples[0].Err)
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
		if err := res.printRepeats(out); err != nil {
			return err
		}
	}
	return res.Summary.Failures()
}

// printRepeats prints what the repeats say together, when there are several.
func (r *Result) printRepeats(out io.Writer) error {
	if len(r.Repeats) < 2 {
		return nil
	}
	rows := [][]string{{fmt.Sprintf("over %d repeats", len(r.Repeats)), "unit", "value", "95 % CI"}}
	for _, s := range r.Series() {
		if len(s.Values) == len(r.Repeats) {
			e := stats.EstimateSpeed(s.Values)
			rows = append(rows, []string{s.Name, s.Unit, fmt.Sprintf("%.4g", e.Value), results.Interval(e, "%.4g")})
		}
	}
	return results.Table(out, rows)
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
