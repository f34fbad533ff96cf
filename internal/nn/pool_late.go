package nn

import "time"

// When another process wants the core of a helper, the helper is stopped in the
// middle of a job and every other worker waits for it: the pool is slower than it
// would be without it. The caller notices that a helper is still inside a job long
// after everything else is done. It then leaves this helper out of shared jobs for a
// while. The other process gets the core, and the remaining workers run at full
// speed. The break gets longer each time it happens again soon.
const (
	lateAfter = time.Millisecond // far beyond any chunk of a shared job
	firstRest = 4 * time.Millisecond
	longRest  = 128 * time.Millisecond

	// A helper that has worked for so many times its last rest has a clean slate.
	goodBehaviour = 4
)

// rest is what the caller knows about a helper.
type rest struct {
	late  bool          // was inside when the caller ran out of patience
	last  time.Duration // length of the last rest
	until time.Duration // since the pool's base
}

// noteLate marks the helpers that the caller is about to sleep for.
func (p *Pool) noteLate(job uint64) {
	for w := 1; w < p.workers; w++ {
		h := &p.helpers[w]
		h.rest.late = h.rest.late || h.at.Load() == job|inside
	}
}

// judge sends the helpers that the caller had to wait for since then to rest.
func (p *Pool) judge(since time.Time) {
	if since.IsZero() || p.patient == 0 {
		return
	}
	late := time.Since(since) >= lateAfter
	now := time.Since(p.base)
	for w := 1; w < p.workers; w++ {
		h := &p.helpers[w]
		if late && h.rest.late {
			length := firstRest
			if now-h.rest.until < goodBehaviour*h.rest.last {
				length = min(2*h.rest.last, longRest)
			}
			h.rest.last, h.rest.until = length, now+length
			h.resting.Store(true)
			p.resting++
		}
		h.rest.late = false
	}
}

// recall ends the rests that are over, or all of them.
func (p *Pool) recall(all bool) {
	now := time.Since(p.base)
	for w := 1; w < p.workers; w++ {
		h := &p.helpers[w]
		if h.resting.Load() && (all || now >= h.rest.until) {
			h.resting.Store(false)
			p.resting--
		}
	}
}
