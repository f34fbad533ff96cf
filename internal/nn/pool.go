package nn

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/kernel"
)

// Job is work that the workers of a Pool do together. Each worker calls Do
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
// A panic of any worker ends in the goroutine that called Run or Share, after
// all others have left the job: a helper's as a *WorkerPanic, the caller's as it
// is. The pool can be used afterwards. A job whose workers wait for each other
// looks at Failed while it does.
//
// Several models may share a pool: whoever gives it jobs leases it before. Run,
// Share and Close belong to the one who holds the lease; Lease, Wake and Failed
// may be called from any goroutine.
type Pool struct {
	workers int
	seats   []cpu.Seat
	idle    time.Duration // spin of helpers
	patient time.Duration // spin of the caller
	timed   bool
	waited  int64 // ns all workers together spent at barriers, while timed
	busy    atomic.Bool
	failed  atomic.Bool
	failure atomic.Pointer[WorkerPanic] // the first helper's that panicked in this job
	base    time.Time
	exited  sync.WaitGroup

	leases atomic.Int32  // who holds the pool and who waits for it
	turn   chan struct{} // handed to the one who has waited longest

	helpers []helper
	resting int // helpers that are left out for a while

	_    [lineBytes]byte
	call atomic.Uint64 // the current job's number times two, and closed; only the caller of the pool writes it
	job  Job           // written only while no helper is in a job
	_    [lineBytes]byte

	asleep   atomic.Bool  // the caller waits on done
	sleeping atomic.Int32 // helpers that sleep, or are about to
	done     chan struct{}
	_        [lineBytes]byte
}

// lineBytes is more than a cache line: processors fetch lines in pairs.
const lineBytes = 128

// A job has a number. The caller announces it in Pool.call, which all helpers watch.
// Each helper says in helper.at where it is, in a line of memory that nobody else
// writes: where all wrote to one line, a job would cost as many transfers of that
// line as there are workers, one after the other. Reads of many lines overlap.
//
// A helper first says that it is inside, and then looks whether the job is still
// open. The caller first closes a job, and then looks who is inside. So either the
// helper sees that it is too late, or the caller sees that it has to wait.
const (
	closed = 1 // in Pool.call: nobody may begin the job any more
	inside = 1 // in helper.at: at work on the job; without it the helper has done it
)

// helper is one worker's memory.
type helper struct {
	_     [lineBytes]byte
	at    atomic.Uint64 // number of the last job that it has begun, times two, and inside
	ended int64         // when it finished the last timed job
	_     [lineBytes]byte

	asleep  atomic.Bool
	resting atomic.Bool // left out of shared jobs
	wake    chan struct{}
	rest    rest
}

// NewPool starts a pool of n workers, the caller of Run included.
func NewPool(n int) *Pool { return newPool(cpu.Seats(max(n, 1))) }

// newPool starts a pool with a worker for each seat. The caller of Run stays where the
// system has it: its thread is not the pool's.
func newPool(seats []cpu.Seat) *Pool {
	n := len(seats)
	p := &Pool{
		workers: n,
		seats:   seats,
		idle:    idleSpin,
		patient: callerSpin,
		base:    time.Now(),
		done:    make(chan struct{}, 1),
		turn:    make(chan struct{}, 1),
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

// nodes is the number of nodes of memory that the workers run on. Those of a node
// have consecutive numbers.
func (p *Pool) nodes() int { return p.seats[len(p.seats)-1].Node + 1 }

// Run has every worker do j and returns when all have. It allocates nothing.
func (p *Pool) Run(j Job) { p.dispatch(j, true) }

// Share is Run for a job whose workers take what is left to do from each other:
// it returns when those who came in time have finished, and does not wait for a
// worker that has not begun, such as one whose core is busy with another
// process.
func (p *Pool) Share(j Job) { p.dispatch(j, false) }

// dispatch has j done by the caller and by all others, or by those who come in time.
func (p *Pool) dispatch(j Job, all bool) {
	if p.workers == 1 {
		j.Do(0, 1)
		return
	}
	if !p.busy.CompareAndSwap(false, true) {
		panic("nn: a job was started while another is running")
	}
	if p.resting > 0 {
		p.recall(all)
	}
	done := false
	defer func() {
		if !done {
			p.unwind(all)
		}
	}()
	began := p.now()
	p.start(j)
	j.Do(0, p.workers)
	ended := p.now()
	p.join(all)
	if p.timed {
		now := p.now()
		p.waited += now - ended
		for w := 1; w < p.workers; w++ {
			p.waited += now - max(p.helpers[w].ended, began)
		}
	}
	done = true
	p.busy.Store(false)
	if p.failed.Load() {
		p.raise()
	}
}

// unwind is what is left to do when the caller's part of a job has panicked.
func (p *Pool) unwind(all bool) {
	p.failed.Store(true)
	p.join(all)
	p.clear()
	p.busy.Store(false)
}

// raise passes on the panic of a helper.
func (p *Pool) raise() {
	failure := p.failure.Load()
	p.clear()
	panic(failure)
}

func (p *Pool) clear() {
	p.failure.Store(nil)
	p.failed.Store(false)
}

// Failed says that a worker of the current job has panicked: what the others
// wait for may never come.
func (p *Pool) Failed() bool { return p.failed.Load() }

// WorkerPanic is the panic of a helper, as the caller of the pool sees it.
type WorkerPanic struct {
	Worker int
	Value  any
	Stack  []byte // the helper's
}

func (e *WorkerPanic) Error() string { return fmt.Sprintf("worker %d: %v", e.Worker, e.Value) }

// Unwrap is the value, if it is an error.
func (e *WorkerPanic) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// now is a time for the profile, or 0.
func (p *Pool) now() int64 {
	if !p.timed {
		return 0
	}
	return int64(time.Since(p.base))
}

func (p *Pool) start(j Job) {
	p.job = j
	p.call.Store((p.call.Load() | closed) + 1) // the next number, open
	p.Wake()
}

// join waits until no helper is in the job: with all once every one of them has done
// it, otherwise once those are out who came before it was closed. It spins first,
// then sleeps.
func (p *Pool) join(all bool) {
	job := p.call.Load()
	if !all && p.missing(job) {
		p.call.Store(job | closed)
	}
	var since time.Time
	spins := 0
	for w := 1; w < p.workers; {
		h := &p.helpers[w]
		if !h.keeps(job, all) {
			w++
			continue
		}
		if spins++; spins%spinsPerLook != 0 {
			kernel.Pause(1)
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) < p.patient {
			continue
		}
		p.noteLate(job)
		p.asleep.Store(true)
		if !h.keeps(job, all) && p.asleep.CompareAndSwap(true, false) {
			continue // it has left meanwhile
		}
		<-p.done // the next helper to leave has seen asleep, or will
	}
	p.judge(since)
}

// missing reports whether a helper has not begun the job.
func (p *Pool) missing(job uint64) bool {
	for w := 1; w < p.workers; w++ {
		if p.helpers[w].at.Load()&^inside != job {
			return true
		}
	}
	return false
}

// keeps reports whether the caller has to wait for h: until it has left the job, and
// with all until it has done it.
func (h *helper) keeps(job uint64, all bool) bool {
	at := h.at.Load()
	return at == job|inside || all && at != job
}

// Wake rouses sleeping helpers ahead of a Run that is expected soon.
func (p *Pool) Wake() {
	if p.sleeping.Load() == 0 {
		return
	}
	for w := 1; w < p.workers; w++ {
		h := &p.helpers[w]
		if h.asleep.Load() && !h.resting.Load() && h.asleep.CompareAndSwap(true, false) {
			p.sleeping.Add(-1)
			h.wake <- struct{}{}
		}
	}
}

// Close ends the helpers. The pool must not be used afterwards.
func (p *Pool) Close() {
	if p.workers == 1 || p.workers == 0 {
		return
	}
	p.dispatch(end{}, true)
	p.exited.Wait()
	p.workers = 0
}

// end is the job after which helpers exit.
type end struct{}

func (end) Do(_, _ int) {}

func (p *Pool) help(worker int) {
	runtime.LockOSThread()
	cpu.Bind(p.seats[worker].CPUs)
	debug.SetPanicOnFault(true) // some weights are pages of a file, which can be cut: part passes that on
	defer p.exited.Done()
	h := &p.helpers[worker]
	var seen uint64
	for {
		seen = p.await(h, seen)
		before := h.at.Load()
		if !p.enter(h, seen) {
			p.leave(h, before)
			continue
		}
		job := p.job
		p.part(job, worker)
		if p.timed {
			h.ended = p.now()
		}
		p.leave(h, seen)
		if job == (end{}) {
			return
		}
	}
}

// part does a helper's part of a job.
func (p *Pool) part(job Job, worker int) {
	done := false
	defer func() {
		if done {
			return
		}
		v := recover()
		p.failure.CompareAndSwap(nil, &WorkerPanic{worker, v, debug.Stack()})
		p.failed.Store(true)
	}()
	job.Do(worker, p.workers)
	done = true
}

// enter begins the job, unless it has been closed.
func (p *Pool) enter(h *helper, job uint64) bool {
	h.at.Store(job | inside)
	return p.call.Load() == job && !h.resting.Load()
}

// leave says where h is now, out of any job, and rouses the caller if it waits for that.
func (p *Pool) leave(h *helper, at uint64) {
	h.at.Store(at)
	if p.asleep.CompareAndSwap(true, false) {
		p.done <- struct{}{}
	}
}

// await returns the current job, open or not, once it is another one than seen.
func (p *Pool) await(h *helper, seen uint64) uint64 {
	var since time.Time
	for spins := 0; ; spins++ {
		if job := p.call.Load() &^ closed; job != seen {
			return job
		}
		sleep := h.resting.Load()
		if spins%spinsPerLook != spinsPerLook-1 && !sleep {
			kernel.Pause(4)
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		if !sleep && time.Since(since) < p.idle {
			continue
		}
		p.sleeping.Add(1)
		h.asleep.Store(true)
		if p.call.Load()&^closed == seen || !h.asleep.CompareAndSwap(true, false) {
			<-h.wake
		} else {
			p.sleeping.Add(-1)
		}
		since = time.Time{}
	}
}
