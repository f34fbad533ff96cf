package engine

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
	"weak"

	"github.com/penstock-llm/penstock/internal/sched"
)

// BusyError refuses a request that would have to wait too long: the queue is full,
// or it would begin later than Config.MaxWait.
type BusyError struct {
	Starts time.Duration // from now until it would begin, as far as that can be foreseen
	Full   bool          // the queue is full
}

func (e *BusyError) Error() string {
	if e.Full {
		return ErrQueueFull.Error()
	}
	return fmt.Sprintf("the request would begin in %v only", e.Starts.Round(time.Millisecond))
}

// Is makes errors.Is(err, ErrQueueFull) true if the queue is full.
func (e *BusyError) Is(target error) bool { return e.Full && target == ErrQueueFull }

// forecast is all that decides when a request will begin: the requests that are
// there, and what steps take. It is made on the side of those who submit, from
// atomics, so that it never disturbs a step.
type forecast struct {
	slots   int     // sequences that run at once
	tokens  int     // that the cache holds
	streams float64 // seconds of a step without prompts
	row     float64 // seconds that a prompt row adds
	beside  float64 // prompt rows of a step with streams
	pace    float64 // tokens that a stream gets in a step: more than 1 if some are guessed
	jobs    []job   // in the order of arrival
}

// job is one request of a forecast.
type job struct {
	client  string
	class   int
	prompt  float64 // rows of its prompt that are to be computed
	left    float64 // tokens that it will be given, as far as that is known
	held    int     // tokens in the cache, once it runs: all that it has now
	running bool
}

// starts is how long it takes until a request that a client submits now begins. It
// plays the scheduler's rules through from one end of a prompt or an answer to the
// next, at the measured rates.
func (f *forecast) starts(client string, class int) time.Duration {
	f.jobs = append(f.jobs, job{client: client, class: class})
	newest := len(f.jobs) - 1
	if f.yields(newest) {
		return 0
	}
	seconds := 0.0
	service := map[string]int{} // tokens that each client got
	for _, j := range f.jobs {
		if j.running {
			service[j.client] += j.held
		}
	}
	for {
		for f.running() < f.slots {
			next := f.next(service)
			if next < 0 || !f.fits(next) {
				break
			}
			if next == newest {
				return time.Duration(seconds * float64(time.Second))
			}
			j := &f.jobs[next]
			j.running = true
			j.held += int(math.Ceil(j.prompt))
			service[j.client] += j.held + int(j.left)
		}
		took, ok := f.advance()
		if !ok { // nothing runs, and nothing fits: only the newest is left
			return time.Duration(seconds * float64(time.Second))
		}
		seconds += took
	}
}

// yields reports whether others make room for a job at once, as the scheduler has
// it: its client has no other, and one of theirs has several running.
func (f *forecast) yields(newest int) bool {
	n := f.jobs[newest]
	running := map[string]int{}
	for _, j := range f.jobs[:newest] {
		if j.client == n.client {
			return false
		}
		if j.running && j.class <= n.class {
			running[j.client]++
		}
	}
	for _, several := range running {
		if several > 1 {
			return true
		}
	}
	return false
}

func (f *forecast) running() (n int) {
	for i := range f.jobs {
		if f.jobs[i].running {
			n++
		}
	}
	return n
}

// next is the index of the job that gets the next slot, or -1: of the highest class,
// and in a class of the client that got least.
func (f *forecast) next(service map[string]int) int {
	best := -1
	for i := range f.jobs {
		j := &f.jobs[i]
		if j.running || j.ended() && i < len(f.jobs)-1 {
			continue
		}
		if best < 0 || j.class > f.jobs[best].class || j.class == f.jobs[best].class && service[j.client] < service[f.jobs[best].client] {
			best = i
		}
	}
	return best
}

func (j *job) ended() bool { return j.prompt <= 0 && j.left <= 0 }

// fits reports whether the cache has room for a job beside those that run.
func (f *forecast) fits(next int) bool {
	const grow = 16 // a block: see sched
	taken, alone := 0, true
	for i := range f.jobs {
		if j := &f.jobs[i]; j.running {
			taken, alone = taken+j.held+grow, false
		}
	}
	return alone || taken+f.jobs[next].held+int(f.jobs[next].prompt)+grow <= f.tokens
}

// advance goes on to the moment when the next prompt or answer is complete, and
// returns how many seconds that takes; !ok if nothing runs.
func (f *forecast) advance() (seconds float64, ok bool) {
	var prompt *job // the oldest that is not computed; the others wait for it, more or less
	steps := math.Inf(1)
	for i := range f.jobs {
		switch j := &f.jobs[i]; {
		case !j.running:
		case j.prompt > 0:
			if prompt == nil {
				prompt = j
			}
		default:
			steps = min(steps, math.Ceil(max(j.left, 0)/f.pace))
		}
	}
	switch {
	case prompt == nil && math.IsInf(steps, 1):
		return 0, false
	case prompt == nil:
		seconds = steps * f.streams
	case math.IsInf(steps, 1):
		seconds = prompt.prompt * f.row
		prompt.prompt, steps = 0, 0
	default:
		steps = min(steps, math.Ceil(prompt.prompt/f.beside))
		rows := min(prompt.prompt, steps*f.beside)
		seconds = steps*f.streams + rows*f.row
		prompt.prompt -= rows
	}
	for i := range f.jobs {
		j := &f.jobs[i]
		if !j.running || j.prompt > 0 || j == prompt {
			continue
		}
		j.left -= steps * f.pace
		j.held += int(steps * f.pace)
		j.running = j.left > 0
	}
	if prompt != nil && prompt.ended() {
		prompt.running = false
	}
	return seconds, true
}

// forecast looks at the requests that are there. It is called under e.mu.
func (e *Engine) forecast() *forecast {
	c := &e.stats
	f := &forecast{
		slots: e.cfg.MaxBatch, tokens: e.cfg.Blocks * e.cfg.BlockTokens,
		streams: math.Float64frombits(c.streamSeconds.Load()), row: math.Float64frombits(c.rowSeconds.Load()),
		beside: max(1, math.Float64frombits(c.besideRows.Load())), pace: 1,
	}
	f.streams = cmp.Or(f.streams, f.row) // one row is the least that a stream costs
	generated, ended := c.generated.Load(), c.finished[Stop].Load()+c.finished[Length].Load()
	if steps := c.streamSteps.Load(); steps > 0 && generated > ended {
		f.pace = max(1, float64(generated-ended)/float64(steps))
	}
	usual := math.Inf(1) // tokens of an answer
	if ended > 0 {
		usual = float64(generated) / float64(ended)
	}
	fresh := 1.0 // part of the prompts that the cache does not have
	if asked := c.prefixQuery.Load(); asked > 0 {
		fresh = 1 - float64(c.prefixHit.Load())/float64(asked)
	}
	for _, ref := range e.ledger {
		if s := ref.Value(); s != nil && !s.ended.Load() {
			f.jobs = append(f.jobs, s.job(usual, fresh))
		}
	}
	return f
}

// job is the request as a forecast has it.
func (s *Stream) job(usual, fresh float64) job {
	r := &s.request
	limit := s.engine.cfg.Context - len(r.Prompt)
	if r.MaxTokens >= 0 {
		limit = min(limit, r.MaxTokens)
	}
	given := 0.0
	if r.EchoLogprobs {
		given = -float64(len(r.Prompt)) // the prompt's tokens are published, too
	}
	given = max(0, given+float64(s.published.Load()))
	// An answer that is longer than the usual one already may go on for as long again:
	// nothing is known about its end.
	expected := usual
	if given >= usual {
		expected = given + usual
	}
	j := job{client: r.Client, class: min(max(r.Priority, Low), High), running: s.begun.Load(), left: min(expected, float64(limit)) - given}
	if !j.running {
		j.prompt = max(1, float64(len(r.Prompt))*fresh)
		j.held = len(r.Prompt) - int(j.prompt)
		return j
	}
	computed := int(s.computed.Load())
	j.prompt = float64(max(0, len(r.Prompt)-computed))
	if given > 0 {
		j.prompt = 0
	}
	j.held = len(r.Prompt) + int(given)
	return j
}

// note remembers a request for forecasts, which hold none that has ended. It is
// called under e.mu.
func (e *Engine) note(s *Stream) {
	if len(e.ledger) > 2*e.requests.live()+16 {
		e.ledger = slices.DeleteFunc(e.ledger, func(ref weak.Pointer[Stream]) bool {
			s := ref.Value()
			return s == nil || s.ended.Load()
		})
	}
	e.ledger = append(e.ledger, weak.Make(s))
}

// Admit returns why a request that a client submits now would be refused, whatever
// its prompt is, or nil. A caller for whom a prompt is expensive to make asks before
// it makes one.
func (e *Engine) Admit(client string, priority int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.admit(client, priority)
}

func (e *Engine) admit(client string, priority int) error {
	err := e.Room()
	full := err == ErrQueueFull
	if err != nil && !full || !full && (e.cfg.MaxWait <= 0 || e.requests.live() < e.cfg.MaxBatch) {
		return err
	}
	busy := &BusyError{Starts: e.forecast().starts(client, min(max(priority, sched.Low), sched.High)), Full: full}
	if full || busy.Starts > e.cfg.MaxWait {
		return busy
	}
	return nil
}
