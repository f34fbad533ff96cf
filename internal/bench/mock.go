package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
	"github.com/penstock-llm/penstock/internal/cpu"
)

// Mock measures the front end alone: `penstock bench mock`. The real HTTP stack, tokenizer, template, engine and scheduler run over
// an executor that computes nothing. Unpaced it shows the front end's ceiling; paced, with steps as long as a model's, it shows
// what a request and a streamed token cost, as every token is then written by itself. The engine's own cost is measured the
// same way without HTTP and taken off.
type Mock struct {
	Model       string        `help:"Model whose tokenizer and template to use (none: a tiny one)."`
	Requests    int           `help:"Requests of a run." default:"400"`
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

	// The front end's own cost, from the paced runs: the server's less the engine's.
	CPUPerRequest    float64 `json:"cpu_us_per_request"`        // not streamed, besides its tokens
	CPUPerToken      float64 `json:"cpu_us_per_streamed_token"` // from sampled id to socket
	AllocsPerToken   float64 `json:"allocs_per_streamed_token"`
	AllocsPerRequest float64 `json:"allocs_per_request"`
}

// MockRun is one way of running, medians over the repeats.
type MockRun struct {
	Name              string  `json:"name"` // engine, requests or streamed
	Paced             bool    `json:"paced"`
	RequestsPerSecond float64 `json:"requests_per_second"`
	TokensPerSecond   float64 `json:"tokens_per_second"`
	CPUPerRequest     float64 `json:"server_cpu_us_per_request"`
	CPUPerToken       float64 `json:"server_cpu_us_per_token"`
	AllocsPerToken    float64 `json:"allocs_per_token"`
	ClientCPUPerToken float64 `json:"client_cpu_us_per_token,omitempty"`
}

// Run measures and prints.
func (m *Mock) Run(ctx context.Context, out io.Writer) error {
	if m.Requests < 1 || m.Concurrency < 1 || m.Gen < 2 || m.Repeats < 1 || m.Step <= 0 {
		return errors.New("bench: requests, concurrency, repeats and step must be positive, gen at least 2")
	}
	res := &MockResult{Record: newRecord("mock"), Settings: map[string]any{"requests": m.Requests, "concurrency": m.Concurrency, "gen": m.Gen,
		"step": m.Step.String(), "api": m.API, "repeats": m.Repeats, "tokenizer": tokenizerName(m.Model)}}
	for _, step := range []time.Duration{0, m.Step} {
		for _, name := range []string{"engine", "requests", "streamed"} {
			run, err := m.mode(ctx, name, step)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			res.Runs = append(res.Runs, *run)
		}
	}
	res.frontEnd(m.Gen)
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

// mode measures one way of running and returns the repeat whose cost is the median.
func (m *Mock) mode(ctx context.Context, name string, step time.Duration) (*MockRun, error) {
	var runs []*LayerRun
	for i := range m.Repeats {
		if m.Progress != nil {
			fmt.Fprintf(m.Progress, "%s, step %s, repeat %d of %d\n", name, step, i+1, m.Repeats)
		}
		r, err := m.once(ctx, name, step)
		if err != nil {
			return nil, err
		}
		if r.OK < r.Requests {
			return nil, fmt.Errorf("%w: %d of %d: %s", errFailures, r.Requests-r.OK, r.Requests, r.Failure)
		}
		if want := m.Requests * m.Gen; r.Tokens != want {
			return nil, fmt.Errorf("bench: %d tokens instead of %d", r.Tokens, want)
		}
		runs = append(runs, r)
	}
	x := LayerResult{runs: runs}
	x.summarise()
	return &MockRun{Name: name, Paced: step > 0, RequestsPerSecond: x.TokensPerSecond / float64(m.Gen), TokensPerSecond: x.TokensPerSecond,
		CPUPerRequest: x.CPU * float64(m.Gen), CPUPerToken: x.CPU, AllocsPerToken: x.Allocs, ClientCPUPerToken: x.ClientCPU}, nil
}

func (m *Mock) once(ctx context.Context, name string, step time.Duration) (*LayerRun, error) {
	s := Scenario{Model: m.Model, Tier: m.Tier.String(), Threads: 1, MaxBatch: m.Concurrency, Requests: m.Requests, Concurrency: m.Concurrency, Gen: m.Gen,
		PromptTokens: mockPrompt, Prompt: m.Prompt}
	job := layerJob{Layer: "mock", Scenario: s, Warmup: 2 * m.Concurrency, Mock: &mockJob{Step: step}}
	if name == "engine" {
		var r LayerRun
		return &r, process(ctx, m.Executable, job, &r)
	}
	job.Layer = "serve"
	server, err := startServer(ctx, m.Executable, job)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	client := clientJob{Prompt: server.hello.Prompt, Requests: m.Requests, Clients: m.Concurrency, Target: load.Target{URL: server.hello.URL,
		Dialect: load.Dialect(m.API), MaxTokens: m.Gen, IgnoreEOS: true, Timeout: time.Minute, Stream: name == "streamed"}}
	warm := client
	warm.Requests = 2 * m.Concurrency
	var ignored, got clientRun
	if err := process(ctx, m.Executable, layerJob{Layer: "client", Client: &warm}, &ignored); err != nil {
		return nil, err
	}
	before, err := server.mark()
	if err != nil {
		return nil, err
	}
	if err := process(ctx, m.Executable, layerJob{Layer: "client", Client: &client}, &got); err != nil {
		return nil, err
	}
	after, err := server.mark()
	if err != nil {
		return nil, err
	}
	return got.counters(name, before, after)
}

// mockPrompt is the length of the prompt.
const mockPrompt = 32

// frontEnd takes the engine's cost off.
func (r *MockResult) frontEnd(gen int) {
	find := func(name string) MockRun {
		for _, x := range r.Runs {
			if x.Name == name && x.Paced {
				return x
			}
		}
		return MockRun{}
	}
	engine, requests, streamed := find("engine"), find("requests"), find("streamed")
	tokens := float64(gen)
	r.CPUPerRequest = requests.CPUPerRequest - engine.CPUPerRequest
	r.AllocsPerRequest = (requests.AllocsPerToken - engine.AllocsPerToken) * tokens
	// A stream pays for its request, too; what is left is the tokens'.
	r.CPUPerToken = (streamed.CPUPerRequest - engine.CPUPerRequest - r.CPUPerRequest) / tokens
	r.AllocsPerToken = (streamed.AllocsPerToken - engine.AllocsPerToken) - r.AllocsPerRequest/tokens
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
	_, err := fmt.Fprintf(out, "the front end itself: %.0f CPU-µs and %.0f allocations a request, %.1f CPU-µs and %.2f allocations more for each streamed token\n",
		r.CPUPerRequest, r.AllocsPerRequest, r.CPUPerToken, r.AllocsPerToken)
	return err
}

func (r *MockResult) record() *Record { return &r.Record }

func (r *MockResult) conditions() map[string]any { return without(r.Settings, "repeats", "requests") }

func (r *MockResult) series() []series {
	return []series{
		{name: "request", unit: "CPU-µs", lower: true, values: []float64{r.CPUPerRequest}},
		{name: "streamed token", unit: "CPU-µs", lower: true, values: []float64{r.CPUPerToken}},
	}
}

func (r *MockResult) headline() string {
	return fmt.Sprintf("%.0f CPU-µs a request, %.1f a streamed token", r.CPUPerRequest, r.CPUPerToken)
}

func (r *MockResult) figures() ([]namedFigure, error) { return nil, nil }
