package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/cpu"
)

// Layers measures where throughput goes between the arithmetic and the client: `penstock bench layers`. Each layer runs alone,
// in a process of its own, settled and warmed up, in an order that alternates from repeat to repeat, and calls exactly what it
// names. A loss is that of a layer from the one before it, repeat by repeat.
//
//	kernel    the products of the weight matrices, at the scenario's numbers of columns
//	executor  the model's forward pass at the scenario's batches
//	core      scheduler, block manager, executor and sampler
//	handler   the HTTP handler in memory: JSON, tokenizer, everything but a socket
//	http      TCP on the loopback interface, kept connections, the load generator in another process
type Layers struct {
	Model        string        `help:"Model to measure." required:""`
	Requests     int           `help:"Requests of a run." default:"40"`
	Concurrency  int           `help:"Requests under way." default:"8"`
	Gen          int           `help:"Tokens to generate for each." default:"50"`
	PromptTokens int           `help:"Tokens of the prompt, which is repeated and cut to that length (0: as it is)." default:"32"`
	Prompt       string        `help:"Prompt." default:"人工智能是计算机科学的一个分支"`
	Temperature  float64       `help:"Sampling temperature." default:"0.7"`
	MaxBatch     int           `help:"Sequences that run at once." default:"8"`
	Ctx          int           `help:"Context of a sequence." default:"2048"`
	Threads      int           `help:"Compute threads (0: all that this process may use)."`
	Repeats      int           `help:"Repeats." default:"7"`
	Settle       time.Duration `help:"Pause before each layer; a fifth of it before each axis." default:"5s"`
	Layers       []string      `help:"Only these layers: ${enum}." enum:"kernel,executor,core,handler,http" default:"kernel,executor,core,handler,http"`
	Axes         []string      `help:"Axes of real HTTP to measure, one at a time: ${enum}; none: leave them out." enum:"none,fresh,h2c,tls,streamed,native,chat,logging,scraped,requests,httpx,openai" default:"fresh,h2c,tls,streamed,native,chat,logging,scraped,requests,httpx,openai"`
	Python       string        `help:"Python interpreter with requests, httpx and openai, for those axes (bench/peers.sh makes one)." type:"path"`
	JSON         bool          `help:"Print JSON."`
	Out          string        `help:"Also write the JSON to this file." type:"path"`
	HTML         string        `help:"Write a page with the waterfall and the distributions." name:"html" type:"path"`
	Plots        string        `help:"Draw the figures into this folder, as SVG and PNG." type:"path"`
	Progress     io.Writer     `kong:"-"`

	Executable string   `kong:"-"` // this program, which has the hidden command
	Tier       cpu.Tier `kong:"-"`
}

// LayersResult is the outcome of Layers, as JSON.
type LayersResult struct {
	Record
	Settings map[string]any `json:"settings"`
	Layers   []LayerResult  `json:"layers"`
	Axes     []LayerResult  `json:"axes"`
	Spans    *SpanTable     `json:"spans,omitempty"`
	Skipped  []string       `json:"skipped,omitempty"` // axes that could not be measured, and why
	Noise    []string       `json:"noise,omitempty"`   // differences that are smaller than the noise
}

// LayerResult is a layer, or an axis of the http layer, over all repeats.
type LayerResult struct {
	Name            string     `json:"name"`
	TokensPerSecond float64    `json:"tokens_per_second"` // median
	CI95            [2]float64 `json:"tokens_per_second_ci95"`
	MsPerToken      float64    `json:"ms_per_token"`
	CPU             float64    `json:"cpu_us_per_token"`                  // of the process that computes
	ClientCPU       float64    `json:"client_cpu_us_per_token,omitempty"` // of the load generator
	Allocs          float64    `json:"allocs_per_token,omitempty"`        // of the process that computes
	Occupancy       float64    `json:"occupancy,omitempty"`               // sequences of a step
	BusyOccupancy   float64    `json:"busy_occupancy,omitempty"`          // while requests waited
	OK              int        `json:"ok"`                                // in the worst repeat
	Requests        int        `json:"requests"`
	// Loss is 1 - speed/speed of the layer before (of an axis: of the http layer), the median of the repeats' own.
	Loss     float64    `json:"loss"`
	LossCI95 [2]float64 `json:"loss_ci95"`
	Samples  []float64  `json:"samples"` // tokens/s of each repeat

	runs []*LayerRun
}

// Run measures all repeats and prints the table.
func (l *Layers) Run(ctx context.Context, out io.Writer) error {
	s := l.scenario()
	if err := l.check(s); err != nil {
		return err
	}
	res := &LayersResult{Record: newRecord("layers")}
	for _, name := range layerNames {
		if slices.Contains(l.Layers, name) {
			res.Layers = append(res.Layers, LayerResult{Name: name})
		}
	}
	axes, skipped := l.axes()
	res.Skipped = skipped
	for _, a := range axes {
		res.Axes = append(res.Axes, LayerResult{Name: a.name})
	}
	for repeat := range l.Repeats {
		if err := l.repeat(ctx, s, repeat, axes, res); err != nil {
			return fmt.Errorf("repeat %d: %w", repeat+1, err)
		}
	}
	if err := res.conclude(); err != nil {
		return err
	}
	res.Settings = l.settings(s, res)
	if err := l.store(res); err != nil {
		return err
	}
	if l.JSON {
		if err := writeJSON(out, res); err != nil {
			return err
		}
	} else if err := res.print(out); err != nil {
		return err
	}
	return res.failures()
}

func (l *Layers) scenario() *Scenario {
	s := &Scenario{Model: l.Model, Tier: l.Tier.String(), Threads: l.Threads, MaxBatch: l.MaxBatch, Ctx: l.Ctx, Requests: l.Requests,
		Concurrency: l.Concurrency, Gen: l.Gen, PromptTokens: l.PromptTokens, Prompt: l.Prompt, Temperature: l.Temperature}
	if s.Threads == 0 {
		s.Threads = cpu.Threads()
	}
	return s
}

func (l *Layers) check(s *Scenario) error {
	if err := s.check(); err != nil {
		return err
	}
	if l.Repeats < 1 {
		return errors.New("bench: --repeats must be at least 1")
	}
	for _, name := range l.Layers {
		if !slices.Contains(layerNames, name) {
			return fmt.Errorf("bench: layer %q is not known", name)
		}
	}
	if len(l.Layers) == 0 {
		return errors.New("bench: name at least one layer")
	}
	_, err := fingerprint(s.Model)
	return err
}

// repeat measures every layer once: inwards and outwards by turns, beginning with another layer each time.
func (l *Layers) repeat(ctx context.Context, s *Scenario, repeat int, axes []axis, res *LayersResult) error {
	n := len(res.Layers)
	for k := range n {
		at := (repeat + k) % n
		if repeat%2 == 1 {
			at = n - 1 - at
		}
		layer := &res.Layers[at]
		l.say("repeat %d of %d, %s", repeat+1, l.Repeats, layer.Name)
		if err := pause(ctx, l.Settle); err != nil {
			return err
		}
		if layer.Name == "http" {
			if err := l.http(ctx, s, repeat, axes, layer, res.Axes); err != nil {
				return err
			}
			continue
		}
		var run LayerRun
		if err := process(ctx, l.Executable, layerJob{Layer: layer.Name, Scenario: *s, Warmup: s.warmup()}, &run); err != nil {
			return fmt.Errorf("%s: %w", layer.Name, err)
		}
		layer.runs = append(layer.runs, &run)
	}
	return nil
}

// warmup is one full batch: it touches all weights and buffers.
func (s *Scenario) warmup() int { return s.batch() }

func (l *Layers) say(format string, args ...any) {
	if l.Progress != nil {
		fmt.Fprintf(l.Progress, format+"\n", args...)
	}
}

// conclude computes speeds and losses. It refuses runs under unlike conditions and runs without a figure.
func (r *LayersResult) conclude() error {
	conditions, from := "", ""
	for _, list := range [][]LayerResult{r.Layers, r.Axes} {
		for i := range list {
			x := &list[i]
			for _, run := range x.runs {
				if run.Tokens <= 0 || run.Seconds <= 0 {
					return fmt.Errorf("bench: %s generated %d tokens in %g s", x.Name, run.Tokens, run.Seconds)
				}
				if conditions == "" {
					conditions, from = run.Conditions, x.Name
				}
				if run.Conditions != conditions {
					return fmt.Errorf("bench: unlike conditions, no comparison:\n%s: %s\n%s: %s", from, conditions, x.Name, run.Conditions)
				}
			}
			x.summarise()
		}
	}
	for i := 1; i < len(r.Layers); i++ {
		r.lose(&r.Layers[i], &r.Layers[i-1])
	}
	for i := range r.Axes {
		r.lose(&r.Axes[i], &r.Layers[len(r.Layers)-1]) // axes are only measured with the http layer, which is the last
	}
	if last := &r.Layers[len(r.Layers)-1]; last.Name == "http" {
		var err error
		if r.Spans, err = spanTable(last.runs); err != nil {
			return err
		}
	}
	return nil
}

func (x *LayerResult) summarise() {
	pick := func(f func(*LayerRun) float64) float64 {
		var values []float64
		for _, run := range x.runs {
			values = append(values, f(run))
		}
		return stats.Median(values)
	}
	x.Samples = nil
	x.OK = x.runs[0].OK
	x.Requests = x.runs[0].Requests
	for _, run := range x.runs {
		x.Samples = append(x.Samples, run.TokensPerSecond())
		x.OK = min(x.OK, run.OK)
	}
	e := stats.EstimateMedian(x.Samples, 1)
	x.TokensPerSecond, x.CI95 = e.Value, e.CI95
	x.MsPerToken = 1000 / x.TokensPerSecond
	x.CPU = pick(func(r *LayerRun) float64 { return r.CPU * 1e6 / float64(r.Tokens) })
	x.ClientCPU = pick(func(r *LayerRun) float64 { return r.ClientCPU * 1e6 / float64(r.Tokens) })
	x.Allocs = pick(func(r *LayerRun) float64 { return r.Allocs })
	x.Occupancy = pick(func(r *LayerRun) float64 { return r.Occupancy })
	x.BusyOccupancy = pick(func(r *LayerRun) float64 { return r.BusySeqs })
}

// lose computes what x lost from before.
func (r *LayersResult) lose(x, before *LayerResult) {
	e := stats.EstimateLoss(x.Samples, before.Samples, 1)
	x.Loss, x.LossCI95 = e.Value, e.CI95
	if !e.Excludes(0) {
		r.Noise = append(r.Noise, fmt.Sprintf("%s and %s", before.Name, x.Name))
	}
}

// failures is the error for a run in which requests failed.
func (r *LayersResult) failures() error {
	for _, list := range [][]LayerResult{r.Layers, r.Axes} {
		for _, x := range list {
			for _, run := range x.runs {
				if run.OK < run.Requests {
					return fmt.Errorf("%w: %s: %d of %d: %s", errFailures, x.Name, run.Requests-run.OK, run.Requests, run.Failure)
				}
			}
		}
	}
	return nil
}

func (l *Layers) settings(s *Scenario, res *LayersResult) map[string]any {
	m := map[string]any{"model": filepath.Base(s.Model), "tier": s.Tier, "threads": s.Threads, "max_batch": s.MaxBatch, "ctx": s.Ctx,
		"requests": s.Requests, "concurrency": s.Concurrency, "gen": s.Gen, "prompt_tokens": s.PromptTokens, "prompt": s.Prompt,
		"temperature": s.Temperature, "repeats": l.Repeats, "settle": l.Settle.String()}
	for _, x := range res.Layers {
		if len(x.runs) > 0 {
			m["conditions"] = x.runs[0].Conditions
			break
		}
	}
	return m
}

func (l *Layers) store(res *LayersResult) error {
	if l.Out != "" {
		if err := saveJSON(l.Out, res); err != nil {
			return err
		}
	}
	if l.Plots != "" {
		if err := saveFigures(l.Plots, res); err != nil {
			return err
		}
	}
	if l.HTML == "" {
		return nil
	}
	p, err := res.page()
	if err != nil {
		return err
	}
	return p.save(l.HTML)
}
