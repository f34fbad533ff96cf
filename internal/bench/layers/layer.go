package layers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/engine"
)

// layerNames lists the layers from the arithmetic outwards. Each layer does everything that the one before it does, and more.
var layerNames = []string{"kernel", "executor", "core", "handler", "http"}

// Layer measures one layer in a process of its own: the hidden command `penstock bench layer`, which Layers starts as a worker. Its job is
// a layerJob, and it answers each question with a LayerRun.
type Layer struct{}

// layerJob tells a layer's process what to measure.
type layerJob struct {
	Layer    string   `json:"layer"` // one of layerNames except http, or "mock" or "serve"; unused with Client
	Scenario Scenario `json:"scenario"`
	Warmup   int      `json:"warmup"` // number of requests before every run
	Serve    serveJob `json:"serve"`
	Client   *clientJob
	Mock     *mockJob `json:"mock,omitempty"` // use an executor that computes nothing instead of a model
}

// LayerRun is one measurement of a layer.
type LayerRun struct {
	Layer       string  `json:"layer"`
	Requests    int     `json:"requests"`
	OK          int     `json:"ok"`
	Tokens      int     `json:"tokens"`
	PromptTotal int     `json:"prompt_tokens"`
	Seconds     float64 `json:"seconds"`
	CPU         float64 `json:"cpu_seconds"` // used by the process that computes
	ClientCPU   float64 `json:"client_cpu_seconds,omitempty"`
	Allocs      float64 `json:"allocs_per_token,omitempty"`
	Occupancy   float64 `json:"occupancy,omitempty"` // mean number of sequences in a step
	BusySeqs    float64 `json:"busy_occupancy,omitempty"`
	Conditions  string  `json:"conditions"` // model file, threads, settings: equal in all layers
	Spans       *Spans  `json:"spans,omitempty"`
	Failure     string  `json:"failure,omitempty"`
	Idle        float64 `json:"idle_seconds,omitempty"` // time since the process's last run
	IdleCPU     float64 `json:"idle_cpu_seconds,omitempty"`
	Machine     float64 `json:"machine,omitempty"` // mean of the two probes of the machine's speed around the run
}

// TokensPerSecond is the layer's speed.
func (r *LayerRun) TokensPerSecond() float64 { return float64(r.Tokens) / r.Seconds }

// Run reads a layerJob from in and does it.
func (l *Layer) Run(ctx context.Context, in io.Reader, out io.Writer) error {
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var job layerJob
	if err := dec.Decode(&job); err != nil {
		return fmt.Errorf("layer: %w", err)
	}
	if job.Client != nil {
		return job.Client.serve(ctx, dec, enc)
	}
	if job.Mock == nil {
		if err := job.Scenario.Check(); err != nil {
			return err
		}
	}
	if job.Layer == "serve" {
		return job.serve(dec, enc)
	}
	return job.stay(ctx, dec, enc)
}

// measurable is a layer that runs within one process.
type measurable interface {
	run(ctx context.Context, requests int) (*LayerRun, error)
	close() error
}

func (j *layerJob) open() (measurable, error) {
	switch j.Layer {
	case "kernel":
		return newKernelLayer(&j.Scenario)
	case "executor":
		x, err := OpenExecutor(&j.Scenario)
		if err != nil {
			return nil, err
		}
		return x, nil
	case "core":
		return newCoreLayer(&j.Scenario)
	case "handler":
		return newHandlerLayer(&j.Scenario)
	case "mock":
		return newMockCore(&j.Scenario, j.Mock)
	}
	return nil, fmt.Errorf("layer %q is not known", j.Layer)
}

// stay loads the layer, warms it up, and measures it each time it is asked.
func (j *layerJob) stay(ctx context.Context, dec *json.Decoder, enc *json.Encoder) error {
	m, err := j.open()
	if err != nil {
		return err
	}
	if err := j.warm(ctx, m); err != nil {
		return errors.Join(err, m.close())
	}
	if err := enc.Encode(hello{}); err != nil {
		return errors.Join(err, m.close())
	}
	rested, used := time.Now(), cpu.Used()
	err = answerLines(dec, enc, func(question) (any, error) {
		idle, idleCPU := time.Since(rested), cpu.Used()-used
		r, err := j.measure(ctx, m)
		if err != nil {
			return nil, err
		}
		r.Idle, r.IdleCPU = idle.Seconds(), idleCPU.Seconds()
		rested, used = time.Now(), cpu.Used()
		return r, nil
	})
	return errors.Join(err, m.close())
}

func (j *layerJob) warm(ctx context.Context, m measurable) error {
	if j.Warmup == 0 {
		return nil
	}
	_, err := m.run(ctx, j.Warmup)
	return err
}

// measure warms the layer up and measures it once.
func (j *layerJob) measure(ctx context.Context, m measurable) (*LayerRun, error) {
	if err := j.warm(ctx, m); err != nil {
		return nil, err
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpuBefore := cpu.Used()
	r, err := m.run(ctx, j.Scenario.Requests)
	if err != nil {
		return nil, err
	}
	r.CPU = (cpu.Used() - cpuBefore).Seconds()
	runtime.ReadMemStats(&after)
	r.Layer = j.Layer
	if r.Tokens > 0 {
		r.Allocs = float64(after.Mallocs-before.Mallocs) / float64(r.Tokens)
	}
	if j.Mock == nil {
		r.Conditions, err = j.Scenario.conditions(r.PromptTotal / max(1, r.Requests))
	}
	return r, err
}

// conditions describes what must be equal in all layers that are compared.
func (s *Scenario) conditions(promptTokens int) (string, error) {
	file, err := fingerprint(s.Model)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("model %s; tier %s; %d threads; batch %d; context %d; %d requests of %d clients; %d prompt and %d generated tokens; temperature %g",
		file, s.Tier, s.Threads, s.MaxBatch, s.Ctx, s.Requests, s.Concurrency, promptTokens, s.Gen, s.Temperature), nil
}

// occupied computes the mean number of sequences in a step between two readings of the engine's counters.
func (r *LayerRun) occupied(before, after engine.Stats) {
	var steps, seqs float64
	for n := range after.Occupancy {
		k := float64(after.Occupancy[n] - before.Occupancy[n])
		steps += k
		seqs += k * float64(n)
	}
	if steps > 0 {
		r.Occupancy = seqs / steps
	}
	if busy := after.BusySteps - before.BusySteps; busy > 0 {
		r.BusySeqs = float64(after.BusySeqs-before.BusySeqs) / float64(busy)
	}
}

// clients runs a closed loop within the process: each of n clients begins the next request when its last one is done.
func clients(n, requests int, do func(i int) (prompt, tokens int, err error)) (*LayerRun, error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		next  int
		first error
	)
	r := &LayerRun{Requests: requests}
	start := time.Now()
	for range min(n, requests) {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= requests {
					return
				}
				prompt, tokens, err := do(i)
				mu.Lock()
				if err != nil {
					first = errors.Join(first, err)
				} else {
					r.OK++
					r.PromptTotal += prompt
					r.Tokens += tokens
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	r.Seconds = time.Since(start).Seconds()
	if r.OK == 0 {
		return nil, fmt.Errorf("every request failed: %w", first)
	}
	if first != nil {
		r.Failure = first.Error()
	}
	return r, nil
}
