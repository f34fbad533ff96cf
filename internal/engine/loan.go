package engine

import (
	"context"
	"sync/atomic"
)

// loan is how somebody who wants to know what the loop alone knows meets the loop: he
// lends it a T, which the loop fills in when it passes by. So a step never waits for
// him, and where nobody asks it does nothing at all.
type loan[T any] struct {
	turn   chan struct{}     // holds a token while somebody lends: lenders wait for each other, never the loop for them
	filled chan struct{}     // the loop has filled in what was lent
	wanted atomic.Pointer[T] // what is lent, until the loop takes it
}

func (l *loan[T]) init() {
	l.turn, l.filled = make(chan struct{}, 1), make(chan struct{}, 1)
}

// lend waits until the loop has filled in v, which is when no step is running. ready
// is called before, when it is the caller's turn. ErrClosed means that the engine has
// ended.
func (l *loan[T]) lend(ctx context.Context, e *Engine, v *T, ready func()) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.turn }()
	ready()
	l.wanted.Store(v)
	e.rouse()
	select {
	case <-l.filled:
		return nil
	case <-e.done:
		select {
		case <-l.filled: // by the loop's last round
		default:
		}
		return ErrClosed
	case <-ctx.Done():
		if l.wanted.CompareAndSwap(v, nil) {
			return ctx.Err()
		}
		<-l.filled // the loop was at it already
		return nil
	}
}

// take is what the loop gets to fill in, or nil. It sends to filled when it has.
func (l *loan[T]) take() *T {
	v := l.wanted.Load()
	if v == nil || !l.wanted.CompareAndSwap(v, nil) {
		return nil
	}
	return v
}
