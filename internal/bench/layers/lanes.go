package layers

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
)

// lane is one thing that is measured in every round: a layer, an axis of the http layer, or a layer of a peer. Its processes are
// started beforehand and idle until run is called.
type lane struct {
	into *LayerResult
	run  func(context.Context) (*LayerRun, error)
}

// processes holds everything that was started for one repeat, and the lanes that can be measured with it.
type processes struct {
	layers *Layers
	s      *Scenario
	lanes  []lane
	probe  func() (float64, error) // measures how fast the machine is at this moment
	last   float64                 // result of the newest probe; 0: there was none yet
	stops  []func()
}

func (c *processes) stop() {
	for _, stop := range slices.Backward(c.stops) {
		stop()
	}
}

func (c *processes) launch(cmd *exec.Cmd, job, ready any) (*worker, error) {
	w, err := startWorker(cmd, job, ready)
	if err != nil {
		return nil, err
	}
	c.stops = append(c.stops, func() { _ = w.stop() }) // a worker's failure has been returned by ask already
	return w, nil
}

func (c *processes) add(into *LayerResult, run func(context.Context) (*LayerRun, error)) {
	c.lanes = append(c.lanes, lane{into, run})
}

// processes starts the processes of every layer and axis, one after the other. The caller must call stop, also after an error.
func (l *Layers) processes(ctx context.Context, s *Scenario, axes []axis, res *Result) (*processes, error) {
	c := &processes{layers: l, s: s}
	if err := c.launchProbe(ctx); err != nil {
		return c, fmt.Errorf("probe: %w", err)
	}
	for i := range res.Layers {
		x := &res.Layers[i]
		l.say("loading %s", x.Name)
		if x.Name == "http" {
			if err := c.http(ctx, axes, x, res.Axes); err != nil {
				return c, fmt.Errorf("%s: %w", x.Name, err)
			}
			continue
		}
		w, err := c.launch(command(ctx, l.Executable), layerJob{Layer: x.Name, Scenario: *s, Warmup: s.warmup()}, new(hello))
		if err != nil {
			return c, fmt.Errorf("%s: %w", x.Name, err)
		}
		c.add(x, func(context.Context) (*LayerRun, error) {
			var r LayerRun
			return &r, w.ask(question{}, &r)
		})
	}
	for i := range res.Peers {
		l.say("loading %s", res.Peers[i].Name)
		if err := c.peer(ctx, &res.Peers[i]); err != nil {
			return c, fmt.Errorf("%s: %w", res.Peers[i].Name, err)
		}
	}
	return c, nil
}

// launchProbe starts the process that measures the machine's speed: it runs one short batch of forward passes each time it is asked. On
// a shared machine that speed changes by a fifth within seconds, depending on what others do.
func (c *processes) launchProbe(ctx context.Context) error {
	s := *c.s
	s.Requests, s.Gen = s.batch(), min(s.Gen, probeTokens)
	w, err := c.launch(command(ctx, c.layers.Executable), layerJob{Layer: "executor", Scenario: s, Warmup: s.Requests}, new(hello))
	c.probe = func() (float64, error) {
		var r LayerRun
		if err := w.ask(question{}, &r); err != nil {
			return 0, err
		}
		return r.TokensPerSecond(), nil
	}
	return err
}

// command starts this program as a worker: the hidden `penstock bench layer`.
func command(ctx context.Context, executable string) *exec.Cmd {
	return exec.CommandContext(ctx, executable, "bench", "layer")
}

// http starts a server, a client for the http layer, and a client for each axis. The axis with an access log gets a second server.
func (c *processes) http(ctx context.Context, axes []axis, base *LayerResult, results []LayerResult) error {
	plain, err := c.serve(ctx, false)
	if err != nil {
		return err
	}
	if err := c.client(ctx, plain, axis{name: "http"}, base); err != nil {
		return err
	}
	for i, a := range axes {
		server := plain
		if a.log {
			if server, err = c.serve(ctx, true); err != nil {
				return err
			}
		}
		if err := c.client(ctx, server, a, &results[i]); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
	}
	return nil
}

// serverProcess is a server's process.
type serverProcess struct {
	worker *worker
	hello  hello
	last   mark // the counters after the server's last run
	rested time.Time
}

func (c *processes) serve(ctx context.Context, log bool) (*serverProcess, error) {
	v := &serverProcess{}
	var err error
	v.worker, err = c.launch(command(ctx, c.layers.Executable), layerJob{Layer: "serve", Scenario: *c.s, Serve: serveJob{Log: log}}, &v.hello)
	return v, err
}

func (v *serverProcess) mark() (mark, error) {
	var m mark
	err := v.worker.ask(question{}, &m)
	return m, err
}

// client starts the load generator of an axis and adds its lane.
func (c *processes) client(ctx context.Context, server *serverProcess, a axis, into *LayerResult) error {
	job := a.job(c.s, &server.hello)
	cmd := command(ctx, c.layers.Executable)
	var told any = layerJob{Client: &job}
	if a.python != "" {
		cmd = exec.CommandContext(ctx, c.layers.Python, "-c", pythonClient, a.python)
		told = job
	}
	w, err := c.launch(cmd, told, new(hello))
	if err != nil {
		return err
	}
	c.add(into, func(ctx context.Context) (*LayerRun, error) { return a.against(ctx, server, w, c.s) })
	return nil
}

//go:embed client.py
var pythonClient string

// job tells the axis's client what to send.
func (a axis) job(s *Scenario, server *hello) clientJob {
	job := clientJob{Prompt: server.Prompt, Requests: s.Requests, Clients: s.Concurrency, Warmup: s.warmup(),
		Target: load.Target{URL: server.URL, Dialect: load.Completions, MaxTokens: s.Gen, Temperature: s.Temperature, IgnoreEOS: true,
			Timeout: 10 * time.Minute, Tag: a.name == "http"}}
	if a.tls {
		job.Target.URL = server.TLS
	}
	if a.change != nil {
		a.change(&job.Target)
	}
	switch job.Target.Dialect {
	case load.Native: // as /v1/completions samples in the http layer
		job.Target.Extra = map[string]any{"top_p": 1, "repetition_penalty": 1}
	case load.Chat:
		job.Prompt = server.Chat
	}
	if a.crowd > 0 {
		job.Clients = a.crowd * s.MaxBatch
	}
	return job
}

// against measures one client with one server: the warm-up, a reading of the server's counters, the load, another reading.
func (a axis) against(ctx context.Context, server *serverProcess, client *worker, s *Scenario) (*LayerRun, error) {
	start, err := server.mark()
	if err != nil {
		return nil, err
	}
	idle := time.Since(server.rested)
	var warm, got clientRun
	if err := client.ask(question{Warm: true}, &warm); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	before, err := server.mark()
	if err != nil {
		return nil, err
	}
	if a.scrape {
		defer scrape(ctx, server.hello.URL+"/metrics")()
	}
	if err := client.ask(question{}, &got); err != nil {
		return nil, err
	}
	after, err := server.mark()
	if err != nil {
		return nil, err
	}
	r, err := got.layerRun(s, a, &server.hello, &before, &after)
	if err == nil && !server.rested.IsZero() {
		r.Idle, r.IdleCPU = idle.Seconds(), start.CPU-server.last.CPU
	}
	server.last, server.rested = after, time.Now()
	return r, err
}

// counters makes a LayerRun of the client's report and two readings of the server's counters.
func (c *clientRun) counters(name string, before, after *mark) (*LayerRun, error) {
	if c.OK == 0 {
		return nil, fmt.Errorf("every request failed: %s", c.Failure)
	}
	r := &LayerRun{Layer: name, Requests: c.Requests, OK: c.OK, Tokens: c.Tokens, PromptTotal: c.Prompt, Seconds: c.Seconds, ClientCPU: c.CPU,
		Failure: c.Failure, CPU: after.CPU - before.CPU}
	if c.Tokens > 0 {
		r.Allocs = float64(after.Mallocs-before.Mallocs) / float64(c.Tokens)
	}
	r.occupied(before.Stats, after.Stats)
	return r, nil
}

func (c *clientRun) layerRun(s *Scenario, a axis, server *hello, before, after *mark) (*LayerRun, error) {
	r, err := c.counters(a.name, before, after)
	if err != nil {
		return nil, err
	}
	prompt := server.Tokens // for endpoints that do not report the number of prompt tokens
	if c.Prompt > 0 {
		prompt = c.Prompt / c.OK
	}
	if a.name == "chat" && prompt == server.ChatTokens {
		prompt = server.Tokens // chat may have a longer prompt, because the template alone is longer; note says so
	}
	if r.Conditions, err = s.conditions(prompt); err != nil {
		return nil, err
	}
	if a.name == "http" {
		r.Spans, err = attribute(c.Samples, after.Traces)
	}
	return r, err
}

// round measures every lane once, one after the other. Odd rounds go through the lanes in the reverse order of the round before, and each
// pair of rounds begins with another lane, so that no lane always comes first or always follows the same one.
func (c *processes) round(ctx context.Context, round int, what string) error {
	n := len(c.lanes)
	for k := range n {
		at := (round/2 + k) % n
		if round%2 == 1 {
			at = (round/2 + n - 1 - k) % n
		}
		lane := &c.lanes[at]
		c.layers.say("%s, %s", what, lane.into.Name)
		if err := c.measure(ctx, lane); err != nil {
			if ctx.Err() != nil {
				err = errors.Join(ctx.Err(), err)
			}
			return fmt.Errorf("%s: %w", lane.into.Name, err)
		}
	}
	return nil
}

const (
	settleShare = 25  // the pause before a run is this part of the pause before a repeat
	probeTokens = 50  // that each sequence of a probe generates
	steady      = 0.1 // a run is measured again when the probes before and after it differ by this share
	attempts    = 3
)

// measure runs a lane between two probes of the machine's speed. When the probes differ by more than steady, the machine became faster or
// slower during the run, and its result says little: it is measured again, up to the given number of attempts.
func (c *processes) measure(ctx context.Context, l *lane) error {
	for attempt := 1; ; attempt++ {
		if err := load.Pause(ctx, c.layers.Settle/settleShare); err != nil {
			return err
		}
		before, err := c.last, error(nil)
		if before == 0 {
			if before, err = c.probe(); err != nil {
				return fmt.Errorf("probe: %w", err)
			}
		}
		run, err := l.run(ctx)
		if err != nil {
			return err
		}
		if c.last, err = c.probe(); err != nil {
			return fmt.Errorf("probe: %w", err)
		}
		run.Machine = (before + c.last) / 2
		if change := c.last/before - 1; attempt == attempts || max(change, -change) < steady {
			l.into.runs = append(l.into.runs, run)
			return nil
		}
		l.into.Again++
	}
}
