package engine

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/penstock-llm/penstock/internal/draft"
	"github.com/penstock-llm/penstock/internal/metrics"
	"github.com/penstock-llm/penstock/internal/sched"
)

// counters is what the loop writes and anyone reads, never under a lock.
type counters struct {
	free, cached                              atomic.Int64
	freeWindows                               atomic.Int64
	steps, rows, preemptions, evictions       atomic.Uint64
	prefixQuery, prefixHit, prompt, generated atomic.Uint64
	promptRows, promptCached                  atomic.Uint64
	refused, restarts, turnover               atomic.Uint64
	drafts, draftTokens                       atomic.Uint64
	accepted                                  [draft.MostRows]atomic.Uint64 // draft tokens by their place in the draft
	finished                                  [5]atomic.Uint64              // by Reason
	occupancy                                 []atomic.Uint64               // [MaxBatch+1] steps by sequences
	streamSteps                               atomic.Uint64                 // rows of streams that were sampled
	streamSeconds, rowSeconds, besideRows     atomic.Uint64                 // float64: see pace
	busySteps, busySeqs                       atomic.Uint64
	stepTime, forwardTime, sampleTime         atomic.Int64
	hist                                      Histograms

	retired sched.Counters // of the schedulers before the last restart; the loop's own
}

// Histograms are in seconds, but StepTokens, which is in rows, and those of
// tokens.
type Histograms struct {
	Queue      *metrics.Histogram // from submission to the first step
	FirstToken *metrics.Histogram // from submission to the first token
	Interval   *metrics.Histogram // between tokens
	Total      *metrics.Histogram // from submission to the end
	Prefill    *metrics.Histogram // from the first step to the first token
	Decode     *metrics.Histogram // from the first token to the last
	Inference  *metrics.Histogram // from the first step to the last token
	PerToken   *metrics.Histogram // mean time between the tokens of a request
	StepTokens *metrics.Histogram

	Prompt, Computed    *metrics.Histogram // tokens of a prompt; those that the prefix cache did not have
	Generated, MaxToken *metrics.Histogram // tokens of an answer; how many were allowed
}

// tokenBounds are the buckets of numbers of tokens.
var tokenBounds = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000}

func (c *counters) init(maxBatch int) {
	c.occupancy = make([]atomic.Uint64, maxBatch+1)
	phase := func() *metrics.Histogram {
		return metrics.NewHistogram(.01, .03, .1, .3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680)
	}
	tokens := func() *metrics.Histogram { return metrics.NewHistogram(tokenBounds...) }
	interval := func() *metrics.Histogram {
		return metrics.NewHistogram(.002, .005, .01, .015, .02, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
	}
	c.hist = Histograms{
		Queue:      metrics.NewHistogram(.001, .003, .01, .03, .1, .3, 1, 3, 10, 30, 100, 300, 1000),
		FirstToken: metrics.NewHistogram(.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560),
		Interval:   interval(), PerToken: interval(),
		Total: phase(), Prefill: phase(), Decode: phase(), Inference: phase(),
		StepTokens: metrics.NewHistogram(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
		Prompt:     tokens(), Computed: tokens(), Generated: tokens(), MaxToken: tokens(),
	}
}

func (c *counters) admitted(s *Stream) {
	c.prompt.Add(uint64(len(s.request.Prompt)))
	c.promptCached.Add(uint64(s.cached.Load()))
	c.hist.Queue.Observe(s.timings.Queued().Seconds())
}

func (c *counters) token(s *Stream, now time.Time) {
	if s.timings.FirstToken.IsZero() {
		c.hist.FirstToken.Observe(now.Sub(s.timings.Submitted).Seconds())
	} else {
		c.hist.Interval.Observe(now.Sub(s.timings.LastToken).Seconds())
	}
}

// ended counts a request that has ended. What only means something for requests
// that ran to their end is left out for others.
func (c *counters) ended(s *Stream) {
	f := &s.finish
	c.finished[f.Reason].Add(1)
	c.hist.Total.Observe(s.timings.Finished.Sub(s.timings.Submitted).Seconds())
	if f.Reason != Stop && f.Reason != Length {
		return
	}
	c.hist.Prompt.Observe(float64(f.Usage.Prompt))
	c.hist.Computed.Observe(float64(f.Usage.Prompt - f.Usage.Cached))
	c.hist.Generated.Observe(float64(f.Usage.Completion))
	if s.request.MaxTokens >= 0 {
		c.hist.MaxToken.Observe(float64(s.request.MaxTokens))
	}
	if s.timings.FirstToken.IsZero() {
		return // it asked for no tokens
	}
	c.hist.Prefill.Observe(s.timings.Prefill().Seconds())
	c.hist.Decode.Observe(s.timings.Decode().Seconds())
	c.hist.Inference.Observe(s.timings.LastToken.Sub(s.timings.Scheduled).Seconds())
	if n := f.Usage.Completion - 1; n > 0 {
		c.hist.PerToken.Observe(s.timings.Decode().Seconds() / float64(n))
	}
}

func (c *counters) step(e *Engine, plan *sched.Plan, start, forward, now time.Time) {
	seqs := len(plan.Entries)
	c.occupancy[seqs].Add(1)
	c.rows.Add(uint64(plan.Batch.Rows()))
	c.hist.StepTokens.Observe(float64(plan.Batch.Rows()))
	if e.sched.Waiting() > 0 {
		c.busySteps.Add(1)
		c.busySeqs.Add(uint64(seqs))
	}
	c.forwardTime.Add(int64(forward.Sub(start)))
	c.sampleTime.Add(int64(now.Sub(forward)))
	c.stepTime.Add(int64(time.Since(start)))
}

// drafted counts what became of a draft.
func (c *counters) drafted(entry *sched.Entry) {
	c.drafts.Add(1)
	c.draftTokens.Add(uint64(entry.Draft))
	for i := range entry.Accepted {
		c.accepted[i].Add(1)
	}
}

// paced publishes what steps take, for forecasts.
func (c *counters) paced(p *pace, streams int) {
	c.streamSteps.Add(uint64(streams))
	c.streamSeconds.Store(math.Float64bits(p.streams))
	c.rowSeconds.Store(math.Float64bits(p.row))
	c.besideRows.Store(math.Float64bits(p.beside()))
}

func (c *counters) publish(e *Engine) {
	s := e.sched
	n := c.retired
	n.Add(s.Counters())
	c.free.Store(int64(s.FreeBlocks()))
	c.cached.Store(int64(s.CachedBlocks()))
	c.freeWindows.Store(int64(s.FreeWindowBlocks()))
	c.steps.Store(n.Steps)
	c.preemptions.Store(n.Preemptions)
	c.evictions.Store(n.Evictions)
	c.prefixQuery.Store(n.PrefixQuery)
	c.prefixHit.Store(n.PrefixHit)
	c.generated.Store(n.Generated)
	c.promptRows.Store(n.PromptRows)
	c.turnover.Store(e.contents.before + s.Turnover())
}

// Stats is the engine at one moment. Totals only grow.
type Stats struct {
	Running, Waiting int
	MaxRunning       int // requests that can run
	MaxWaiting       int // and wait beside them
	Blocks           int // of the cache
	FreeBlocks       int // held by no sequence
	CachedBlocks     int // of these, with content that can be found
	WindowBlocks     int // of the layers with a window that have blocks of their own
	FreeWindowBlocks int
	KVUsage          float64       // of what is used up most
	Broken           bool          // requests are refused until it has restarted
	RestartIn        time.Duration // if it is broken
	Restarts         uint64        // so far
	Stuck            time.Duration // for which a step has not ended; 0: all is well

	Steps, Rows, Preemptions, Evictions uint64
	PrefixQueryTokens, PrefixHitTokens  uint64
	PromptTokens, GeneratedTokens       uint64
	PromptTokensCached                  uint64   // of PromptTokens: those that the prefix cache had
	PromptRows                          uint64   // computed rows of prompts, also those computed again
	Refused                             uint64   // by a full queue
	Finished                            []uint64 // by Reason
	Drafts, DraftTokens                 uint64   // guesses that had rows in a step, and tokens of these
	Accepted                            []uint64 // by the place in the draft: tokens of these that requests were given
	Occupancy                           []uint64 // steps by the number of sequences in them
	BusySteps, BusySeqs                 uint64   // steps taken while requests waited, and sequences in them

	StepTime, ForwardTime, SampleTime time.Duration
}

// Stats reads the counters. It takes no lock and does not disturb the step.
func (e *Engine) Stats() Stats {
	c := &e.stats
	s := Stats{
		Blocks:             e.cfg.Blocks,
		FreeBlocks:         int(c.free.Load()),
		CachedBlocks:       int(c.cached.Load()),
		WindowBlocks:       e.cfg.WindowBlocks,
		FreeWindowBlocks:   int(c.freeWindows.Load()),
		Broken:             e.broken.Load(),
		Restarts:           c.restarts.Load(),
		Steps:              c.steps.Load(),
		Rows:               c.rows.Load(),
		Preemptions:        c.preemptions.Load(),
		Evictions:          c.evictions.Load(),
		PrefixQueryTokens:  c.prefixQuery.Load(),
		PrefixHitTokens:    c.prefixHit.Load(),
		PromptTokens:       c.prompt.Load(),
		PromptTokensCached: c.promptCached.Load(),
		GeneratedTokens:    c.generated.Load(),
		PromptRows:         c.promptRows.Load(),
		Refused:            c.refused.Load(),
		BusySteps:          c.busySteps.Load(),
		BusySeqs:           c.busySeqs.Load(),
		StepTime:           time.Duration(c.stepTime.Load()),
		ForwardTime:        time.Duration(c.forwardTime.Load()),
		SampleTime:         time.Duration(c.sampleTime.Load()),
		Finished:           loadAll(c.finished[:]),
		Occupancy:          loadAll(c.occupancy),
		Drafts:             c.drafts.Load(),
		DraftTokens:        c.draftTokens.Load(),
		Accepted:           loadAll(c.accepted[:]),
	}
	s.MaxRunning, s.MaxWaiting = e.cfg.MaxBatch, e.cfg.MaxQueue
	s.Stuck = time.Duration(e.dog.stuck.Load())
	s.Running, s.Waiting = e.requests.places(e.cfg.MaxBatch, e.cfg.MaxQueue)
	if s.Broken {
		s.RestartIn = max(0, time.Until(e.resumes()))
	}
	s.KVUsage = 1 - float64(s.FreeBlocks)/float64(max(1, s.Blocks))
	if s.WindowBlocks > 0 {
		s.KVUsage = max(s.KVUsage, 1-float64(s.FreeWindowBlocks)/float64(s.WindowBlocks))
	}
	return s
}

func loadAll(from []atomic.Uint64) []uint64 {
	to := make([]uint64, len(from))
	for i := range from {
		to[i] = from[i].Load()
	}
	return to
}

// Histograms may be read at any time.
func (e *Engine) Histograms() Histograms { return e.stats.hist }

// Add adds another engine's numbers to s. KVUsage becomes that of the fuller cache.
func (s *Stats) Add(o *Stats) {
	s.Running += o.Running
	s.Waiting += o.Waiting
	s.MaxRunning += o.MaxRunning
	s.MaxWaiting += o.MaxWaiting
	s.Blocks += o.Blocks
	s.FreeBlocks += o.FreeBlocks
	s.CachedBlocks += o.CachedBlocks
	s.WindowBlocks += o.WindowBlocks
	s.FreeWindowBlocks += o.FreeWindowBlocks
	s.KVUsage = max(s.KVUsage, o.KVUsage)
	s.Broken = s.Broken || o.Broken
	s.RestartIn = max(s.RestartIn, o.RestartIn)
	s.Restarts += o.Restarts
	s.Stuck = max(s.Stuck, o.Stuck)
	s.Steps += o.Steps
	s.Rows += o.Rows
	s.Preemptions += o.Preemptions
	s.Evictions += o.Evictions
	s.PrefixQueryTokens += o.PrefixQueryTokens
	s.PrefixHitTokens += o.PrefixHitTokens
	s.PromptTokens += o.PromptTokens
	s.GeneratedTokens += o.GeneratedTokens
	s.PromptTokensCached += o.PromptTokensCached
	s.PromptRows += o.PromptRows
	s.Refused += o.Refused
	s.Finished = addAll(s.Finished, o.Finished)
	s.Drafts += o.Drafts
	s.DraftTokens += o.DraftTokens
	s.Accepted = addAll(s.Accepted, o.Accepted)
	s.Occupancy = addAll(s.Occupancy, o.Occupancy)
	s.BusySteps += o.BusySteps
	s.BusySeqs += o.BusySeqs
	s.StepTime += o.StepTime
	s.ForwardTime += o.ForwardTime
	s.SampleTime += o.SampleTime
}

// Totals are the numbers that only grow: what is left of an engine that has ended.
func (s *Stats) Totals() *Stats {
	t := *s
	t.Running, t.Waiting, t.MaxRunning, t.MaxWaiting = 0, 0, 0, 0
	t.Blocks, t.FreeBlocks, t.CachedBlocks, t.WindowBlocks, t.FreeWindowBlocks = 0, 0, 0, 0, 0
	t.KVUsage, t.Broken, t.RestartIn, t.Stuck = 0, false, 0, 0
	return &t
}

// addAll adds b to a copy of a.
func addAll(a, b []uint64) []uint64 {
	sum := make([]uint64, max(len(a), len(b)))
	copy(sum, a)
	for i, n := range b {
		sum[i] += n
	}
	return sum
}

// Plus are the observations of two engines together. Where one has none, they are
// the other's own histograms.
func (h Histograms) Plus(o Histograms) Histograms {
	return Histograms{
		Queue:      metrics.Join(h.Queue, o.Queue),
		FirstToken: metrics.Join(h.FirstToken, o.FirstToken),
		Interval:   metrics.Join(h.Interval, o.Interval),
		Total:      metrics.Join(h.Total, o.Total),
		Prefill:    metrics.Join(h.Prefill, o.Prefill),
		Decode:     metrics.Join(h.Decode, o.Decode),
		Inference:  metrics.Join(h.Inference, o.Inference),
		PerToken:   metrics.Join(h.PerToken, o.PerToken),
		StepTokens: metrics.Join(h.StepTokens, o.StepTokens),
		Prompt:     metrics.Join(h.Prompt, o.Prompt),
		Computed:   metrics.Join(h.Computed, o.Computed),
		Generated:  metrics.Join(h.Generated, o.Generated),
		MaxToken:   metrics.Join(h.MaxToken, o.MaxToken),
	}
}
