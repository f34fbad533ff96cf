package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/cpu"
)

// Mock measures the front end alone: `penstock bench mock`. The real HTTP stack, tokenizer, template, engine and scheduler run over
// an executor that computes nothing. Unpaced it shows the front end's ceiling; paced, with steps as long as a model's, it shows
// what a request and a streamed token cost: caches are cold by then, and every token is written by itself. A request's cost,
// besides its tokens', is what twice as many requests of half as many tokens cost more; a streamed token's is what streaming
// costs more. The engine without HTTP is measured beside them.
type Mock struct {
	Model       string        `help:"Model whose tokenizer and template to use (none: a tiny one)."`
	Requests    int           `help:"Requests of a run, an even number." default:"400"`
	Concurrency int           `help:"Clients." default:"8"`
	Gen         int           `help:"Tokens of a request." default:"50"`
	Step        time.Duration `help:"Length of a paced step." default:"3ms"`
	Prompt      string        `help:"Prompt; repeated and cut to 32 tokens." default:"The water runs from the lake through the long pipe down to the wheel in the valley. "`
	API         string        `help:"Endpoint." enum:"chat,completions,native" default:"chat"`
	Repeats     int           `help:"Repeats; medians are reported." default:"3"`
	JSON        bool          `help:"Print JSON."`
	Out         string        `help:"Also write the JSON to this file." type:"path"`
	Progress    io.Writer     `kong:"-"`
	Executable  string        `kong:"-"`
	Tier        cpu.Tier      `kong:"-"`
}

// MockResult is the outcome of Mock, as JSON.
type MockResult struct {
	Record
	Settings map[string]any `json:"settings"`
	Runs     []MockRun      `json:"runs"`

	// The front end's own cost in the paced runs, repeat by repeat.
	CPUPerRequest    stats.Estimate `json:"cpu_us_per_request"`        // besides its tokens
	CPUPerToken      stats.Estimate `json:"cpu_us_per_streamed_token"` // from sampled id to socket
	AllocsPerToken   float64        `json:"allocs_per_streamed_token"`
	AllocsPerRequest float64        `json:"allocs_per_request"`
}

// MockRun is one way of running, medians over the repeats.
type MockRun struct {
	Name              string  `json:"name"` // one of mockModes
	Paced             bool    `json:"paced"`
	RequestsPerSecond float64 `json:"requests_per_second"`
	TokensPerSecond   float64 `json:"tokens_per_second"`
	CPUPerRequest     float64 `json:"server_cpu_us_per_request"`
	CPUPerToken       float64 `json:"server_cpu_us_per_token"`
	AllocsPerToken    float64 `json:"allocs_per_token"`
	ClientCPUPerToken float64 `json:"client_cpu_us_per_token,omitempty"`
}

// mockModes are the ways of running. Long requests are half as many with twice the tokens: the same tokens, in as many steps.
var mockModes = []string{"engine", "requests", "long requests", "streamed"}

// Run measures and prints.
func (m *Mock) Run(ctx context.Context, out io.Writer) error {
	if m.Requests < 2 || m.Requests%2 != 0 || m.Concurrency < 1 || m.Gen < 2 || m.Repeats < 1 || m.Step <= 0 {
		return errors.New("bench: concurrency, repeats and step must be positive, gen at least 2, requests even and at least 2")
	}
	res := &MockResult{Record: newRecord("mock"), Settings: map[string]any{"requests": m.Requests, "concurrency": m.Concurrency, "gen": m.Gen,
		"step": m.Step.String(), "api": m.API, "repeats": m.Repeats, "tokenizer": tokenizerName(m.Model)}}
	for _, step := range []time.Duration{0, m.Step} {
		runs, err := m.all(ctx, step)
		if err != nil {
			return err
		}
		for _, name := range mockModes {
			run, err := mockRun(name, step, runs[name])
			if err != nil {
				return err
			}
			res.Runs = append(res.Runs, *run)
		}
		res.frontEnd(runs) // the last, paced runs count
	}
	if m.Out != "" {
		if err := saveJSON(m.Out, res); err != nil {
			return err
		}
	}
	if m.JSON {
		return writeJSON(out, res)
	}
	return res.print(out)
}

// all measures every way of running, repeat by repeat.
func (m *Mock) all(ctx context.Context, step time.Duration) (map[string][]*LayerRun, error) {
	runs := map[string][]*LayerRun{}
	for i := range m.Repeats {
		for _, name := range mockModes {
			if m.Progress != nil {
				fmt.Fprintf(m.Progress, "%s, step %s, repeat %d of %d\n", name, step, i+1, m.Repeats)
			}
			r, err := m.once(ctx, name, step)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			runs[name] = append(runs[name], r)
		}
	}
	return runs, nil
}

// mockRun is the medians of one way of running.
func mockRun(name string, step time.Duration, runs []*LayerRun) (*MockRun, error) {
	x := LayerResult{Name: name, runs: runs}
	if err := x.summarise(1); err != nil {
		return nil, err
	}
	each := float64(runs[0].Tokens) / float64(runs[0].Requests)
	return &MockRun{Name: name, Paced: step > 0, RequestsPerSecond: x.TokensPerSecond / each, TokensPerSecond: x.TokensPerSecond,
		CPUPerRequest: x.CPU * each, CPUPerToken: x.CPU, AllocsPerToken: x.Allocs, ClientCPUPerToken: x.ClientCPU}, nil
}

// once measures one way of running. All requests must succeed, with all their tokens.
func (m *Mock) once(ctx context.Context, name string, step time.Duration) (*LayerRun, error) {
	s := Scenario{Model: m.Model, Tier: m.Tier.String(), Threads: 1, MaxBatch: m.Concurrency, Requests: m.Requests, Concurrency: m.Concurrency, Gen: m.Gen,
		PromptTokens: mockPrompt, Prompt: m.Prompt}
	if name == "long requests" {
		s.Requests, s.Gen = s.Requests/2, s.Gen*2
	}
	r, err := m.run(ctx, name, layerJob{Layer: "mock", Scenario: s, Warmup: 2 * m.Concurrency, Mock: &mockJob{Step: step}})
	switch {
	case err != nil:
		return nil, err
	case r.OK < r.Requests:
		return nil, fmt.Errorf("%w: %d of %d: %s", errFailures, r.Requests-r.OK, r.Requests, r.Failure)
	case r.Tokens != s.Requests*s.Gen:
		return nil, fmt.Errorf("bench: %d tokens instead of %d", r.Tokens, s.Requests*s.Gen)
	}
	return r, nil
}

func (m *Mock) run(ctx context.Context, name string, job layerJob) (*LayerRun, error) {
	if name == "engine" {
		w, err := startWorker(command(ctx, m.Executable), job, new(hello))
		if err != nil {
			return nil, err
		}
		var r LayerRun
		return &r, errors.Join(w.ask(question{}, &r), w.stop())
	}
	job.Layer = "serve"
	var at hello
	server, err := startWorker(command(ctx, m.Executable), job, &at)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	client := clientJob{Prompt: at.Prompt, Requests: job.Scenario.Requests, Clients: m.Concurrency, Warmup: job.Warmup, Target: load.Target{URL: at.URL,
		Dialect: load.Dialect(m.API), MaxTokens: job.Scenario.Gen, IgnoreEOS: true, Timeout: time.Minute, Stream: name == "streamed"}}
	load, err := startWorker(command(ctx, m.Executable), layerJob{Client: &client}, new(hello))
	if err != nil {
		return nil, err
	}
	defer load.stop()
	var warm, got clientRun
	var before, after mark
	for _, step := range []struct {
		of     *worker
		ask    question
		answer any
	}{{load, question{Warm: true}, &warm}, {server, question{}, &before}, {load, question{}, &got}, {server, question{}, &after}} {
		if err := step.of.ask(step.ask, step.answer); err != nil {
			return nil, err
		}
	}
	return got.counters(name, &before, &after)
}

// mockPrompt is the length of the prompt.
const mockPrompt = 32

// frontEnd computes what the front end costs, from the differences within each repeat.
func (r *MockResult) frontEnd(runs map[string][]*LayerRun) {
	var request, token, requestAllocs, tokenAllocs []float64
	for i, short := range runs["requests"] {
		long, streamed := runs["long requests"][i], runs["streamed"][i]
		more, tokens := float64(short.Requests-long.Requests), float64(short.Tokens)
		request = append(request, (short.CPU-long.CPU)*1e6/more)
		requestAllocs = append(requestAllocs, (short.Allocs-long.Allocs)*tokens/more)
		token = append(token, (streamed.CPU-short.CPU)*1e6/tokens)
		tokenAllocs = append(tokenAllocs, streamed.Allocs-short.Allocs)
	}
	r.CPUPerRequest, r.CPUPerToken = stats.EstimateMedian(request, 1), stats.EstimateMedian(token, 1)
	r.AllocsPerRequest, r.AllocsPerToken = stats.Median(requestAllocs), stats.Median(tokenAllocs)
}

func (r *MockResult) print(out io.Writer) error {
	rows := [][]string{{"run", "requests/s", "tokens/s", "server CPU-µs/request", "/token", "allocs/token", "client CPU-µs/token"}}
	for _, x := range r.Runs {
		name := x.Name
		if x.Paced {
			name += ", paced"
		}
		rows = append(rows, []string{name, fmt.Sprintf("%.0f", x.RequestsPerSecond), fmt.Sprintf("%.0f", x.TokensPerSecond), fmt.Sprintf("%.0f", x.CPUPerRequest),
			fmt.Sprintf("%.2f", x.CPUPerToken), fmt.Sprintf("%.2f", x.AllocsPerToken), fmt.Sprintf("%.2f", x.ClientCPUPerToken)})
	}
	if err := table(out, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "the front end itself, paced: a request costs %.0f CPU-µs %s and %.0f allocations besides its tokens, a streamed token %.1f CPU-µs %s and %.2f allocations more than one that is not\n",
		r.CPUPerRequest.Value, interval(r.CPUPerRequest, "%.0f"), r.AllocsPerRequest, r.CPUPerToken.Value, interval(r.CPUPerToken, "%.1f"), r.AllocsPerToken)
	return err
}

func (r *MockResult) record() *Record { return &r.Record }

func (r *MockResult) conditions() map[string]any { return without(r.Settings, "repeats", "requests") }

func (r *MockResult) series() []series {
	return []series{
		{name: "request", unit: "CPU-µs", lower: true, values: []float64{r.CPUPerRequest.Value}},
		{name: "streamed token", unit: "CPU-µs", lower: true, values: []float64{r.CPUPerToken.Value}},
	}
}

func (r *MockResult) headline() string {
	return fmt.Sprintf("%.0f CPU-µs a request, %.1f a streamed token", r.CPUPerRequest.Value, r.CPUPerToken.Value)
}

func (r *MockResult) figures() ([]namedFigure, error) { return nil, nil }
