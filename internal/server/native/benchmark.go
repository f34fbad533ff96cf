package native

import (
	"cmp"
	"context"
	"sync"
	"time"

	api "github.com/penstock-llm/penstock/api/native"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// defaultPrompt is the prompt of cLLM's own benchmark.
const defaultPrompt = "人工智能是计算机科学的一个分支"

// benchmark is POST /benchmark: the engine without HTTP, fed by goroutines of
// this process, beside whatever else it is doing. All requests have the same
// prompt, as cLLM's have, so the prefix cache serves what it can.
func benchmark(call *serving.Call) *serving.Error {
	var req api.BenchmarkRequest
	if call.R.ContentLength != 0 {
		if err := call.Decode(&req); err != nil {
			return err
		}
	}
	m, err := call.Acquire(req.Model)
	if err != nil {
		return err
	}
	defer m.Release()
	var c serving.Check
	b := bench{
		model:       m.Deployment,
		requests:    c.Int("requests", req.Requests, 40, 1, 10_000),
		concurrency: c.Int("concurrency", req.Concurrency, 8, 1, 256),
		tokens:      c.Int("max_tokens", req.MaxTokens, 50, 1, m.Context()),
		temperature: c.Float("temperature", req.Temperature, 0.7, 0, 2),
		client:      call.Client,
	}
	text := defaultPrompt
	if req.Prompt != nil {
		text = *req.Prompt
	}
	if err := c.Err(); err != nil {
		return err
	}
	err = m.Prepare(call.R.Context(), len(text), func() (err *serving.Error) {
		b.prompt, err = m.Encode(text, true)
		return err
	})
	if err != nil {
		return err
	}
	if len(b.prompt) >= m.Context() {
		return serving.TooLong(len(b.prompt), m.Context(), "")
	}
	ctx, cancel := call.Context()
	defer cancel()
	report, failure := b.run(ctx)
	if err := ctx.Err(); err != nil {
		return serving.FromEngine(err)
	}
	if report.SuccessfulRequests == 0 { // an error is better than averages of nothing
		return serving.FromEngine(failure)
	}
	return answer(call, report)
}

type bench struct {
	model                         *serving.Deployment
	requests, concurrency, tokens int
	temperature                   float32
	prompt                        []int32
	client                        serving.Principal
}

// outcome is what became of one request of the benchmark.
type outcome struct {
	time              time.Duration
	prompt, generated int
	err               error
}

// run sends all requests and sums them up. The error is that of the first request
// that failed.
func (b *bench) run(ctx context.Context) (api.Benchmark, error) {
	outcomes := make([]outcome, b.requests)
	next := make(chan int)
	var wait sync.WaitGroup
	start := time.Now()
	for range min(b.concurrency, b.requests) {
		wait.Go(func() {
			for i := range next {
				outcomes[i] = b.one(ctx, i)
			}
		})
	}
	for i := range outcomes {
		next <- i
	}
	close(next)
	wait.Wait()
	var failure error
	for _, o := range outcomes {
		failure = cmp.Or(failure, o.err)
	}
	return summarise(outcomes, time.Since(start).Seconds()), failure
}

func (b *bench) one(ctx context.Context, i int) outcome {
	start := time.Now()
	s, err := b.model.Engine.Submit(ctx, engine.Request{
		Prompt:    b.prompt,
		MaxTokens: b.tokens,
		Params:    sample.Params{Temperature: b.temperature, TopP: 1, Seed: uint64(i)},
		IgnoreEOS: true,
		Wake:      engine.WakeEnd,
		Priority:  b.client.Priority,
		Client:    b.client.Name,
	})
	if err != nil {
		return outcome{err: err}
	}
	defer s.Close()
	for {
		_, more, err := s.Next(ctx)
		if err != nil {
			return outcome{err: err}
		}
		if more {
			continue
		}
		f := s.Finish()
		if f.Reason != engine.Stop && f.Reason != engine.Length {
			return outcome{err: cmp.Or(f.Err, engine.ErrDraining)}
		}
		return outcome{time: time.Since(start), prompt: f.Usage.Prompt, generated: f.Usage.Completion}
	}
}

func summarise(outcomes []outcome, total float64) api.Benchmark {
	r := api.Benchmark{TotalRequests: len(outcomes), TotalTime: total}
	generated, sum := 0, 0.0
	for _, o := range outcomes {
		if o.err != nil {
			r.FailedRequests++
			continue
		}
		t := o.time.Seconds()
		if r.SuccessfulRequests == 0 || t < r.MinResponseTime {
			r.MinResponseTime = t
		}
		r.MaxResponseTime = max(r.MaxResponseTime, t)
		r.SuccessfulRequests++
		sum += t
		generated += o.generated
		r.TotalTokensProcessed += o.prompt + o.generated
	}
	if n := float64(r.SuccessfulRequests); n > 0 {
		r.AvgResponseTime = sum / n
		r.AvgGeneratedTokens = float64(generated) / n
		r.AvgThroughput = float64(generated) / max(total, 1e-9)
		r.AvgTokensPerSecond = r.AvgThroughput
	}
	return r
}
