package engine

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/penstock-llm/penstock/internal/kernel"
)

// Constraint restricts the tokens of one sequence, as a grammar does. Prepare and
// Accept are called one at a time, from a goroutine of the sequence's own, which
// works while the model computes: Prepare, then Accept, then Prepare again. Neither
// holds up a step for longer than a bound, however long it takes.
type Constraint interface {
	// Prepare works out what may come next. left is the number of tokens that may
	// still be generated: a constraint that has to be complete by then allows only
	// what leads there.
	Prepare(left int) error
	// Allowed is the set of tokens that may come next, bit t%64 of word t/64 for
	// token t, valid until the next Accept; nil: any. The step calls it between
	// Prepare and Accept. It must not take long or allocate.
	Allowed() []uint64
	// Accept is told the token that was chosen. It returns the tokens that must
	// follow it, if there is only one way on; they are accepted already and are
	// not chosen by the model. They are valid until the next Accept. A sequence's
	// last token is not accepted, as nothing follows it.
	Accept(token int32) (forced []int32, err error)
}

// quickConstraint is a Constraint that mostly knows all about a token at once.
type quickConstraint interface {
	Constraint
	// Quick is Accept and then Prepare, with the tokens that may still be generated
	// behind the one that it is told, if both take no work: ok is false where they
	// would, and then nothing was done. The step calls it in place. It must not wait
	// or allocate.
	Quick(token int32, left int) (forced []int32, ok bool)
}

const (
	// constraintWait is how long a step waits for constraints. A sequence whose
	// constraint is not prepared by then gets no token in this step: a hard
	// constraint slows down its own sequence and no other.
	constraintWait = 100 * time.Microsecond

	// lonelyWait is how long a step waits that would otherwise give nobody a token.
	lonelyWait = 10 * time.Millisecond

	// quick is how long the slowest Accept of a constraint may have taken lately for
	// the step to let the next one run in its place.
	quick = 50 * time.Microsecond
)

// What the goroutine of a constraint has done.
const (
	working  int32 = iota
	accepted       // Accept has returned: forced and failure are valid
	prepared       // and so has Prepare
)

// constrained is a stream's constraint with the goroutine that works for it. The
// step and the goroutine take turns: the step hands over with ask, and reads the
// results once phase says that they are there.
type constrained struct {
	Constraint
	quick   quickConstraint // the same one, if it is one
	asked   chan struct{}   // capacity 1: never blocks the step; closed at the stream's end
	phase   atomic.Int32
	token   int32 // to accept; -1: none, at the beginning
	left    int   // tokens that may be generated behind it
	forced  []int32
	failure error // of Accept
	err     error // of Prepare
	given   bool  // the step has taken forced
	slowest time.Duration
}

// constrain makes a stream's constraint, in its goroutine, and has its first token
// prepared.
func constrain(constraint func() Constraint, left int) *constrained {
	p := &constrained{asked: make(chan struct{}, 1), token: -1, left: left}
	go p.work(constraint)
	p.asked <- struct{}{}
	return p
}

func (p *constrained) work(constraint func() Constraint) {
	for range p.asked {
		if p.failure == nil && p.err == nil {
			p.failure = guarded(func() error { return p.accept(constraint) })
		}
		left := p.left - len(p.forced)
		p.phase.Store(accepted)
		if p.failure == nil && left > 0 {
			runtime.Gosched() // a step may be waiting for what was forced
			p.err = guarded(func() error { return p.Prepare(left) })
		}
		p.phase.Store(prepared)
	}
}

// accept makes the constraint at first, and accepts a token from then on.
func (p *constrained) accept(constraint func() Constraint) (err error) {
	p.forced = nil
	if p.Constraint == nil {
		p.Constraint = constraint()
		p.quick, _ = p.Constraint.(quickConstraint)
	}
	if p.token < 0 {
		return nil
	}
	start := time.Now()
	p.forced, err = p.Accept(p.token)
	p.slowest = max(time.Since(start), p.slowest*3/4)
	return err
}

// guarded turns a panic into an error.
func guarded(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", ErrStep, v)
		}
	}()
	return f()
}

// ask has a token accepted and the one behind it prepared.
func (p *constrained) ask(token int32, left int) {
	p.token, p.left, p.given = token, left, false
	p.phase.Store(working)
	p.asked <- struct{}{}
}

// hurry has a token accepted and the one behind it prepared at once, if that takes no
// work, and returns what must follow the token. The goroutine is not needed then.
func (p *constrained) hurry(token int32, left int) (forced []int32, ok bool) {
	if p.quick == nil {
		return nil, false
	}
	if forced, ok = p.quick.Quick(token, left); ok {
		p.token, p.left, p.forced, p.given = token, left, forced, true
	}
	return forced, ok
}

// known reports whether it is known what must follow the last token.
func (p *constrained) known() bool { return p.phase.Load() >= accepted }

// ready reports whether the sequence can get a token: one that is forced, or one
// that is sampled among those that are allowed. An error counts as one.
func (p *constrained) ready() bool {
	switch p.phase.Load() {
	case prepared:
		return true
	case accepted:
		return len(p.forced) > 0 && !p.given
	}
	return false
}

// take returns what must follow the last token, once, if it is known by now.
func (p *constrained) take() (forced []int32, err error) {
	if p.given || !p.known() {
		return nil, nil
	}
	p.given = true
	return p.forced, p.failure
}

// close ends the goroutine, after what it is at.
func (p *constrained) close() { close(p.asked) }

// deadline is until when a step may wait for constraints.
type deadline struct{ at time.Time }

// pauses is the number of pauses between two looks at the clock, and maxPauses that
// after which the wait ends whatever the clock says: clocks of tests stand still.
const (
	pauses    = 16
	maxPauses = 1 << 12
)

// await waits until a condition holds, without giving its processor away: a
// goroutine that ran there might keep it for long.
func (d deadline) await(ok func() bool) bool {
	for n := 1; !ok(); n++ {
		if n%pauses == 0 && (n >= maxPauses || time.Now().After(d.at)) {
			return ok()
		}
		kernel.Pause(4)
	}
	return true
}
