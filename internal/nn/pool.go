package nn

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-llm/penstock/internal/kernel"
)

// Job is work that all workers of a Pool do together. Each worker calls Do
// once, with its own number; how they divide the work is the job's affair.
type Job interface {
	Do(worker, workers int)
}

const (
	// idleSpin is how long a helper spins without work before it sleeps. It
	// covers the scheduler and the sampler between two steps, not more: an
	// idle server must use no processor.
	idleSpin = time.Millisecond

	// callerSpin is how long the caller spins for helpers that are behind
	// before it sleeps. A helper that far behind has usually lost its core to
	// another process; a sleeping caller leaves it this one.
	callerSpin = 200 * time.Microsecond

	// spinsPerLook is the number of polls between two looks at the clock.
	spinsPerLook = 64
)

// Pool is a fixed set of workers that run jobs in lockstep. A dispatch costs
// well under a microsecond, because helpers spin between jobs; waking a thread
// would cost as much as a whole projection. The caller of Run is worker 0, the
// helpers are goroutines that own an OS thread each. A pool of one worker has
// no goroutines at all.
//
// Run, Park and Close belong to one goroutine at a time; Wake may be called
// from any.
type Pool struct {
	workers int
	idle    time.Duration // spin of helpers
	patient time.Duration // spin of the caller
	timed   bool
	waited  int64 // ns all workers together spent at barriers, while timed
	busy    atomic.Bool
	job     Job
	base    time.Time
	exited  sync.WaitGroup

	_      [64]byte
	gen    atomic.Uint32 // counts jobs; a change is the start signal
	_      [60]byte
	left   atomic.Int32 // helpers that have not finished the current job
	_      [60]byte
	parked atomic.Bool // helpers should sleep rather than spin
	asleep atomic.Bool // the caller waits on done
	done   chan struct{}

	helpers []helper
}

// helper is one worker's private line of memory.
type helper struct {
	asleep atomic.Bool
	wake   chan struct{}
	ended  int64 // when it finished the last timed job
	_      [40]byte
}

// NewPool starts a pool of n workers, the caller of Run included.
func NewPool(n int) *Pool {
	n = max(n, 1)
	p := &Pool{
		workers: n,
		idle:    idleSpin,
		patient: callerSpin,
		base:    time.Now(),
		done:    make(chan struct{}, 1),
		helpers: make([]helper, n),
	}
	if runtime.GOMAXPROCS(0) < n {
		p.idle, p.patient = 0, 0 // a spinning worker would keep the others off
	}
	p.exited.Add(n - 1)
	for w := 1; w < n; w++ {
		p.helpers[w].wake = make(chan struct{}, 1)
		go p.help(w)
	}
	return p
}

// Workers is the number of workers, the caller included.
func (p *Pool) Workers() int { return p.workers }

// Run has every worker do j and returns when all have. It allocates nothing.
func (p *Pool) Run(j Job) {
	if p.workers == 1 {
		j.Do(0, 1)
		return
	}
	if !p.busy.CompareAndSwap(false, true) {
		panic("nn: Pool.Run called while a job is running")
	}
	p.start(j)
	j.Do(0, p.workers)
	if p.timed {
		p.helpers[0].ended = int64(time.Since(p.base))
	}
	p.join()
	if p.timed {
		now := int64(time.Since(p.base))
		for w := range p.helpers {
			p.waited += now - p.helpers[w].ended
		}
	}
	p.busy.Store(false)
}

func (p *Pool) start(j Job) {
	p.job = j
	p.left.Store(int32(p.workers - 1))
	if p.parked.Load() {
		p.parked.Store(false)
	}
	p.gen.Add(1)
	p.Wake()
}

// join waits for the helpers: spinning first, then asleep.
func (p *Pool) join() {
	var since time.Time
	for spins := 0; p.left.Load() != 0; spins++ {
		if spins%spinsPerLook != spinsPerLook-1 {
			kernel.Pause(1)
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) < p.patient {
			continue
		}
		p.asleep.Store(true)
		if p.left.Load() != 0 || !p.asleep.CompareAndSwap(true, false) {
			<-p.done // the last helper has seen asleep, or will
		}
	}
}

// Park lets the helpers sleep at once. The next Run wakes them; that costs it
// about 0.1 ms.
func (p *Pool) Park() { p.parked.Store(true) }

// Wake rouses sleeping helpers ahead of a Run that is expected soon.
func (p *Pool) Wake() {
	for w := 1; w < p.workers; w++ {
		h := &p.helpers[w]
		if h.asleep.Load() && h.asleep.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
}

// Close ends the helpers. The pool must not be used afterwards.
func (p *Pool) Close() {
	if p.workers == 1 || p.workers == 0 {
		return
	}
	p.start(nil)
	p.exited.Wait()
	p.workers = 0
}

func (p *Pool) help(worker int) {
	runtime.LockOSThread()
	defer p.exited.Done()
	h := &p.helpers[worker]
	var seen uint32
	for {
		seen = p.await(h, seen)
		job := p.job
		if job == nil {
			return
		}
		job.Do(worker, p.workers)
		if p.timed {
			h.ended = int64(time.Since(p.base))
		}
		if p.left.Add(-1) == 0 && p.asleep.CompareAndSwap(true, false) {
			p.done <- struct{}{}
		}
	}
}

// await returns the job count once it is no longer seen.
func (p *Pool) await(h *helper, seen uint32) uint32 {
	var since time.Time
	for spins := 0; ; spins++ {
		if g := p.gen.Load(); g != seen {
			return g
		}
		if spins%spinsPerLook != spinsPerLook-1 && !p.parked.Load() {
			kernel.Pause(4)
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		if !p.parked.Load() && time.Since(since) < p.idle {
			continue
		}
		h.asleep.Store(true)
		if p.gen.Load() == seen || !h.asleep.CompareAndSwap(true, false) {
			<-h.wake
		}
		since = time.Time{}
	}
}
