package bench

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
)

// axis is one way in which real HTTP may differ from the base: kept connections, HTTP/1.1, in clear, not streamed,
// /v1/completions, this project's client, no log, nobody scraping.
type axis struct {
	name   string
	change func(*load.Target)
	tls    bool   // to the TLS listener
	log    bool   // to a server that logs every request
	scrape bool   // while /metrics is read every 50 ms
	python string // the client library of another process
}

var allAxes = []axis{
	{name: "fresh", change: func(t *load.Target) { t.Fresh = true }},
	{name: "h2c", change: func(t *load.Target) { t.HTTP2 = true }},
	{name: "tls", tls: true, change: func(t *load.Target) { t.Insecure = true }},
	{name: "streamed", change: func(t *load.Target) { t.Stream = true }},
	{name: "native", change: func(t *load.Target) { t.Dialect = load.Native }},
	{name: "chat", change: func(t *load.Target) { t.Dialect = load.Chat }},
	{name: "logging", log: true},
	{name: "scraped", scrape: true},
	{name: "requests", python: "requests"},
	{name: "httpx", python: "httpx"},
	{name: "openai", python: "openai"},
}

const scrapeEvery = 50 * time.Millisecond

// axes lists the axes that are wanted and possible.
func (l *Layers) axes() (list []axis, skipped []string) {
	if !slices.Contains(l.Layers, "http") {
		return nil, nil
	}
	for _, a := range allAxes {
		if !slices.Contains(l.Axes, a.name) {
			continue
		}
		if a.python != "" && l.Python == "" {
			skipped = append(skipped, a.name+": no --python")
			continue
		}
		list = append(list, a)
	}
	return list, skipped
}

// http starts a server and measures the base and every axis against it, beginning with another one each repeat. The axis
// with a log needs a server of its own.
func (l *Layers) http(ctx context.Context, s *Scenario, repeat int, axes []axis, base *LayerResult, results []LayerResult) error {
	for _, log := range []bool{false, true} {
		var list []measurement
		if !log {
			list = append(list, measurement{axis{name: "http"}, base})
		}
		for i, a := range axes {
			if a.log == log {
				list = append(list, measurement{a, &results[i]})
			}
		}
		if len(list) == 0 {
			continue
		}
		if err := l.serveAndMeasure(ctx, s, repeat, log, list); err != nil {
			return err
		}
	}
	return nil
}

type measurement struct {
	axis axis
	into *LayerResult
}

func (l *Layers) serveAndMeasure(ctx context.Context, s *Scenario, repeat int, log bool, list []measurement) error {
	server, err := startServer(ctx, l.Executable, layerJob{Layer: "serve", Scenario: *s, Serve: serveJob{Log: log}})
	if err != nil {
		return err
	}
	defer server.stop()
	for k := range list {
		m := list[(repeat+k)%len(list)]
		if k > 0 {
			if err := pause(ctx, l.Settle/5); err != nil {
				return err
			}
		}
		l.say("repeat %d of %d, %s", repeat+1, l.Repeats, m.axis.name)
		run, err := l.against(ctx, server, s, m.axis)
		if err != nil {
			return fmt.Errorf("%s: %w", m.axis.name, err)
		}
		m.into.runs = append(m.into.runs, run)
	}
	return nil
}

// against measures one client against a server: warm-up, a reading of the server's counters, the load, another reading.
func (l *Layers) against(ctx context.Context, server *serverProcess, s *Scenario, a axis) (*LayerRun, error) {
	job := clientJob{Prompt: server.hello.Prompt, Requests: s.Requests, Clients: s.Concurrency,
		Target: load.Target{URL: server.hello.URL, Dialect: load.Completions, Model: "", MaxTokens: s.Gen, Temperature: s.Temperature, IgnoreEOS: true,
			Timeout: 10 * time.Minute, Tag: a.name == "http"}}
	if a.tls {
		job.Target.URL = server.hello.TLS
	}
	if a.change != nil {
		a.change(&job.Target)
	}
	job.same()
	warm := job
	warm.Requests, warm.Target.Tag = s.warmup(), false
	if _, err := l.client(ctx, warm, a); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	before, err := server.mark()
	if err != nil {
		return nil, err
	}
	if a.scrape {
		defer scrape(ctx, server.hello.URL+"/metrics")()
	}
	got, err := l.client(ctx, job, a)
	if err != nil {
		return nil, err
	}
	after, err := server.mark()
	if err != nil {
		return nil, err
	}
	return got.layerRun(s, a, before, after)
}

// same gives endpoints with other defaults the sampling of the base.
func (j *clientJob) same() {
	if j.Target.Dialect == load.Native {
		j.Target.Extra = map[string]any{"top_p": 1, "repetition_penalty": 1}
	}
}

// counters joins what the client saw with what the server's counters say.
func (c *clientRun) counters(name string, before, after *mark) (*LayerRun, error) {
	if c.OK == 0 {
		return nil, fmt.Errorf("bench: every request failed: %s", c.Failure)
	}
	r := &LayerRun{Layer: name, Requests: c.Requests, OK: c.OK, Tokens: c.Tokens, PromptTotal: c.Prompt, Seconds: c.Seconds, ClientCPU: c.CPU,
		Failure: c.Failure, CPU: after.CPU - before.CPU}
	if c.Tokens > 0 {
		r.Allocs = float64(after.Mallocs-before.Mallocs) / float64(c.Tokens)
	}
	r.occupied(before.Stats, after.Stats)
	return r, nil
}

func (c *clientRun) layerRun(s *Scenario, a axis, before, after *mark) (*LayerRun, error) {
	r, err := c.counters(a.name, before, after)
	if err != nil {
		return nil, err
	}
	prompt := c.Prompt / c.OK
	if a.name == "chat" || c.Prompt == 0 {
		prompt = after.PromptTokens // the template's own tokens come on top; an endpoint may not tell
	}
	if r.Conditions, err = s.conditions(prompt); err != nil {
		return nil, err
	}
	if a.name == "http" {
		r.Spans, err = attribute(c.Samples, after.Traces)
	}
	return r, err
}

// client runs the load generator in a process of its own.
func (l *Layers) client(ctx context.Context, job clientJob, a axis) (*clientRun, error) {
	var run clientRun
	if a.python == "" {
		err := process(ctx, l.Executable, layerJob{Layer: "client", Client: &job}, &run)
		return &run, err
	}
	cmd := exec.CommandContext(ctx, l.Python, "-c", pythonClient, a.python, job.Target.URL, strconv.Itoa(job.Clients), strconv.Itoa(job.Requests),
		strconv.Itoa(job.Target.MaxTokens), strconv.FormatFloat(job.Target.Temperature, 'g', -1, 64))
	cmd.Stdin = strings.NewReader(job.Prompt)
	return &run, runJSON(cmd, &run)
}

//go:embed client.py
var pythonClient string

// process runs this program's hidden command.
func process(ctx context.Context, executable string, job layerJob, into any) error {
	data, err := json.Marshal(job)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	cmd := exec.CommandContext(ctx, executable, "bench", "layer")
	cmd.Stdin = bytes.NewReader(data)
	return runJSON(cmd, into)
}

// runJSON runs a program that prints one JSON value.
func runJSON(cmd *exec.Cmd, into any) error {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%w: %s", err, lastLine(stderr.Bytes()))
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("bench: %s printed no result: %w", cmd.Path, err)
	}
	return nil
}

func lastLine(b []byte) string {
	b = bytes.TrimSpace(b)
	return string(b[bytes.LastIndexByte(b, '\n')+1:])
}

// serverProcess is the hidden command as a server.
type serverProcess struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	stderr bytes.Buffer
	hello  hello
}

func startServer(ctx context.Context, executable string, job layerJob) (*serverProcess, error) {
	p := &serverProcess{cmd: exec.CommandContext(ctx, executable, "bench", "layer")}
	p.cmd.Stderr = &p.stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	p.out = json.NewDecoder(out)
	err = json.NewEncoder(p.in).Encode(job)
	if err == nil {
		err = p.out.Decode(&p.hello)
	}
	if err != nil {
		err = errors.Join(err, p.stop())
		return nil, fmt.Errorf("bench: the server did not start: %w: %s", err, lastLine(p.stderr.Bytes()))
	}
	return p, nil
}

// mark reads the server's counters.
func (p *serverProcess) mark() (*mark, error) {
	var m mark
	err := json.NewEncoder(p.in).Encode(map[string]bool{"mark": true})
	if err == nil {
		err = p.out.Decode(&m)
	}
	if err != nil {
		return nil, fmt.Errorf("bench: the server went away: %w", err)
	}
	return &m, nil
}

// stop ends the server: it ends with its standard input.
func (p *serverProcess) stop() error {
	p.in.Close()
	return p.cmd.Wait()
}
