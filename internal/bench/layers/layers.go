// Package layers measures where throughput goes between the model's arithmetic and the client. A Scenario is the work; each layer
// does all of it, the kernels alone, the forward pass, the engine, the HTTP handler, real HTTP, each in a process of its own
// (Layers), and the axes of real HTTP are ways in which a client may differ. Mock measures the front end over an executor that
// computes nothing. The package does not take a step apart: that is package steps. `penstock bench layers` and `penstock bench
// mock` call it, and start the hidden `penstock bench layer`.
package layers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/cpu"
)

// Layers measures where throughput goes between the arithmetic and the client: `penstock bench layers`. Each layer runs in a
// process of its own and calls exactly what its name says. A repeat starts the processes of all layers, waits until the machine has
// settled, and then measures in rounds: every layer once, one at a time, while the processes of the others idle. A shared machine
// changes its speed within seconds, so that every run stands between two short probes of that speed, and speeds are adjusted for the
// probes before layers are compared. The loss of a layer is what its speed lacks to that of the layer before it in the same rounds.
//
//	kernel    the products of the weight matrices, at the scenario's numbers of columns
//	executor  the model's forward pass at the scenario's batches
//	core      scheduler, block manager, executor and sampler
//	handler   the HTTP handler in memory: JSON, tokenizer, everything but a socket
//	http      TCP on the loopback interface, kept connections, the load generator in another process
type Layers struct {
	Model          string        `help:"Model to measure." required:""`
	Requests       int           `help:"Requests of a run." default:"40"`
	Concurrency    int           `help:"Requests under way." default:"8"`
	Gen            int           `help:"Tokens to generate for each." default:"50"`
	PromptTokens   int           `help:"Tokens of the prompt, which is repeated and cut to that length (0: as it is)." default:"32"`
	Prompt         string        `help:"Prompt." default:"人工智能是计算机科学的一个分支"`
	Temperature    float64       `help:"Sampling temperature." default:"0.7"`
	MaxBatch       int           `help:"Sequences that run at once." default:"8"`
	Ctx            int           `help:"Context of a sequence." default:"2048"`
	Threads        int           `help:"Compute threads (0: all that this process may use)."`
	Repeats        int           `help:"Repeats, each with new processes." default:"7"`
	Rounds         int           `help:"Rounds of a repeat; each measures every layer and axis once." default:"2"`
	Settle         time.Duration `help:"Pause before each repeat, when its processes are loaded; a 25th of it before each run." default:"5s"`
	Layers         []string      `help:"Only these layers: ${enum}." enum:"kernel,executor,core,handler,http" default:"kernel,executor,core,handler,http"`
	Axes           []string      `help:"Axes of real HTTP to measure, one at a time: ${enum}; none: leave them out." enum:"none,fresh,h2c,tls,streamed,native,chat,crowded,logging,scraped,requests,httpx,openai" default:"fresh,h2c,tls,streamed,native,chat,crowded,logging,scraped,requests,httpx,openai"`
	Python         string        `help:"Python interpreter with requests, httpx and openai, for those axes (bench/peers.sh makes one)." type:"path"`
	Peer           []string      `help:"Another server whose core and HTTP to measure in the same rounds: llama-server=BINARY, with llama-batched-bench beside it."`
	Floors         string        `help:"JSON file of the shares of the layer before, or of core, that must be reached." type:"path"`
	results.Output `embed:""`
	Progress       io.Writer `kong:"-"`

	Executable string   `kong:"-"` // this program, to start its hidden command
	Tier       cpu.Tier `kong:"-"`
}

// Result is the outcome of Layers, as JSON.
type Result struct {
	results.Record
	Settings map[string]any `json:"settings"`
	Layers   []LayerResult  `json:"layers"`
	Axes     []LayerResult  `json:"axes"`
	Peers    []PeerLayers   `json:"peers,omitempty"`
	Spans    *SpanTable     `json:"spans,omitempty"`
	Floors   []LayerFloor   `json:"floors,omitempty"`
	Skipped  []string       `json:"skipped,omitempty"` // axes that could not be measured, and why
	Noise    []string       `json:"noise,omitempty"`   // differences that are smaller than the noise
	Notes    []string       `json:"notes,omitempty"`   // whatever else a reader must know
	Slope    float64        `json:"machine_slope"`     // how far a run's speed follows the probes': 1 in proportion, 0 not at all
}

// LayerResult is a layer, or an axis of the http layer, over all repeats.
type LayerResult struct {
	Name            string     `json:"name"`
	Repeats         int        `json:"repeats"`           // independent repeats; with fewer than stats.MinRepeats there are no intervals
	TokensPerSecond float64    `json:"tokens_per_second"` // mean of the repeats
	CI95            [2]float64 `json:"tokens_per_second_ci95,omitzero"`
	MsPerToken      float64    `json:"ms_per_token"`
	CPU             float64    `json:"cpu_us_per_token"`                  // of the process that computes
	ClientCPU       float64    `json:"client_cpu_us_per_token,omitempty"` // of the load generator
	Allocs          float64    `json:"allocs_per_token,omitempty"`        // of the process that computes
	Occupancy       float64    `json:"occupancy,omitempty"`               // mean number of sequences in a step
	BusyOccupancy   float64    `json:"busy_occupancy,omitempty"`          // the same, of the steps before which requests waited
	OK              int        `json:"ok"`                                // requests that succeeded, in the worst run
	Requests        int        `json:"requests"`
	Prompt          int        `json:"prompt_tokens,omitempty"`  // of one request, where the layer reports it
	Idle            float64    `json:"idle_cpu_share,omitempty"` // share of one core that the process used while others were measured, at most
	// Loss is 1 - r, where r is the speed divided by that of the layer before it, or of the http layer for an axis.
	Loss     float64         `json:"loss"`
	LossCI95 [2]float64      `json:"loss_ci95,omitzero"`
	OfCore   *stats.Estimate `json:"of_core,omitempty"` // the speed divided by core's
	Samples  []float64       `json:"samples"`           // tokens/s of each round; those of a repeat stand together
	Machine  []float64       `json:"machine"`           // the machine's speed at each sample: tokens/s of the probes around it
	Again    int             `json:"measured_again"`    // runs that were measured again because the machine's speed changed meanwhile

	runs []*LayerRun
}

// Run measures all repeats and prints the table.
func (l *Layers) Run(ctx context.Context, out io.Writer) error {
	s := l.scenario()
	if err := l.check(s); err != nil {
		return err
	}
	floors, err := results.ReadLayerFloors(l.Floors, filepath.Base(s.Model))
	if err != nil {
		return err
	}
	res := &Result{Record: results.NewRecord("layers"), Axes: []LayerResult{}}
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
	if res.Peers, err = l.peers(); err != nil {
		return err
	}
	for repeat := range l.Repeats {
		if err := l.repeat(ctx, s, repeat, axes, res); err != nil {
			return fmt.Errorf("repeat %d: %w", repeat+1, err)
		}
	}
	if err := res.conclude(l.Rounds); err != nil {
		return err
	}
	res.hold(floors)
	res.Settings = l.settings(s, res)
	err = l.Deliver(out, res, res.print)
	return errors.Join(err, res.failures(), res.missed())
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
	if err := s.Check(); err != nil {
		return err
	}
	if l.Repeats < 1 || l.Rounds < 1 {
		return errors.New("--repeats and --rounds must be at least 1")
	}
	if l.Floors != "" && l.Repeats < stats.MinRepeats {
		return fmt.Errorf("--floors needs --repeats of at least %d: fewer say nothing about a floor", stats.MinRepeats)
	}
	if len(l.Peer) > 0 && s.PromptTokens == 0 {
		return errors.New("--peer needs --prompt-tokens")
	}
	for _, name := range l.Layers {
		if !slices.Contains(layerNames, name) {
			return fmt.Errorf("layer %q is not known", name)
		}
	}
	if len(l.Layers) == 0 {
		return errors.New("name at least one layer")
	}
	_, err := fingerprint(s.Model)
	return err
}

// repeat starts all processes, lets the machine settle, and measures the rounds.
func (l *Layers) repeat(ctx context.Context, s *Scenario, repeat int, axes []axis, res *Result) error {
	c, err := l.processes(ctx, s, axes, res)
	defer c.stop()
	if err != nil {
		return err
	}
	if err := load.Pause(ctx, l.Settle); err != nil {
		return err
	}
	for i := range l.Rounds {
		what := fmt.Sprintf("repeat %d of %d, round %d of %d", repeat+1, l.Repeats, i+1, l.Rounds)
		if err := c.round(ctx, repeat*l.Rounds+i, what); err != nil {
			return err
		}
	}
	return nil
}

// warmup is the number of requests of a warm-up: one full batch, which touches all weights and buffers.
func (s *Scenario) warmup() int { return s.batch() }

func (l *Layers) say(format string, args ...any) {
	results.Say(l.Progress, format, args...)
}

// all lists every layer and axis of this program.
func (r *Result) all() []*LayerResult {
	var out []*LayerResult
	for _, list := range [][]LayerResult{r.Layers, r.Axes} {
		for i := range list {
			out = append(out, &list[i])
		}
	}
	return out
}

// conclude computes speeds and losses. It fails when runs were made under different conditions, or generated nothing.
func (r *Result) conclude(rounds int) error {
	conditions, from := "", ""
	for _, x := range r.all() {
		for _, run := range x.runs {
			if conditions == "" {
				conditions, from = run.Conditions, x.Name
			}
			if run.Conditions != conditions {
				return fmt.Errorf("unlike conditions, no comparison:\n%s: %s\n%s: %s", from, conditions, x.Name, run.Conditions)
			}
		}
		if err := x.summarise(rounds); err != nil {
			return err
		}
	}
	for i := range r.Peers {
		for k := range r.Peers[i].Layers {
			if err := r.Peers[i].Layers[k].summarise(rounds); err != nil {
				return err
			}
		}
	}
	r.Slope = r.slope()
	for i := 1; i < len(r.Layers); i++ {
		r.lose(&r.Layers[i], &r.Layers[i-1], rounds)
	}
	last := &r.Layers[len(r.Layers)-1]
	for i := range r.Axes {
		r.lose(&r.Axes[i], last, rounds) // axes are measured only together with the http layer, which is the last
	}
	for i := range r.Peers {
		p := r.Peers[i].Layers
		r.lose(&p[1], &p[0], rounds)
	}
	r.compareToCore(rounds)
	r.note()
	if last.Name == "http" {
		var err error
		if r.Spans, err = spanTable(last.runs); err != nil {
			return err
		}
	}
	return nil
}

// compareToCore computes the speed of each layer beyond core, and of each axis, as a share of core's.
func (r *Result) compareToCore(rounds int) {
	at := slices.IndexFunc(r.Layers, func(x LayerResult) bool { return x.Name == "core" })
	if at < 0 {
		return
	}
	core := &r.Layers[at]
	for _, x := range r.all()[at+1:] {
		e := x.ratio(core, r.Slope, rounds)
		x.OfCore = &e
	}
}

// note collects what a reader must know about the runs besides the figures.
func (r *Result) note() {
	base, again := 0, 0
	for _, x := range r.all() {
		again += x.Again
		if x.Name == "http" {
			base = x.Prompt
		}
		if x.Name == "chat" && base > 0 && x.Prompt != base {
			r.Notes = append(r.Notes, fmt.Sprintf("chat has prompts of %d tokens instead of %d: the template alone is longer", x.Prompt, base))
		}
		if x.Idle > 0.01 {
			r.Notes = append(r.Notes, fmt.Sprintf("%s used %.1f %% of a core while others were measured", x.Name, 100*x.Idle))
		}
	}
	if n := r.Layers[0].Repeats; n < stats.MinRepeats {
		r.Notes = append(r.Notes, fmt.Sprintf("no claim: figures are medians of %d repeats, and intervals take at least %d", n, stats.MinRepeats))
	}
	if again > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d runs were measured again, for the machine changed its speed by more than %.0f %% while they ran", again, 100*steady))
	}
}

// summarise computes the figures of a layer from its runs. It fails when a run generated no tokens or took no time.
func (x *LayerResult) summarise(rounds int) error {
	if len(x.runs) == 0 {
		return fmt.Errorf("%s was not measured", x.Name)
	}
	pick := func(f func(*LayerRun) float64) float64 {
		var values []float64
		for _, run := range x.runs {
			values = append(values, f(run))
		}
		return stats.Median(values)
	}
	x.Samples, x.Machine = nil, nil
	x.OK = x.runs[0].OK
	x.Requests = x.runs[0].Requests
	for _, run := range x.runs {
		if run.Tokens <= 0 || run.Seconds <= 0 {
			return fmt.Errorf("%s generated %d tokens in %g s", x.Name, run.Tokens, run.Seconds)
		}
		x.Samples, x.Machine = append(x.Samples, run.TokensPerSecond()), append(x.Machine, run.Machine)
		x.OK = min(x.OK, run.OK)
		if run.Idle > 1 {
			x.Idle = max(x.Idle, run.IdleCPU/run.Idle)
		}
	}
	if r := x.runs[0]; r.OK > 0 {
		x.Prompt = r.PromptTotal / r.OK
	}
	e := stats.EstimateSpeed(stats.Repeats(x.Samples, rounds))
	x.Repeats, x.TokensPerSecond, x.CI95 = e.N, e.Value, e.CI95
	x.MsPerToken = 1000 / x.TokensPerSecond
	x.CPU = pick(func(r *LayerRun) float64 { return r.CPU * 1e6 / float64(r.Tokens) })
	x.ClientCPU = pick(func(r *LayerRun) float64 { return r.ClientCPU * 1e6 / float64(r.Tokens) })
	x.Allocs = pick(func(r *LayerRun) float64 { return r.Allocs })
	x.Occupancy = pick(func(r *LayerRun) float64 { return r.Occupancy })
	x.BusyOccupancy = pick(func(r *LayerRun) float64 { return r.BusySeqs })
	return nil
}

// slope fits how far the runs' speeds follow the probes': the slope of log(speed) over log(probe), one for all layers together. A probe
// has noise of its own. On a machine that does not change its speed the probes show nothing but noise, the slope comes out near 0,
// and relative changes nothing.
func (r *Result) slope() float64 {
	var xx, xy float64
	for _, l := range r.all() {
		if slices.Contains(l.Machine, 0) { // a run without probes
			return 0
		}
		var x, y []float64
		for i, v := range l.Samples {
			x, y = append(x, math.Log(l.Machine[i])), append(y, math.Log(v))
		}
		mx, my := stats.Mean(x), stats.Mean(y)
		for i := range x {
			xx += (x[i] - mx) * (x[i] - mx)
			xy += (x[i] - mx) * (y[i] - my)
		}
	}
	if xx == 0 {
		return 0
	}
	return min(max(xy/xx, 0), 1)
}

// relative adjusts the speeds for the machine's, so that runs at different moments can be compared.
func (x *LayerResult) relative(slope float64) []float64 {
	out := slices.Clone(x.Samples)
	for i := range out {
		if i < len(x.Machine) && x.Machine[i] > 0 {
			m := x.Machine[i]
			out[i] /= math.Pow(m, slope)
		}
	}
	return out
}

// ratio estimates the speed of x over that of y. Both were measured in the same rounds.
func (x *LayerResult) ratio(y *LayerResult, slope float64, rounds int) stats.Estimate {
	e, _ := stats.EstimateRatio(stats.Repeats(x.relative(slope), rounds), stats.Repeats(y.relative(slope), rounds))
	return e
}

// lose computes the loss of x against before, and notes a loss that is smaller than the noise.
func (r *Result) lose(x, before *LayerResult, rounds int) {
	e := x.ratio(before, r.Slope, rounds).Loss()
	x.Loss, x.LossCI95 = e.Value, e.CI95
	if e.Claims() && !e.Excludes(0) {
		r.Noise = append(r.Noise, fmt.Sprintf("%s and %s", before.Name, x.Name))
	}
}

// failures returns an error for the first run in which requests failed, or nil.
func (r *Result) failures() error {
	list := r.all()
	for i := range r.Peers {
		for k := range r.Peers[i].Layers {
			list = append(list, &r.Peers[i].Layers[k])
		}
	}
	for _, x := range list {
		for _, run := range x.runs {
			if run.OK < run.Requests {
				return fmt.Errorf("%w: %s: %d of %d: %s", results.ErrFailures, x.Name, run.Requests-run.OK, run.Requests, run.Failure)
			}
		}
	}
	return nil
}

func (l *Layers) settings(s *Scenario, res *Result) map[string]any {
	m := map[string]any{"model": filepath.Base(s.Model), "tier": s.Tier, "threads": s.Threads, "max_batch": s.MaxBatch, "ctx": s.Ctx,
		"requests": s.Requests, "concurrency": s.Concurrency, "gen": s.Gen, "prompt_tokens": s.PromptTokens, "prompt": s.Prompt,
		"temperature": s.Temperature, "repeats": l.Repeats, "rounds": l.Rounds, "settle": l.Settle.String()}
	for _, x := range res.Layers {
		if len(x.runs) > 0 {
			m["conditions"] = x.runs[0].Conditions
			break
		}
	}
	return m
}
