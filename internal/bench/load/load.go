// Package load sends requests to an inference server over HTTP and records when each piece of each answer arrived: closed
// loop or open loop, streamed or not, over kept or fresh connections, HTTP/1.1, HTTP/2 and TLS, in the dialects of OpenAI,
// Ollama and the native API. It draws no conclusions; package loadtest, which calls it, turns the samples into figures. As the
// client often shares its cores with the server it measures, HTTP/1.1 is read by hand and bodies are not parsed while a clock
// runs.
package load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// Sample is one request. Times are relative: Start to the beginning of the run, the others to Start.
type Sample struct {
	Start  time.Duration   `json:"start"`            // when it was sent; in an open loop, when it was due
	Late   time.Duration   `json:"late,omitempty"`   // open loop: sent this much after it was due
	First  time.Duration   `json:"first,omitempty"`  // arrival of the first event with text; 0 when not streamed
	End    time.Duration   `json:"end"`              // arrival of the last byte
	Events []time.Duration `json:"events,omitempty"` // arrival of each event with text

	Prompt     int    `json:"prompt_tokens"`     // from the server's usage
	Cached     int    `json:"cached_tokens"`     // of the prompt's tokens, those that the server had in its cache
	Completion int    `json:"completion_tokens"` // from the server's usage
	Counted    bool   `json:"counted"`           // the server did report usage
	Finish     string `json:"finish,omitempty"`
	Model      string `json:"model,omitempty"` // as the answer names it
	Status     int    `json:"status"`
	ID         string `json:"id,omitempty"`     // sent as x-request-id, if the target asks for it
	Resent     bool   `json:"resent,omitempty"` // the server had closed the kept connection, so it was sent again
	Err        string `json:"error,omitempty"`  // empty: succeeded

	silent bool // the connection failed before any answer came
}

// OK reports whether the request succeeded.
func (s *Sample) OK() bool { return s.Err == "" }

// Traffic says how much load, and how it arrives.
type Traffic struct {
	Clients    int           // closed loop: this many, each sends when its last answer is complete; open loop: at most this many requests at once (0: no bound)
	Requests   int           // stop after this many (0: no bound)
	Duration   time.Duration // send none after this long (0: no bound)
	Rate       float64       // open loop: mean arrivals per second; 0 makes it a closed loop
	RampTo     float64       // the rate grows from Rate to this over the run
	Burstiness float64       // shape of the gamma-distributed gaps: 1 Poisson, below burstier, above more even; 0 constant gaps
	Seed       uint64        // of the gaps
	Patience   time.Duration // end the run with an error after this time in which all connections failed (0: 10 s)
}

// within reports whether x lies in [0, most]; NaN does not.
func within(x, most float64) bool { return x >= 0 && x <= most }

func (p Traffic) check() error {
	switch {
	case p.Requests <= 0 && p.Duration <= 0:
		return errors.New("neither a number of requests nor a duration is set")
	case !within(p.Rate, 1e6) || !within(p.RampTo, 1e6) || !within(p.Burstiness, 1e6):
		return errors.New("a rate or burstiness is negative, or beyond a million")
	case p.Rate == 0 && p.Clients <= 0:
		return errors.New("a closed loop needs at least one client")
	}
	return nil
}

// Result is a finished run.
type Result struct {
	Samples []Sample
	Began   time.Time
	Elapsed time.Duration // from the first request's start to the last answer's end
	CPU     time.Duration // this process's CPU time in the run: the cost of the client, if nothing else ran in the process
}

// Run sends the load and returns all samples, ordered by the start of the request. done, unless nil, is called after each request, from
// many goroutines. A failed request is a sample with an error. Run itself fails when nothing could be sent, when ctx ends before the load
// does, and when the server has stopped answering.
func Run(ctx context.Context, target Target, traffic Traffic, prompts Prompts, done func(*Sample)) (*Result, error) {
	if err := traffic.check(); err != nil {
		return nil, err
	}
	e, err := target.endpoint()
	if err != nil {
		return nil, err
	}
	r := &run{endpoint: e, target: target, traffic: traffic, prompts: prompts, done: done}
	defer r.close()
	loop, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.watch = newWatch(target.URL, traffic.Patience, cancel)
	before := cpu.Used()
	r.began = time.Now()
	if traffic.Rate > 0 {
		r.open(loop)
	} else {
		r.closed(loop)
	}
	res := &Result{Samples: r.collect(), Began: r.began, CPU: cpu.Used() - before}
	for i := range res.Samples {
		s := &res.Samples[i]
		res.Elapsed = max(res.Elapsed, s.Start+s.End)
	}
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("interrupted after %d requests: %w", len(res.Samples), ctx.Err())
	case loop.Err() != nil:
		return nil, context.Cause(loop)
	case len(res.Samples) == 0:
		return nil, errors.New("no request was sent")
	}
	return res, nil
}

type run struct {
	endpoint *endpoint
	target   Target
	traffic  Traffic
	prompts  Prompts
	done     func(*Sample)
	began    time.Time
	watch    *watch
	next     atomic.Int64 // conversations handed out
	sent     atomic.Int64 // requests handed out: a conversation has one for each turn

	mu      sync.Mutex
	samples []*Sample
	idle    []transport
}

// closed runs the clients of a closed loop.
func (r *run) closed(ctx context.Context) {
	var wg sync.WaitGroup
	for range r.traffic.Clients {
		wg.Go(func() {
			t := r.endpoint.dial()
			defer t.close()
			var pause backoff
			for ctx.Err() == nil && !r.over() {
				c := r.prompts.Conversation(int(r.next.Add(1) - 1))
				more, answered := r.converse(ctx, t, c, time.Time{})
				if !more || !pause.wait(ctx, answered) {
					return
				}
			}
		})
	}
	wg.Wait()
}

// open starts conversations when they are due, whatever the server does meanwhile.
func (r *run) open(ctx context.Context) {
	var slots chan struct{}
	if r.traffic.Clients > 0 {
		slots = make(chan struct{}, r.traffic.Clients)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for at := range arrivals(r.traffic) {
		due := r.began.Add(at)
		if !sleepUntil(ctx, due) {
			return
		}
		c := r.prompts.Conversation(int(r.next.Add(1) - 1))
		wg.Go(func() {
			if slots != nil {
				slots <- struct{}{}
				defer func() { <-slots }()
			}
			t := r.take()
			r.converse(ctx, t, c, due)
			r.give(t)
		})
	}
}

// over reports whether no further conversation should start.
func (r *run) over() bool {
	return r.traffic.Requests > 0 && r.sent.Load() >= int64(r.traffic.Requests) ||
		r.traffic.Duration > 0 && time.Since(r.began) >= r.traffic.Duration
}

// converse runs the turns of one conversation. more is false when the run is over. answered is false when the last request failed before
// the server answered anything.
func (r *run) converse(ctx context.Context, t transport, c Conversation, due time.Time) (more, answered bool) {
	history := newHistory(c)
	for i, turn := range c.Turns {
		n := r.sent.Add(1)
		if n > int64(r.traffic.Requests) && r.traffic.Requests > 0 {
			return false, true
		}
		body, err := r.target.body(history.messages(turn), turn)
		if err != nil {
			r.record(&Sample{Start: time.Since(r.began), Err: err.Error()})
			return true, true
		}
		s, text := r.exchange(ctx, t, r.message(n, body), due, len(c.Turns) > 1)
		r.record(s)
		if !s.OK() || ctx.Err() != nil {
			return ctx.Err() == nil, !s.silent
		}
		if i+1 < len(c.Turns) {
			history.add(turn, text)
		}
		due = time.Time{}
	}
	return true, true
}

// message is a request's body and, if the target asks for it, its number.
type message struct {
	body []byte
	id   string
}

func (r *run) message(n int64, body []byte) message {
	m := message{body: body}
	if r.target.Tag {
		m.id = strconv.FormatInt(n, 10)
	}
	return m
}

// exchange sends one request and times its answer.
func (r *run) exchange(ctx context.Context, t transport, m message, due time.Time, keepText bool) (*Sample, string) {
	if limit := r.target.Timeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	a := newAnswer(r.target, keepText)
	sent := time.Now()
	start := sent
	if !due.IsZero() {
		start = due
	}
	err := t.do(ctx, m, a)
	if err != nil && ctx.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("timed out after %s", r.target.Timeout)
	}
	s := a.sample(start, err)
	s.ID = m.id
	s.silent = err != nil && a.status == 0 && ctx.Err() == nil
	r.watch.note(s)
	s.Start, s.Late = start.Sub(r.began), sent.Sub(start)
	return s, a.text()
}

func (r *run) record(s *Sample) {
	r.mu.Lock()
	r.samples = append(r.samples, s)
	r.mu.Unlock()
	if r.done != nil {
		r.done(s)
	}
}

func (r *run) collect() []Sample {
	out := make([]Sample, len(r.samples))
	for i, s := range r.samples {
		out[i] = *s
	}
	sortByStart(out)
	return out
}

// take gives an open loop's request the connection that was used last, or a new one.
func (r *run) take() transport {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.idle); n > 0 {
		t := r.idle[n-1]
		r.idle = r.idle[:n-1]
		return t
	}
	return r.endpoint.dial()
}

func (r *run) give(t transport) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle = append(r.idle, t)
}

func (r *run) close() {
	for _, t := range r.idle {
		t.close()
	}
	r.endpoint.close()
}
