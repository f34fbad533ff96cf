package engine

import (
	"context"
	"fmt"
	"hash/maphash"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/prefixstore"
	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/sched"
)

// Config is the size of the machine. Zero fields have the defaults named here.
type Config struct {
	Blocks      int           // blocks of the executor's cache
	BlockTokens int           // batch.BlockTokens
	Context     int           // tokens of a sequence; clipped to what the blocks hold
	MaxBatch    int           // sequences that run at once: 8
	MaxQueue    int           // requests that wait beyond those; negative: none; 256
	MaxWait     time.Duration // requests that would begin later are refused; 0: none is
	StepBudget  int           // rows of a step: 256, at most what the executor takes
	ChunkTokens int           // prompt rows of a step beside streams; 0: as many as StreamDelay allows
	StreamDelay float64       // a step may take this many times what it would take without prompts: 3
	AgeSteps    int           // see sched.Config
	PrefixCache bool          // share the blocks of common prefixes
	EOG         []int32       // tokens that end a generation
	Speculate   bool          // guess tokens that are to come, where rows of a step are free
	Draft       Executor      // a smaller model that guesses, with as many rows and blocks; nil: none
	Encoder     bool          // the executor makes embeddings only, of texts that are whole in a step
	Kernels     kernel.Set    // for sampling

	DraftContext int // tokens that Draft can see

	Prefixes      *prefixstore.Model // keeps the blocks of prompts in a folder; nil: nothing does
	OnPrefixError func(error)        // is told why a block could not be written there

	Window       int // positions that a row sees in the layers that have blocks of their own; 0: there are no such layers
	WindowBlocks int // their blocks

	always bool // every guess has rows, whatever it costs: so tests do not depend on the clock

	// OnPanic is told of a panic in a step, which its requests see as an error.
	OnPanic func(value any, stack []byte)
	// StepLimit is how long a step may take before OnStuck is told, requests are
	// refused with ErrStuck, and Stats say so, until it has ended; 0: any time.
	// OnStuck is called up to three times for a step: at once, with the stacks a
	// quarter of the limit later, and when it has ended after all.
	StepLimit time.Duration
	OnStuck   func(Stuck)
	// Explain puts the value of a panic into words, for OnPanic and for the
	// requests; nil leaves it as it is.
	Explain func(value any) any
}

func (c *Config) fill(x Executor) {
	or := func(v *int, value int) {
		if *v == 0 {
			*v = value
		}
	}
	or(&c.BlockTokens, batch.BlockTokens)
	or(&c.MaxBatch, 8)
	or(&c.MaxQueue, 256)
	or(&c.StepBudget, 256)
	if c.StreamDelay == 0 {
		c.StreamDelay = 3
	}
	c.MaxQueue = max(c.MaxQueue, 0)
	c.StepBudget = min(c.StepBudget, x.MaxRows())
	c.Context = min(c.Context, c.Blocks*c.BlockTokens)
	if c.Encoder {
		c.Context, c.PrefixCache = min(c.Context, c.StepBudget), false
	}
}

// Engine runs requests. Its methods may be called from any goroutine.
type Engine struct {
	x   Executor
	run Runner // nil: one worker
	cfg Config

	mu       sync.Mutex             // Submit against Drain and Close; never the step's
	ledger   []weak.Pointer[Stream] // requests that were accepted lately, under mu
	inbox    chan *Stream
	draining atomic.Bool
	closed   atomic.Bool
	broken   atomic.Bool              // until resume
	born     time.Time                // when the engine was made
	resume   atomic.Int64             // ns after born, so that it makes no difference if the clock is set meanwhile
	aborts   atomic.Bool              // some stream is to be aborted
	kill     atomic.Bool              // all are
	salts    maphash.Seed             // of the numbers that stand for salts
	requests population               // that were accepted and have not ended
	emptied  chan struct{}            // the last of them has ended
	kick     chan struct{}            // rouses the loop
	flushes  chan chan int            // who wants the prefix cache to be emptied
	places   []atomic.Pointer[Stream] // [MaxBatch] requests that take part in the steps
	numbers  atomic.Uint64            // requests so far
	views    views
	contents contents
	done     chan struct{} // the loop has ended

	dog watchdog

	prefixes *prefixes // nil: no folder keeps what the cache has

	// The loop's own.
	sched   *sched.Scheduler
	streams []*Stream // in the scheduler
	plan    *sched.Plan
	tokens  []int32 // that the step gives its sequences
	starts  []int32 // [entries+1] where each sequence's begin
	pace    pace
	drafts  drafts
	job     sampleJob
	workers []*sample.Sampler
	leased  bool // the pool is ours
	steps   int64
	mishaps []mishap      // the last panics
	pause   time.Duration // of the last restart
	stats   counters
}

// New starts an engine. The executor belongs to it until Close has returned. The
// pool is what the executor computes with, or nil; other engines may share it.
// Closing both is the caller's affair.
func New(x Executor, pool Runner, cfg Config) (*Engine, error) {
	e, err := newEngine(x, pool, cfg)
	if err != nil {
		return nil, err
	}
	go e.loop()
	if e.prefixes != nil {
		go e.writeKept()
		go e.warm()
	}
	if cfg.StepLimit > 0 {
		go e.watch()
	}
	return e, nil
}

func newEngine(x Executor, pool Runner, cfg Config) (*Engine, error) {
	cfg.fill(x)
	if d := cfg.Draft; d != nil && (d.Vocab() != x.Vocab() || d.MaxRows() < cfg.StepBudget || d.MaxLogits() < cfg.MaxBatch) {
		return nil, fmt.Errorf("a draft model of %d tokens, %d rows and %d logits for one of %d tokens, steps of %d rows and %d sequences",
			d.Vocab(), d.MaxRows(), d.MaxLogits(), x.Vocab(), cfg.StepBudget, cfg.MaxBatch)
	}
	e := &Engine{
		x:       x,
		run:     pool,
		cfg:     cfg,
		born:    time.Now(),
		salts:   maphash.MakeSeed(),
		emptied: make(chan struct{}, 1),
		kick:    make(chan struct{}, 1),
		flushes: make(chan chan int, 1),
		done:    make(chan struct{}),
		pace:    pace{ratio: cfg.StreamDelay, fixed: cfg.ChunkTokens, maxRows: cfg.StepBudget},
	}
	if err := e.reset(); err != nil { // it checks the sizes
		return nil, err
	}
	e.prefixes = newPrefixes(e)
	e.inbox = make(chan *Stream, cfg.MaxQueue+cfg.MaxBatch)
	e.tokens = make([]int32, 0, cfg.MaxBatch)
	e.places = make([]atomic.Pointer[Stream], cfg.MaxBatch)
	e.starts = make([]int32, 0, cfg.MaxBatch+1)
	n := 1
	if pool != nil {
		n = pool.Workers()
	}
	for range n {
		e.workers = append(e.workers, sample.New(cfg.Kernels, x.Vocab(), cfg.Context))
	}
	e.job.init(e, x.MaxLogits())
	e.drafts.init(e)
	e.stats.init(cfg.MaxBatch)
	e.views.init(cfg.MaxBatch)
	e.contents.loan.init()
	e.stats.publish(e)
	return e, nil
}

// reset makes an empty scheduler.
func (e *Engine) reset() (err error) {
	const panel = 8 // rows that the kernels compute at once
	e.sched, err = sched.New(sched.Config{
		Blocks:       e.cfg.Blocks,
		BlockSize:    e.cfg.BlockTokens,
		Window:       e.cfg.Window,
		WindowBlocks: e.cfg.WindowBlocks,
		Context:      e.cfg.Context,
		MaxSeqs:      e.cfg.MaxBatch,
		MaxQueue:     e.cfg.MaxQueue,
		MaxRows:      e.cfg.StepBudget,
		Align:        panel,
		MaxLogits:    e.x.MaxLogits(),
		AgeSteps:     e.cfg.AgeSteps,
		PrefixCache:  e.cfg.PrefixCache,
		EOG:          e.cfg.EOG,
		Whole:        e.cfg.Encoder,
	})
	if err != nil {
		return err
	}
	e.contents.era++
	return nil
}

// Config is the configuration with its defaults filled in.
func (e *Engine) Config() Config { return e.cfg }

// Submit accepts a request, or says at once why not. When ctx ends before the
// request has, it is aborted. Whoever does not read the stream to its end must
// Close it.
func (e *Engine) Submit(ctx context.Context, r Request) (*Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := e.validate(&r); err != nil {
		return nil, err
	}
	s := newStream(e, r)
	s.number = e.numbers.Add(1)
	s.timings.Submitted = time.Now()
	if e.prefixes != nil && e.Room() == nil {
		e.fetchFor(ctx, &s.request)
	}
	if err := e.accept(s); err != nil {
		return nil, err
	}
	if ctx.Done() != nil {
		s.stop = context.AfterFunc(ctx, s.abort)
	}
	return s, nil
}

// Room returns why Submit would refuse any request at this moment, whoever asks, or
// nil; Admit says it for one client. A caller for whom a prompt is expensive to make
// asks before it makes one.
func (e *Engine) Room() error {
	switch stuck := e.dog.stuck.Load(); {
	case stuck > 0:
		return &StuckError{For: time.Duration(stuck)}
	case e.broken.Load():
		return &BrokenError{Retry: max(0, time.Until(e.resumes()))}
	case e.closed.Load():
		return ErrClosed
	case e.draining.Load():
		return ErrDraining
	case e.requests.live() >= cap(e.inbox):
		return ErrQueueFull
	}
	return nil
}

func (e *Engine) accept(s *Stream) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.admit(s.request.Client, s.request.Priority); err != nil {
		if _, busy := err.(*BusyError); busy {
			e.stats.refused.Add(1)
		}
		return err
	}
	e.note(s)
	e.requests.enter()
	// Wake the pool's helpers, so that they are spinning when the step begins. They
	// are woken before the loop is: the runtime runs the goroutine that was woken
	// last first. If a helper ran in the loop's place, it would keep a core busy
	// waiting for a step that cannot begin.
	if w, ok := e.run.(waker); ok {
		w.Wake()
	}
	e.inbox <- s // there is room: Room has seen to it
	return nil
}

// Drain refuses new requests and waits until all others have ended. If ctx ends
// first they are aborted and its error is returned.
func (e *Engine) Drain(ctx context.Context) error {
	e.mu.Lock()
	e.draining.Store(true)
	e.mu.Unlock()
	for e.requests.live() > 0 {
		select {
		case <-e.emptied:
		case <-e.done:
		case <-ctx.Done():
			e.kill.Store(true)
			e.rouse()
			return ctx.Err()
		}
	}
	signal(e.emptied) // others may be draining too
	return nil
}

// Close aborts all requests and ends the loop.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed.Store(true)
	e.mu.Unlock()
	e.kill.Store(true)
	e.rouse()
	<-e.done
}

// rouse has the loop look at the flags.
func (e *Engine) rouse() { signal(e.kick) }

// signal leaves a token in a channel of one, unless it holds one already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// loop takes steps while there is work. Otherwise it prepares for more, and then
// sleeps on its channels.
func (e *Engine) loop() {
	defer close(e.done)
	defer e.keepLast()
	defer e.settleFetches()
	debug.SetPanicOnFault(true) // weights that are pages of a file can fail to be read
	for {
		e.collect()
		e.flush()
		e.show()
		e.observe()
		e.answerFetches()
		e.keep()
		if e.broken.Load() {
			if e.rest(); e.closed.Load() && e.requests.live() == 0 {
				return
			}
			continue
		}
		worked := e.step()
		e.dog.step.Store(0)
		if worked {
			continue
		}
		if e.closed.Load() && e.requests.live() == 0 {
			return
		}
		if len(e.inbox) > 0 || e.aborts.Load() || e.kill.Load() {
			continue
		}
		if e.prepare() {
			continue
		}
		select {
		case s := <-e.inbox:
			e.enter(s)
		case <-e.kick:
		}
	}
}

// stock is the number of blocks that nobody has used yet whose memory an idle
// engine has provided: 4,096 tokens, a few prompts.
const stock = 256

// prepare asks the system for a piece of the memory of the blocks that will be used
// next, so that no step waits for it. It reports whether there is more to do.
func (e *Engine) prepare() (more bool) {
	x, ok := e.x.(preparer)
	room := kvcache.Room{Blocks: min(e.sched.Reach()+stock, e.cfg.Blocks)}
	if e.cfg.Window > 0 {
		room.Windows = min(e.sched.WindowReach()+stock, e.cfg.WindowBlocks)
	}
	if ok && x.Prepare(room) {
		return true
	}
	d, ok := e.cfg.Draft.(preparer)
	return ok && d.Prepare(kvcache.Room{Blocks: room.Blocks, Windows: room.Blocks})
}

// collect takes in what has been submitted.
func (e *Engine) collect() {
	for len(e.inbox) > 0 {
		e.enter(<-e.inbox)
	}
}

// salt is a number for a request's salt, which nobody can foretell.
func (e *Engine) salt(text string) uint64 {
	if text == "" {
		return 0
	}
	return maphash.String(e.salts, text)
}

// enter hands a request to the scheduler.
func (e *Engine) enter(s *Stream) {
	r := &s.request
	seq, err := e.sched.Add(sched.Request{
		Prompt:       r.Prompt,
		MaxTokens:    r.MaxTokens,
		Stop:         r.StopTokens,
		IgnoreEOS:    r.IgnoreEOS,
		Priority:     r.Priority,
		Client:       r.Client,
		PromptLogits: r.EchoLogprobs,
		NoPrefix:     r.NoPrefix,
		Salt:         e.salt(r.Salt),
		Hidden:       hiddenOf(r.Pooling, len(r.Prompt)),
		Owner:        s,
	})
	if err != nil {
		e.end(s, Finish{Reason: Failed, Err: err}, time.Now())
		return
	}
	s.seq = seq
	if f := s.request.Constraint; f != nil && s.constraint == nil && seq.Limit() > 0 {
		s.constraint = constrain(f, seq.Limit())
	}
	s.at = len(e.streams)
	e.streams = append(e.streams, s)
	if s.aborted.Load() || e.kill.Load() {
		e.aborts.Store(true)
	}
}
