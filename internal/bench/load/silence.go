package load

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A server that has died refuses connections at once. Without pauses a closed loop would send requests as fast as the machine can
// refuse them, and fill the memory with samples of nothing.

// backoff is the pause of one client after requests that got no answer at all: it doubles from leastPause to mostPause.
type backoff struct{ pause time.Duration }

const (
	leastPause = 50 * time.Millisecond
	mostPause  = time.Second
)

// wait pauses after a request that was not answered. It returns false when ctx ends meanwhile.
func (b *backoff) wait(ctx context.Context, answered bool) bool {
	if answered {
		b.pause = 0
		return true
	}
	b.pause = min(max(2*b.pause, leastPause), mostPause)
	return sleepUntil(ctx, time.Now().Add(b.pause))
}

// watch ends a run when its server has fallen silent: for a time, every request failed before any answer came. An answer is any
// HTTP status, an error, too.
type watch struct {
	url      string
	patience time.Duration
	end      context.CancelCauseFunc

	mu     sync.Mutex
	since  time.Time // the first failure after the last answer; zero: none
	failed int       // since then
}

const defaultPatience = 10 * time.Second

func newWatch(url string, patience time.Duration, end context.CancelCauseFunc) *watch {
	if patience <= 0 {
		patience = defaultPatience
	}
	return &watch{url: url, patience: patience, end: end}
}

func (w *watch) note(s *Sample) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !s.silent {
		if s.Status != 0 {
			w.since, w.failed = time.Time{}, 0
		}
		return
	}
	if w.failed++; w.since.IsZero() {
		w.since = time.Now()
	}
	if silence := time.Since(w.since); silence >= w.patience {
		w.end(fmt.Errorf("nothing answers at %s: %d requests in %.0f s, the last one: %s", w.url, w.failed, silence.Seconds(), s.Err))
	}
}
