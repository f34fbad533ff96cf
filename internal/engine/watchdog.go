package engine

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// ErrStuck is what Submit returns while a step does not end; it comes as a
// *StuckError with how long that has been.
var ErrStuck = errors.New("a step does not end")

// StuckError is an ErrStuck with the time for which the step has been running.
type StuckError struct{ For time.Duration }

func (e *StuckError) Error() string { return fmt.Sprintf("%v after %v", ErrStuck, e.For) }

// Is makes errors.Is(err, ErrStuck) true.
func (e *StuckError) Is(target error) bool { return target == ErrStuck }

// Stuck is a step that has run for longer than Config.StepLimit, and what it
// computes.
type Stuck struct {
	Step    int64         // its number
	For     time.Duration // for which it has run at least
	Rows    int           // of its batch
	Streams int           // sequences in it that were decoding
	Running []Running     // the requests that take part in the steps
	Stack   []byte        // of the step loop and the workers; nil: not taken yet
	Over    bool          // the step has ended after all
}

// watchParts is how often the watchdog looks within the limit. It counts how often
// it has seen the same step: unlike the clock, that does not jump when the process
// or the machine was stopped for a while.
const watchParts = 4

// watchdog notices a step that does not end.
type watchdog struct {
	step          atomic.Int64 // number of the step that runs; 0: none
	rows, streams atomic.Int64 // of its batch
	stuck         atomic.Int64 // ns for which the step has not ended; 0: all is well
}

// watch looks at the loop, until that ends.
func (e *Engine) watch() {
	part := e.cfg.StepLimit / watchParts
	ticker := time.NewTicker(part)
	defer ticker.Stop()
	var step, seen int64
	for {
		select {
		case <-e.done:
			return
		case <-ticker.C:
		}
		now := e.dog.step.Load()
		if now == step && now != 0 {
			seen++
		} else {
			if seen >= watchParts {
				e.report(Stuck{Step: step, For: time.Duration(seen) * part, Over: true})
			}
			step, seen = now, 0
			e.dog.stuck.Store(0)
		}
		if seen < watchParts {
			continue
		}
		e.dog.stuck.Store(seen * int64(part))
		s := Stuck{Step: step, For: time.Duration(seen) * part, Rows: int(e.dog.rows.Load()), Streams: int(e.dog.streams.Load()), Running: e.Running()}
		switch seen {
		case watchParts:
			e.report(s)
		case watchParts + 1:
			// The runtime stops all goroutines to read their stacks. If a worker hangs where
			// it cannot be stopped, such as in a page that the disk does not give, the whole
			// process stops with it. By now whoever supervises it has had time to see /livez.
			s.Stack = stacks()
			e.report(s)
		}
	}
}

func (e *Engine) report(s Stuck) {
	if e.cfg.OnStuck != nil {
		e.cfg.OnStuck(s)
	}
}

// stacks are the stacks of step loops and of the workers that compute for them.
func stacks() []byte {
	all := make([]byte, 1<<20)
	all = all[:runtime.Stack(all, true)]
	var found [][]byte
	for _, g := range bytes.Split(all, []byte("\n\n")) {
		if bytes.Contains(g, []byte("engine.(*Engine).loop(")) || bytes.Contains(g, []byte("nn.(*Pool).")) {
			found = append(found, g)
		}
	}
	return bytes.Join(found, []byte("\n\n"))
}
