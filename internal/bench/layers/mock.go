package layers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
	"github.com/penstock-llm/penstock/internal/cpu"
)

// Mock measures the front end alone: `penstock bench mock`. The real HTTP stack, tokenizer, template, engine and scheduler run over
// an executor that computes nothing. Unpaced, steps take no time, and the throughput is the most that the front end can do. Paced,
// steps are as long as a model's: caches are cold when a step ends, and every token is written by itself, as in real use. Two costs
// come from differences. A request's own cost, without its tokens', is what five times as many requests with a fifth of the tokens
// each cost more. A streamed token's is what streaming the same answers costs more. The engine without HTTP is measured beside them.
// Each repeat starts new processes and takes all ways of running in turn, because the CPU time of the same work differs between
// minutes.
type Mock struct {
	Model          string        `help:"Model whose tokenizer and template to use (none: a tiny one)."`
	Requests       int           `help:"Requests of a run." default:"80"`
	Concurrency    int           `help:"Clients." default:"8"`
	Gen            int           `help:"Tokens of a request, a multiple of five." default:"50"`
	Step           time.Duration `help:"Length of a paced step." default:"3ms"`
	Prompt         string        `help:"Prompt; repeated and cut to 32 tokens." default:"The water runs from the lake through the long pipe down to the wheel in the valley. "`
	API            string        `help:"Endpoint." enum:"chat,completions,native" default:"chat"`
	Repeats        int           `help:"Repeats; medians are reported." default:"10"`
	results.Output `embed:""`
	Progress       io.Writer `kong:"-"`
	Executable     string    `kong:"-"`
	Tier           cpu.Tier  `kong:"-"`
}

// MockResult is the outcome of Mock, as JSON.
type MockResult struct {
	results.Record
	Settings map[string]any `json:"settings"`
	Runs     []MockRun      `json:"runs"`

	Unpaced FrontEnd `json:"front_end_unpaced"`
	Paced   FrontEnd `json:"front_end_paced"`
}

// FrontEnd is the cost of the front end itself, from the differences within each repeat.
type FrontEnd struct {
	CPUPerRequest    stats.Estimate `json:"cpu_us_per_request"`        // without that of its tokens
	CPUPerToken      stats.Estimate `json:"cpu_us_per_streamed_token"` // from sampled id to socket
	AllocsPerToken   float64        `json:"allocs_per_streamed_token"`
	AllocsPerRequest float64        `json:"allocs_per_request"`
	RequestSamples   []float64      `json:"cpu_us_per_request_samples"` // of each repeat
	TokenSamples     []float64      `json:"cpu_us_per_streamed_token_samples"`
}

// MockRun is one of mockModes. Its throughput is the mean of the repeats, the rest their medians.
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

// mockModes are the ways of sending the load: to the engine without HTTP, and over HTTP with whole, short and streamed answers.
var mockModes = []string{"engine", "requests", "short requests", "streamed"}

// shorter is the number of short requests that replace one request; together they have as many tokens.
const shorter = 5

// Run measures and prints.
func (m *Mock) Run(ctx context.Context, out io.Writer) error {
	if m.Requests < 1 || m.Concurrency < 1 || m.Gen < shorter || m.Gen%shorter != 0 || m.Repeats < 1 || m.Step <= 0 {
		return errors.New("requests, concurrency, repeats and step must be positive, gen a multiple of five")
	}
	res := &MockResult{Record: results.NewRecord("mock"), Settings: map[string]any{"requests": m.Requests, "concurrency": m.Concurrency, "gen": m.Gen,
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
		if step == 0 {
			res.Unpaced = frontEnd(runs)
		} else {
			res.Paced = frontEnd(runs)
		}
	}
	return m.Deliver(out, res, res.print)
}

// all measures all of mockModes in every repeat.
func (m *Mock) all(ctx context.Context, step time.Duration) (map[string][]*LayerRun, error) {
	runs := map[string][]*LayerRun{}
	for i := range m.Repeats {
		results.Say(m.Progress, "step %s, repeat %d of %d", step, i+1, m.Repeats)
		if err := m.repeat(ctx, step, i, runs); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// repeat starts new processes, so that repeats are independent, and measures each of mockModes once.
func (m *Mock) repeat(ctx context.Context, step time.Duration, repeat int, runs map[string][]*LayerRun) error {
	c := &processes{layers: &Layers{Executable: m.Executable}}
	defer c.stop()
	if err := m.launch(ctx, c, step); err != nil {
		return err
	}
	for k := range c.lanes {
		l := &c.lanes[(repeat+k)%len(c.lanes)]
		r, err := l.run(ctx)
		if err == nil {
			err = m.complete(r)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", l.into.Name, err)
		}
		runs[l.into.Name] = append(runs[l.into.Name], r)
	}
	return nil
}

// complete returns an error for a run in which requests failed or tokens are missing.
func (m *Mock) complete(r *LayerRun) error {
	switch {
	case r.OK < r.Requests:
		return fmt.Errorf("%w: %d of %d: %s", results.ErrFailures, r.Requests-r.OK, r.Requests, r.Failure)
	case r.Tokens != m.Requests*m.Gen:
		return fmt.Errorf("%d tokens instead of %d", r.Tokens, m.Requests*m.Gen)
	}
	return nil
}

// launch starts the engine, a server, and a client of each kind.
func (m *Mock) launch(ctx context.Context, c *processes, step time.Duration) error {
	s := Scenario{Model: m.Model, Tier: m.Tier.String(), Threads: 1, MaxBatch: m.Concurrency, Requests: m.Requests, Concurrency: m.Concurrency, Gen: m.Gen,
		PromptTokens: mockPrompt, Prompt: m.Prompt}
	job := layerJob{Layer: "mock", Scenario: s, Warmup: m.Concurrency, Mock: &mockJob{Step: step}}
	engine, err := c.launch(command(ctx, m.Executable), job, new(hello))
	if err != nil {
		return err
	}
	c.add(&LayerResult{Name: "engine"}, func(context.Context) (*LayerRun, error) {
		var r LayerRun
		return &r, engine.ask(question{}, &r)
	})
	job.Layer = "serve"
	var at hello
	server, err := c.launch(command(ctx, m.Executable), job, &at)
	if err != nil {
		return err
	}
	for _, name := range mockModes[1:] {
		client := clientJob{Prompt: at.Prompt, Requests: m.Requests, Clients: m.Concurrency, Warmup: m.Concurrency, Target: load.Target{URL: at.URL,
			Dialect: load.Dialect(m.API), MaxTokens: m.Gen, IgnoreEOS: true, Timeout: time.Minute, Stream: name == "streamed"}}
		if name == "short requests" {
			client.Requests, client.Target.MaxTokens = m.Requests*shorter, m.Gen/shorter
		}
		w, err := c.launch(command(ctx, m.Executable), layerJob{Client: &client}, new(hello))
		if err != nil {
			return err
		}
		c.add(&LayerResult{Name: name}, func(context.Context) (*LayerRun, error) { return mockClient(name, server, w) })
	}
	return nil
}

// mockClient runs a client between two readings of the server's counters.
func mockClient(name string, server, client *worker) (*LayerRun, error) {
	var warm, got clientRun
	var before, after mark
	for _, step := range []struct {
		of     *worker
		ask    question
		answer any
	}{{client, question{Warm: true}, &warm}, {server, question{}, &before}, {client, question{}, &got}, {server, question{}, &after}} {
		if err := step.of.ask(step.ask, step.answer); err != nil {
			return nil, err
		}
	}
	return got.counters(name, &before, &after)
}

// mockRun sums up the repeats of one of mockModes.
func mockRun(name string, step time.Duration, runs []*LayerRun) (*MockRun, error) {
	x := LayerResult{Name: name, runs: runs}
	if err := x.summarise(1); err != nil {
		return nil, err
	}
	each := float64(runs[0].Tokens) / float64(runs[0].Requests)
	return &MockRun{Name: name, Paced: step > 0, RequestsPerSecond: x.TokensPerSecond / each, TokensPerSecond: x.TokensPerSecond,
		CPUPerRequest: x.CPU * each, CPUPerToken: x.CPU, AllocsPerToken: x.Allocs, ClientCPUPerToken: x.ClientCPU}, nil
}

// mockPrompt is the length of the prompt in tokens.
const mockPrompt = 32

func frontEnd(runs map[string][]*LayerRun) FrontEnd {
	var request, token, requestAllocs, tokenAllocs []float64
	for i, plain := range runs["requests"] {
		short, streamed := runs["short requests"][i], runs["streamed"][i]
		more, tokens := float64(short.Requests-plain.Requests), float64(plain.Tokens)
		request = append(request, (short.CPU-plain.CPU)*1e6/more)
		requestAllocs = append(requestAllocs, (short.Allocs-plain.Allocs)*tokens/more)
		token = append(token, (streamed.CPU-plain.CPU)*1e6/tokens)
		tokenAllocs = append(tokenAllocs, streamed.Allocs-plain.Allocs)
	}
	return FrontEnd{CPUPerRequest: stats.EstimateMean(request), CPUPerToken: stats.EstimateMean(token),
		AllocsPerRequest: stats.Median(requestAllocs), AllocsPerToken: stats.Median(tokenAllocs), RequestSamples: request, TokenSamples: token}
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
	if err := results.Table(out, rows); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nthe front end itself; a request besides its tokens, a streamed token besides what it costs unstreamed")
	rows = [][]string{{"", "CPU-µs/request", "95 % CI", "allocs/request", "CPU-µs/streamed token", "95 % CI", "allocs/streamed token"}}
	for i, f := range []FrontEnd{r.Unpaced, r.Paced} {
		rows = append(rows, []string{[]string{"unpaced", "paced"}[i], fmt.Sprintf("%.0f", f.CPUPerRequest.Value), results.Interval(f.CPUPerRequest, "%.0f"),
			fmt.Sprintf("%.0f", f.AllocsPerRequest), fmt.Sprintf("%.1f", f.CPUPerToken.Value), results.Interval(f.CPUPerToken, "%.1f"), fmt.Sprintf("%.2f", f.AllocsPerToken)})
	}
	return results.Table(out, rows)
}

func (r *MockResult) Conditions() map[string]any {
	return results.Without(r.Settings, "repeats", "requests")
}

func (r *MockResult) Series() []results.Series {
	return []results.Series{
		{Name: "request", Unit: "CPU-µs", Lower: true, Values: r.Paced.RequestSamples},
		{Name: "streamed token", Unit: "CPU-µs", Lower: true, Values: r.Paced.TokenSamples},
	}
}

func (r *MockResult) Headline() string {
	return fmt.Sprintf("%.0f CPU-µs a request, %.1f a streamed token", r.Paced.CPUPerRequest.Value, r.Paced.CPUPerToken.Value)
}
