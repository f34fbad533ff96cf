package layers

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"runtime"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
)

// clientJob tells the load generator's process what to send. The processes of this program and of Python read the same JSON.
type clientJob struct {
	Target   load.Target `json:"target"`
	Prompt   string      `json:"prompt"`
	Clients  int         `json:"clients"`
	Requests int         `json:"requests"`
	Warmup   int         `json:"warmup"` // number of requests
}

// clientRun is the load generator's report of one run, from this program or from Python.
type clientRun struct {
	Requests int           `json:"requests"`
	OK       int           `json:"ok"`
	Tokens   int           `json:"tokens"`
	Prompt   int           `json:"prompt_tokens"`
	Seconds  float64       `json:"seconds"`
	CPU      float64       `json:"cpu_seconds"`
	Failure  string        `json:"failure,omitempty"`
	Samples  []clientTimes `json:"samples,omitempty"`
}

// clientTimes are the moments of one request as its client saw them, in nanoseconds of the wall clock. The server's process reads
// the same clock, so that its moments can be compared with these.
type clientTimes struct {
	ID   string `json:"id"`
	Sent int64  `json:"sent"`
	End  int64  `json:"end"`
}

// serve sends the load, or the warm-up, each time it is asked. It uses one processor: the load does not need a second one, and
// idle threads of the Go runtime would spin on it and slow the server down.
func (j *clientJob) serve(ctx context.Context, dec *json.Decoder, enc *json.Encoder) error {
	runtime.GOMAXPROCS(1)
	if err := enc.Encode(hello{}); err != nil {
		return err
	}
	return answerLines(dec, enc, func(q question) (any, error) {
		job := *j
		if q.Warm {
			job.Requests, job.Target.Tag = j.Warmup, false
		}
		return job.run(ctx)
	})
}

func (j *clientJob) run(ctx context.Context) (*clientRun, error) {
	runtime.GC() // so that the garbage of the run before is not collected during this one
	res, err := load.Run(ctx, j.Target, load.Traffic{Clients: j.Clients, Requests: j.Requests}, load.Fixed(j.Prompt), nil)
	if err != nil {
		return nil, err
	}
	r := &clientRun{Requests: len(res.Samples), Seconds: res.Elapsed.Seconds(), CPU: res.CPU.Seconds()}
	for i := range res.Samples {
		s := &res.Samples[i]
		if !s.OK() {
			r.Failure = s.Err
			continue
		}
		r.OK++
		r.Tokens += s.Completion
		r.Prompt += s.Prompt
		if j.Target.Tag {
			start := res.Began.Add(s.Start)
			r.Samples = append(r.Samples, clientTimes{ID: s.ID, Sent: start.UnixNano(), End: start.Add(s.End).UnixNano()})
		}
	}
	return r, nil
}

// scrape reads a page again and again until the returned function is called.
func scrape(ctx context.Context, url string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(scrapeEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return
			}
			if res, err := http.DefaultClient.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, res.Body) // the content does not matter: producing it is the server's work
				res.Body.Close()
			}
		}
	}()
	return func() { cancel(); <-ended }
}
