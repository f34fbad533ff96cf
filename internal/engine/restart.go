package engine

import (
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/penstock-llm/penstock/internal/nn"
)

// A panic of a step fails the requests that took part in it, and nothing else. When
// panics follow each other closely it is not the requests: the engine is broken.
// It then starts over with an empty scheduler, after a pause in which it refuses
// requests. Those that were waiting and have not begun are kept.
const (
	panicsToBreak = 3
	closeSteps    = 10 // all of them within so many steps
	closeTime     = 30 * time.Second
	firstPause    = time.Second
	longestPause  = time.Minute
	calmAfter     = 5 * time.Minute // without a restart: the next pause is the first again
)

// mishap is when a step panicked.
type mishap struct {
	step int64
	at   time.Time
}

// BrokenError is an ErrBroken with the time until the engine has restarted.
type BrokenError struct{ Retry time.Duration }

func (e *BrokenError) Error() string {
	return fmt.Sprintf("%v; it restarts in %v", ErrBroken, e.Retry.Round(time.Second))
}

// Is makes errors.Is(err, ErrBroken) true.
func (e *BrokenError) Is(target error) bool { return target == ErrBroken }

// rescue turns a panic of a step into the failure of its requests.
func (e *Engine) rescue() {
	v := recover()
	if v == nil {
		return
	}
	stack := debug.Stack()
	if w, ok := v.(*nn.WorkerPanic); ok {
		stack = w.Stack // ours only shows that it was passed on
	}
	if e.cfg.Explain != nil {
		v = e.cfg.Explain(v)
	}
	if e.cfg.OnPanic != nil {
		e.cfg.OnPanic(v, stack)
	}
	now := time.Now()
	if e.tooMany(now) {
		e.breakDown(v, now)
		return
	}
	defer func() {
		if recover() != nil { // the scheduler itself is inconsistent
			e.renew(v, now)
		}
	}()
	if e.plan == nil {
		e.renew(v, now)
		return
	}
	e.failPlan(v, now)
}

// resumes is when a broken engine takes requests again.
func (e *Engine) resumes() time.Time { return e.born.Add(time.Duration(e.resume.Load())) }

// tooMany notes a panic and says whether the last few came closely together.
func (e *Engine) tooMany(now time.Time) bool {
	e.mishaps = append(e.mishaps, mishap{e.steps, now})
	if len(e.mishaps) < panicsToBreak {
		return false
	}
	first := e.mishaps[0]
	e.mishaps = slices.Delete(e.mishaps, 0, 1)
	return e.steps-first.step < closeSteps && now.Sub(first.at) <= closeTime
}

// failPlan fails those who took part in the step, and takes back its plan.
func (e *Engine) failPlan(v any, now time.Time) {
	plan := e.plan
	for i := range plan.Entries {
		if s := owner(plan.Entries[i].Seq); s.seq != nil {
			s.failure = fmt.Errorf("%w: %v", ErrStep, v)
			e.sched.Fail(s.seq)
		}
	}
	e.starts = e.starts[:0]
	for range len(plan.Entries) + 1 {
		e.starts = append(e.starts, 0)
	}
	e.sched.Update(plan, nil, e.starts)
	e.plan = nil
	for _, seq := range plan.Finished {
		e.finish(seq, now)
	}
}

// breakDown starts over, and refuses requests until resume.
func (e *Engine) breakDown(v any, now time.Time) {
	e.pause = min(2*e.pause, longestPause)
	if e.pause == 0 || now.Sub(e.resumes()) > calmAfter {
		e.pause = firstPause
	}
	e.mu.Lock()
	e.resume.Store(int64(now.Add(e.pause).Sub(e.born)))
	e.broken.Store(true)
	e.mu.Unlock()
	e.mishaps = e.mishaps[:0]
	e.collect()
	e.renew(v, now)
}

// renew fails the requests that have begun and hands the others to an empty
// scheduler, in their order.
func (e *Engine) renew(v any, now time.Time) {
	e.plan = nil
	var kept []*Stream
	for _, s := range slices.Clone(e.streams) {
		if !s.started {
			kept = append(kept, s)
			continue
		}
		e.end(s, Finish{Reason: Failed, StopToken: -1, Err: fmt.Errorf("%w: %v", ErrStep, v),
			Usage: Usage{Prompt: len(s.request.Prompt)}}, now)
	}
	slices.SortStableFunc(kept, func(a, b *Stream) int { return a.timings.Submitted.Compare(b.timings.Submitted) })
	e.streams = e.streams[:0]
	e.stats.retired.Add(e.sched.Counters())
	if e.prefixes != nil {
		e.settleFetches()
		e.prefixes.forget(e.cfg.Blocks)
	}
	e.contents.before += e.sched.Turnover() + 1 // also if the cache was empty, the era is another
	if err := e.reset(); err != nil {
		panic(err) // the same sizes were right when the engine was made
	}
	for _, s := range kept {
		e.enter(s)
	}
	e.stats.publish(e)
}

// rest waits until a broken engine may take requests again, or is roused: those
// that wait may still be aborted.
func (e *Engine) rest() {
	e.applyAborts()
	left := time.Until(e.resumes())
	if left <= 0 {
		e.stats.restarts.Add(1)
		e.broken.Store(false)
		return
	}
	select {
	case <-time.After(left):
	case <-e.kick:
	}
}
