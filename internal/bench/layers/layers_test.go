package layers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// TestMain lets the test binary be the program that layers start themselves in.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "bench" && os.Args[2] == "layer" {
		if err := new(Layer).Run(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func tinyPath(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinymodel.Write(path, tinymodel.Options{}); err != nil {
		t.Fatal(err)
	}
	return path
}

func executable(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func tinyLayers(t *testing.T) *Layers {
	return &Layers{Model: tinyPath(t), Requests: 10, Concurrency: 4, Gen: 6, PromptTokens: 12, Prompt: "water and wheel ", Temperature: 0.7, MaxBatch: 4, Ctx: 64,
		Threads: 1, Repeats: 1, Rounds: 2, Layers: layerNames, Executable: executable(t), Tier: cpu.Detect()}
}

func TestLayers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a dozen processes")
	}
	l := tinyLayers(t)
	l.Axes = []string{"fresh", "h2c", "tls", "streamed", "native", "chat", "crowded", "logging", "scraped", "requests"}
	l.JSON = true
	l.Out = filepath.Join(t.TempDir(), "l.json")
	var out bytes.Buffer
	if err := l.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	var res Result
	if err := json.Unmarshal(out.Bytes(), &res); err != nil {
		t.Fatal(err)
	}
	if len(res.Layers) != 5 || len(res.Axes) != 9 || len(res.Skipped) != 1 {
		t.Fatalf("%d layers, %d axes, skipped %q", len(res.Layers), len(res.Axes), res.Skipped)
	}
	for _, x := range append(res.Layers, res.Axes...) {
		if x.OK != 10 || x.Requests != 10 || len(x.Samples) != 2 || x.TokensPerSecond <= 0 || math.Abs(x.MsPerToken*x.TokensPerSecond-1000) > 1e-6 {
			t.Errorf("%+v", x)
		}
	}
	// The tiny model is done with a request before the next client has come round.
	if core := res.Layers[2]; core.Name != "core" || core.Occupancy < 1 || core.Occupancy > 4 {
		t.Errorf("%+v", core)
	}
	if res.Spans == nil || len(res.Spans.Spans) != len(spanNames) || res.Spans.Latency <= 0 {
		t.Fatalf("%+v", res.Spans)
	}
	for _, s := range res.Spans.Spans {
		if s.Mean < -0.05 { // two clocks' readings, so a hair below zero is noise
			t.Errorf("%s took %v ms", s.Name, s.Mean)
		}
	}
	var stored Result
	data, err := os.ReadFile(l.Out)
	if err := errors.Join(err, json.Unmarshal(data, &stored)); err != nil || stored.Kind != "layers" || len(stored.Series()) != 14+13+1 { // speeds, shares of core's, probes
		t.Errorf("the stored result: %v", err)
	}
}

// Every layer does the same work, whatever it is called through.
func TestLayersAgreeOnTheWork(t *testing.T) {
	l := tinyLayers(t)
	s := l.scenario()
	for _, name := range []string{"kernel", "executor", "core", "handler"} {
		j := layerJob{Layer: name, Scenario: *s, Warmup: 2}
		m, err := j.open()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r, err := j.measure(t.Context(), m)
		if err := errors.Join(err, m.close()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.OK != 10 || r.Tokens != 60 || r.PromptTotal != 120 || r.Failure != "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestPasses(t *testing.T) {
	p := passes{batch: 3, prompt: 10, gen: 3, rows: 16}
	want := []pass{{16, 1}, {14, 2}, {3, 3}, {3, 3}}
	if got := p.wave(3); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := (passes{batch: 1, prompt: 16, gen: 1, rows: 16}).wave(1); !slices.Equal(got, []pass{{16, 1}}) {
		t.Errorf("%v", got)
	}
}

// words counts a token for each letter.
type letterTokens struct{}

func (letterTokens) Encode(text string, _, _ bool) []int32 { return make([]int32, len([]rune(text))) }

func TestPromptHasTheWantedLength(t *testing.T) {
	s := &Scenario{Prompt: "人工智能", PromptTokens: 10}
	text, ids, err := s.prompt(letterTokens{})
	if err != nil || text != "人工智能人工智能人工" || len(ids) != 10 {
		t.Errorf("%q %d %v", text, len(ids), err)
	}
	s.PromptTokens = 0
	if text, _, _ := s.prompt(letterTokens{}); text != s.Prompt {
		t.Errorf("%q", text)
	}
	s.Prompt, s.PromptTokens = "", 3
	if _, _, err := s.prompt(letterTokens{}); err == nil {
		t.Error("a prompt was made of nothing")
	}
}

func TestLayersRefuse(t *testing.T) {
	floors := filepath.Join(t.TempDir(), "f.json")
	if err := os.WriteFile(floors, []byte(`{"layers":[{"files":["tiny.gguf"],"floors":{"core":0.1}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Layers){
		"no model":        func(l *Layers) { l.Model = "" },
		"missing model":   func(l *Layers) { l.Model = "/does/not/exist.gguf" },
		"no tokens":       func(l *Layers) { l.Gen = 0 },
		"no requests":     func(l *Layers) { l.Requests = 0 },
		"no repeats":      func(l *Layers) { l.Repeats = 0 },
		"few for a floor": func(l *Layers) { l.Floors, l.Repeats = floors, 4 },
		"no rounds":       func(l *Layers) { l.Rounds = 0 },
		"no context":      func(l *Layers) { l.Ctx = -5 },
		"temperature":     func(l *Layers) { l.Temperature = math.NaN() },
		"unknown peer":    func(l *Layers) { l.Peer = []string{"ollama=/bin/true"} },
		"missing peer":    func(l *Layers) { l.Peer = []string{"llama-server=/does/not/exist"} },
		"no floors":       func(l *Layers) { l.Floors = "/does/not/exist.json" },
		"no prompt":       func(l *Layers) { l.Prompt = "" },
		"small context":   func(l *Layers) { l.Ctx = 10 },
		"unknown layer":   func(l *Layers) { l.Layers = []string{"wire"} },
		"no layer":        func(l *Layers) { l.Layers = nil },
	} {
		l := tinyLayers(t)
		change(l)
		if err := l.Run(t.Context(), new(bytes.Buffer)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestUnlikeConditionsAreNotCompared(t *testing.T) {
	run := func(tokens int, conditions string) *LayerRun {
		return &LayerRun{Requests: 1, OK: 1, Tokens: tokens, Seconds: 1, Conditions: conditions}
	}
	r := &Result{Layers: []LayerResult{{Name: "core", runs: []*LayerRun{run(10, "8 threads")}}, {Name: "handler", runs: []*LayerRun{run(9, "2 threads")}}}}
	if err := r.conclude(1); err == nil || !strings.Contains(err.Error(), "unlike conditions") {
		t.Errorf("%v", err)
	}
	r.Layers[1].runs[0] = run(0, "8 threads")
	if err := r.conclude(1); err == nil || !strings.Contains(err.Error(), "0 tokens") {
		t.Errorf("%v", err)
	}
	r.Layers[1].runs[0] = run(9, "8 threads")
	if err := r.conclude(1); err != nil || math.Abs(r.Layers[1].Loss-0.1) > 1e-9 {
		t.Errorf("%v, loss %v", err, r.Layers[1].Loss)
	}
}

// Rounds of a repeat share its processes, so that they are no independent values.
func TestSeriesAreRepeats(t *testing.T) {
	r := &Result{Settings: map[string]any{"rounds": 2.0}, Layers: []LayerResult{{Name: "core", Samples: []float64{1, 4, 2, 8, 3, 27}}}}
	if got := r.Series()[0].Values; len(got) != 3 || math.Abs(got[0]-2) > 1e-12 || math.Abs(got[1]-4) > 1e-12 || math.Abs(got[2]-9) > 1e-12 {
		t.Errorf("six rounds of three repeats are %v", got)
	}
}

func TestNoiseIsNamed(t *testing.T) {
	r := &Result{Layers: []LayerResult{{Name: "core"}, {Name: "handler"}, {Name: "http"}}}
	for i := range 7 {
		for k, speed := range []float64{100, 100 + float64(i%3-1), 90} {
			r.Layers[k].runs = append(r.Layers[k].runs, &LayerRun{Requests: 1, OK: 1, Tokens: int(speed * 10), Seconds: 10})
		}
	}
	if err := r.conclude(1); err != nil {
		t.Fatal(err)
	}
	if len(r.Noise) != 1 || r.Noise[0] != "core and handler" {
		t.Errorf("%q", r.Noise)
	}
}

func TestAttribution(t *testing.T) {
	const ms = 1_000_000
	server := []serverTimes{{ID: "1", Entered: 2 * ms, Read: 3 * ms, Submitted: 5 * ms, Scheduled: 6 * ms, Finished: 96 * ms, Woken: 97 * ms, Decoded: 98 * ms,
		Writing: 99 * ms, Left: 100 * ms, Forward: 80 * ms, Sampling: 8 * ms, BatchWait: 2 * ms, Detokenise: ms, Write: ms}}
	s, err := attribute([]clientTimes{{ID: "1", Sent: 0, End: 101 * ms}}, server)
	if err != nil {
		t.Fatal(err)
	}
	table, err := spanTable([]*LayerRun{{Spans: s}})
	if err != nil || !table.Trusted || math.Abs(table.Share-1) > 1e-9 {
		t.Errorf("%+v %v", table, err)
	}
	server[0].Forward = 70 * ms // something that nobody measured
	s, _ = attribute([]clientTimes{{ID: "1", Sent: 0, End: 101 * ms}}, server)
	if table, _ = spanTable([]*LayerRun{{Spans: s}}); table.Trusted || !strings.Contains(table.Verdict(), "not to be trusted") {
		t.Errorf("a tenth is missing and nobody says so: %+v", table)
	}
	if _, err := attribute([]clientTimes{{ID: "2"}}, server); err == nil {
		t.Error("a request that the server does not know was attributed")
	}
	if _, err := attribute(nil, server); err == nil {
		t.Error("no request was attributed")
	}
}

func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	name := func(text string) string {
		path := filepath.Join(dir, "m")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := fingerprint(path)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if a, b, again := name("abc"), name("abd"), name("abc"); a == b || a != again {
		t.Error("files are confused")
	}
}

func TestMock(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a dozen processes")
	}
	m := &Mock{Requests: 16, Concurrency: 4, Gen: 10, Step: time.Millisecond, Prompt: PlainPrompt, API: "chat", Repeats: 1, Output: results.Output{JSON: true}, Executable: executable(t)}
	var out bytes.Buffer
	if err := m.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	var res MockResult
	if err := json.Unmarshal(out.Bytes(), &res); err != nil {
		t.Fatal(err)
	}
	if len(res.Runs) != 8 || res.Unpaced.CPUPerRequest.N != 1 || res.Paced.CPUPerToken.N != 1 {
		t.Errorf("%+v", res)
	}
	if res.Paced.AllocsPerToken > 2 || res.Unpaced.AllocsPerToken > 2 {
		t.Errorf("%.2f allocations for a streamed token, from sampled id to socket", res.Paced.AllocsPerToken)
	}
	for _, r := range res.Runs {
		if r.TokensPerSecond <= 0 || r.Paced && r.TokensPerSecond > 4100 { // four sequences, a step a millisecond
			t.Errorf("%+v", r)
		}
	}
	if err := res.print(&out); err != nil || !strings.Contains(out.String(), "the front end itself") {
		t.Error(err)
	}
}

// With twice as many clients as the batch has room for, the batch stays full.
func TestBatchIsFullWhileRequestsWait(t *testing.T) {
	s := Scenario{Tier: cpu.Generic.String(), Threads: 1, MaxBatch: 8, Requests: 64, Concurrency: 16, Gen: 20, PromptTokens: 32, Prompt: PlainPrompt}
	j := layerJob{Layer: "mock", Scenario: s, Mock: &mockJob{Step: time.Millisecond}}
	m, err := j.open()
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	r, err := j.measure(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if r.OK != 64 || r.BusySeqs < 6 { // 8 on an idle machine, half of it without a queue
		t.Errorf("%d requests, %.2f sequences of 8 while others waited", r.OK, r.BusySeqs)
	}
}

// A pair of rounds goes there and back.
func TestRoundsAlternate(t *testing.T) {
	var order []string
	c := &processes{layers: &Layers{}, probe: func() (float64, error) { return 1, nil }}
	for _, name := range []string{"a", "b", "c"} {
		c.add(&LayerResult{Name: name}, func(context.Context) (*LayerRun, error) {
			order = append(order, name)
			return &LayerRun{}, nil
		})
	}
	for i := range 4 {
		if err := c.round(t.Context(), i, ""); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(order, ""); got != "abccbabcaacb" {
		t.Error(got)
	}
}

// A machine that changes its speed between runs changes no ratio; one that does so during a run has it measured again.
func TestProbesCancelTheMachine(t *testing.T) {
	speed := 1.0
	a, b := &LayerResult{Name: "core"}, &LayerResult{Name: "http"}
	c := &processes{layers: &Layers{}, probe: func() (float64, error) { return 100 * speed, nil }}
	runs := 0
	c.add(a, func(context.Context) (*LayerRun, error) {
		if runs++; runs == 3 {
			speed = 0.8 // from here on, and during this run
		}
		return &LayerRun{Requests: 1, OK: 1, Tokens: int(1000 * speed), Seconds: 1}, nil
	})
	c.add(b, func(context.Context) (*LayerRun, error) {
		return &LayerRun{Requests: 1, OK: 1, Tokens: int(950 * speed), Seconds: 1}, nil
	})
	for i := range 12 {
		if err := c.round(t.Context(), i, ""); err != nil {
			t.Fatal(err)
		}
	}
	r := &Result{Layers: []LayerResult{*a, *b}}
	if err := r.conclude(2); err != nil {
		t.Fatal(err)
	}
	x := r.Layers[1]
	if math.Abs(x.Loss-0.05) > 1e-9 || math.Abs(x.LossCI95[1]-x.LossCI95[0]) > 1e-9 || r.Layers[0].Again != 1 || len(r.Notes) != 1 {
		t.Errorf("%+v %q", x, r.Notes)
	}
}

func TestLayerFloors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.json")
	if err := os.WriteFile(path, []byte(`{"layers":[{"files":["m.gguf"],"floors":{"core":0.9,"handler":0.99,"http":0.98,"occupancy":7.5}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	floors, err := results.ReadLayerFloors(path, "m.gguf")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := results.ReadLayerFloors(path, "other.gguf"); err == nil {
		t.Error("a model without floors was held to none")
	}
	r := &Result{Layers: []LayerResult{{Name: "executor"}, {Name: "core"}, {Name: "handler"}, {Name: "http"}}, Axes: []LayerResult{{Name: "crowded"}}}
	for i := range 10 {
		for k, speed := range []float64{1000, 950, 945, 900} {
			r.Layers[k].runs = append(r.Layers[k].runs, &LayerRun{Requests: 1, OK: 1, Tokens: int(speed) + i, Seconds: 1})
		}
		r.Axes[0].runs = append(r.Axes[0].runs, &LayerRun{Requests: 1, OK: 1, Tokens: 900, Seconds: 1, BusySeqs: 7.9})
	}
	if err := r.conclude(2); err != nil {
		t.Fatal(err)
	}
	r.hold(floors)
	var got []string
	for _, f := range r.Floors {
		got = append(got, fmt.Sprintf("%s %.2f %v", f.Name, f.Value, f.Reached))
	}
	want := []string{"core 0.95 true", "handler 0.99 true", "http 0.95 false", "batch while requests wait 7.90 true"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if err := r.missed(); err == nil || !strings.Contains(err.Error(), "http") {
		t.Errorf("%v", err)
	}
}

// A worker that dies says why, and whoever asks it learns that.
func TestWorkerThatDies(t *testing.T) {
	job := layerJob{Layer: "core", Scenario: *tinyLayers(t).scenario()}
	job.Scenario.Model = "/does/not/exist.gguf"
	if _, err := startWorker(command(t.Context(), executable(t)), job, new(hello)); err == nil || !strings.Contains(err.Error(), "exist.gguf") {
		t.Errorf("%v", err)
	}
	client := layerJob{Client: &clientJob{Requests: 2, Clients: 1, Target: load.Target{URL: "http://127.0.0.1:1", Dialect: load.Completions, MaxTokens: 1}}}
	w, err := startWorker(command(t.Context(), executable(t)), client, new(hello))
	if err != nil {
		t.Fatal(err)
	}
	defer w.stop()
	var r clientRun
	if err := w.ask(question{}, &r); err != nil || r.OK != 0 || r.Failure == "" {
		t.Errorf("%v %+v", err, r)
	}
	if _, err := r.counters("x", &mark{}, &mark{}); err == nil || !strings.Contains(err.Error(), "every request failed") {
		t.Errorf("%v", err)
	}
}
