package ui

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"runtime/metrics"
	"strconv"
	"sync/atomic"
	"time"

	api "github.com/penstock-llm/penstock/api/page"
	"github.com/penstock-llm/penstock/internal/engine"
	gauges "github.com/penstock-llm/penstock/internal/metrics"
	"github.com/penstock-llm/penstock/internal/sched"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

const (
	interval    = 250 * time.Millisecond // between events while the engine works
	maxWatchers = 32
)

// live serves the live view.
type live struct{ watchers atomic.Int64 }

func newLive() *live { return &live{} }

// watcher is one page that looks.
type watcher struct {
	call  *serving.Call
	out   *http.ResponseController
	name  string // of the model; empty: the one of requests that name none
	begun bool   // the headers are sent
	view  engine.View
	last  []byte // of the last event, what does not change by itself
	sent  time.Time
}

// watch is GET /ui/live. Its events are snapshots: a page that missed some has
// missed nothing that the next one does not say.
func (l *live) watch(call *serving.Call) *serving.Error {
	if l.watchers.Add(1) > maxWatchers {
		l.watchers.Add(-1)
		return &serving.Error{Status: http.StatusServiceUnavailable, Type: "unavailable_error", RetryAfter: 10,
			Message: "too many pages watch this server live: close one"}
	}
	defer l.watchers.Add(-1)
	w := &watcher{call: call, out: http.NewResponseController(call.W), name: call.R.URL.Query().Get("model")}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		over, err := w.look()
		if err != nil || over {
			return err
		}
		select {
		case <-tick.C:
		case <-call.R.Context().Done():
			return serving.Gone()
		}
	}
}

// look sends an event if there is something new. A server that shuts down ends its
// streams, so that it need not wait for them.
func (w *watcher) look() (over bool, failed *serving.Error) {
	listed, err := w.call.Listed(w.name)
	if err != nil && err.Status != http.StatusServiceUnavailable {
		return true, err
	}
	w.begin()
	event := api.Live{State: "loading", Time: time.Now().UnixMilli()}
	if err == nil {
		event.State, event.Model = string(listed.State), listed.ID
	}
	if m := listed.Deployment; m != nil {
		switch err := m.Engine.View(w.call.R.Context(), &w.view); {
		case errors.Is(err, engine.ErrClosed):
			event.State = "unloaded"
		case err != nil:
			return true, serving.Gone()
		default:
			w.fill(&event, m, &listed.Memory)
		}
	}
	switch err := w.call.App.Models.Ready(); {
	case err != nil && err.IsBroken():
		event.State = "restarting"
	case err != nil && listed.Deployment != nil:
		event.State, over = "draining", true
	}
	return over, w.send(&event)
}

// begin sends the headers.
func (w *watcher) begin() {
	if w.begun {
		return
	}
	w.begun = true
	h := w.call.W.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // nginx collects answers otherwise
	w.call.W.WriteHeader(http.StatusOK)
}

// send sends an event, or at times a sign of life in place of one that says nothing
// new.
func (w *watcher) send(event *api.Live) *serving.Error {
	b, err := json.Marshal(event)
	if err != nil {
		return serving.Internal(err)
	}
	busy := len(event.Sequences)+event.Queued > 0
	still := []byte(event.State + event.Model + strconv.FormatInt(event.Step.Number, 10) + " " + strconv.Itoa(len(event.Recent)))
	switch quiet := !busy && bytes.Equal(still, w.last); {
	case !quiet:
		b = append(append([]byte("data: "), b...), "\n\n"...)
	case w.call.App.PingInterval > 0 && time.Since(w.sent) > w.call.App.PingInterval:
		b = []byte(": ping\n\n")
	default:
		return nil
	}
	w.last, w.sent = still, time.Now()
	if _, err := w.call.W.Write(b); err != nil || w.out.Flush() != nil {
		return serving.Gone()
	}
	return nil
}

// fill writes what the engine does into an event.
func (w *watcher) fill(event *api.Live, m *serving.Deployment, takes *serving.Memory) {
	now, v, cfg, stats := time.Now(), &w.view, m.Engine.Config(), m.Engine.Stats()
	event.Step = api.Step{
		Number: v.Step.Number, Rows: v.Step.Rows, Decode: v.Step.Streams,
		Whole: ms(v.Step.Whole), Forward: ms(v.Step.Forward), Sample: ms(v.Step.Sample),
	}
	if v.Step.Number > 0 {
		event.Step.Age = ms(now.Sub(v.Step.Began))
	}
	event.Limits = api.Limits{Batch: cfg.MaxBatch, Rows: cfg.StepBudget, Context: cfg.Context, Blocks: cfg.Blocks, BlockTokens: cfg.BlockTokens}
	event.Totals = api.Totals{
		Steps: stats.Steps, PromptRows: stats.PromptRows, Prompt: stats.PromptTokens, Hits: stats.PrefixHitTokens, Generated: stats.GeneratedTokens,
		Preemptions: stats.Preemptions, Evictions: stats.Evictions, Refused: m.Refused(),
	}
	h := m.Engine.Histograms()
	event.First, event.Between = histogram(h.FirstToken), histogram(h.Interval)
	event.Memory = memory(m, takes)
	event.Queued = v.Queued
	event.Blocks = runs(v)
	event.Sequences = make([]api.Sequence, 0, len(v.Sequences))
	for i := range v.Sequences {
		event.Sequences = append(event.Sequences, sequence(&v.Sequences[i], now))
	}
	event.Waiting = make([]api.Waiting, 0, len(v.Waiting))
	for _, q := range v.Waiting {
		event.Waiting = append(event.Waiting, api.Waiting{Number: q.Number, Prompt: q.Prompt, Age: ms(now.Sub(q.Submitted)), Preempted: q.Preempted})
	}
	event.Recent = make([]api.Recent, 0, len(v.Recent))
	for i := range v.Recent {
		event.Recent = append(event.Recent, recent(&v.Recent[i], now))
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func sequence(s *engine.SequenceView, now time.Time) api.Sequence {
	phase := "prefill"
	if s.Decoding() {
		phase = "decode"
	}
	return api.Sequence{
		Number: s.Number, Phase: phase, Prompt: s.Prompt, Computed: s.Computed, Cached: s.Cached, Decoded: s.Decoded, Limit: s.Limit,
		Blocks: s.Blocks, Rows: s.Rows, Age: ms(now.Sub(s.Submitted)), Preempts: s.Preemptions,
	}
}

func recent(r *engine.RecentView, now time.Time) api.Recent {
	t := &r.Timings
	one := api.Recent{
		Number: r.Number, Reason: r.Reason.String(), Prompt: r.Usage.Prompt, Cached: r.Usage.Cached, Completion: r.Usage.Completion,
		Queue: ms(t.Queued()), Prefill: ms(t.Prefill()), Decode: ms(t.Decode()), Forward: ms(t.Forward), Sample: ms(t.Sampling), Between: ms(t.Between),
		Total: ms(t.Finished.Sub(t.Submitted)), Steps: t.Steps, Age: ms(now.Sub(t.Finished)),
	}
	if !t.FirstToken.IsZero() {
		one.First = ms(t.FirstToken.Sub(t.Submitted))
	}
	return one
}

// runs joins neighbouring blocks that are used alike.
func runs(v *engine.View) [][]uint64 {
	list := [][]uint64{}
	for i, b := range v.Blocks {
		if i > 0 && b == v.Blocks[i-1] {
			list[len(list)-1][0]++
			continue
		}
		run := []uint64{1, 0}
		switch {
		case b.Use == sched.BlockCached:
			run[1] = 1
		case b.Use > 0:
			run[1] = uint64(b.Use) + 1
		}
		for j := range v.Sequences {
			if s := &v.Sequences[j]; s.Place >= 0 && s.Place < 64 && b.Holders>>s.Place&1 == 1 {
				run = append(run, s.Number)
			}
		}
		list = append(list, run)
	}
	return list
}

func histogram(h *gauges.Histogram) api.Histogram {
	s := h.Snapshot()
	return api.Histogram{Bounds: s.Bounds, Counts: s.Counts}
}

// memory is what the process holds, as far as the system says, and what of it the
// model takes.
func memory(m *serving.Deployment, takes *serving.Memory) api.Memory {
	weights := cmp.Or(takes.Weights, uint64(m.Config.WeightBytes))
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	return api.Memory{Process: resident(), Weights: weights, Cache: takes.Cache, Heap: heap[0].Value.Uint64()}
}

// resident is the memory of this process, or 0 where the system has no /proc.
func resident() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
