package engine

import (
	"fmt"
	"runtime"
	"time"
)

// Constraint restricts the tokens of one sequence, as a grammar does. Its methods
// are called one at a time, from different goroutines: Prepare, then Allowed and
// Accept, then Prepare again.
type Constraint interface {
	// Prepare works out what may come next, while the model computes. left is the
	// number of tokens that may still be generated: a constraint that has to be
	// complete by then allows only what leads there.
	Prepare(left int) error
	// Allowed is the set of tokens that may come next, bit t%64 of word t/64 for
	// token t, valid until the next Accept; nil: any.
	Allowed() []uint64
	// Accept is told the token that was chosen. It returns the tokens that must
	// follow it, if there is only one way on; they are accepted already and are
	// not chosen by the model. They are valid until the next Accept.
	Accept(token int32) (forced []int32, err error)
}

// constraintWait is how long a step waits for constraints that are not prepared.
// After that it gives their sequences no token: a hard constraint slows down its
// own sequence and no other.
const constraintWait = time.Millisecond

// constrained is a stream's constraint with the goroutine that prepares it.
type constrained struct {
	Constraint
	asked chan int   // tokens left; closed at the stream's end
	ready chan error // what Prepare returned
}

func constrain(c Constraint) *constrained {
	p := &constrained{Constraint: c, asked: make(chan int, 1), ready: make(chan error, 1)}
	go p.work()
	return p
}

func (p *constrained) work() {
	for left := range p.asked {
		p.ready <- p.prepare(left)
	}
}

func (p *constrained) prepare(left int) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", ErrStep, v)
		}
	}()
	return p.Prepare(left)
}

// ask has the next token prepared.
func (p *constrained) ask(left int) { p.asked <- left }

// await waits for that until a moment.
func (p *constrained) await(until time.Time) (ready bool, err error) {
	for {
		select {
		case err := <-p.ready:
			return true, err
		default:
		}
		if time.Now().After(until) {
			return false, nil
		}
		runtime.Gosched()
	}
}

// close ends the goroutine, after what it is at.
func (p *constrained) close() { close(p.asked) }
