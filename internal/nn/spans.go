package nn

import (
	"sync/atomic"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// spans hands out the units [0, n) of a job. Each worker owns a contiguous span
// and takes chunks from its front, which gives every core one long stream from
// memory; a worker whose span is used up takes chunks from the back of the
// others', so that a core which is slow or busy elsewhere does not hold up the
// rest. It takes them from workers of its own node of memory first, then from those of
// others, whose weights are far away.
type spans struct {
	of    []span
	seats []cpu.Seat // of the workers
	chunk int
	near  bool // a worker takes nothing from other nodes
}

// span is [lo, hi), packed as lo<<32 | hi, on a cache line of its own.
type span struct {
	v atomic.Uint64
	_ [56]byte
}

func newSpans(p *Pool) spans { return spans{of: make([]span, p.workers), seats: p.seats, chunk: 1} }

// even gives every worker the same number of units.
func (s *spans) even(n, chunk int) {
	s.chunk = max(chunk, 1)
	for w := range s.of {
		s.set(w, n*w/len(s.of), n*(w+1)/len(s.of))
	}
}

// set gives worker w the span [lo, hi).
func (s *spans) set(w, lo, hi int) { s.of[w].v.Store(uint64(lo)<<32 | uint64(hi)) }

// next returns a chunk for worker w, or ok false when nothing is left.
func (s *spans) next(w int) (lo, hi int, ok bool) {
	if lo, hi, ok = s.of[w].front(s.chunk); ok {
		return lo, hi, true
	}
	if lo, hi, ok = s.take(w, true); ok || s.near || s.seats[len(s.seats)-1].Node == 0 {
		return lo, hi, ok
	}
	return s.take(w, false)
}

// take is a chunk of another worker, of the same node as w or of others.
func (s *spans) take(w int, near bool) (lo, hi int, ok bool) {
	for i := 1; i < len(s.of); i++ {
		v := (w + i) % len(s.of)
		if (s.seats[v].Node == s.seats[w].Node) != near {
			continue
		}
		if lo, hi, ok = s.of[v].back(s.chunk); ok {
			return lo, hi, true
		}
	}
	return 0, 0, false
}

func (s *span) front(chunk int) (lo, hi int, ok bool) {
	for {
		v := s.v.Load()
		lo, end := int(v>>32), int(uint32(v))
		if lo >= end {
			return 0, 0, false
		}
		hi = min(lo+chunk, end)
		if s.v.CompareAndSwap(v, uint64(hi)<<32|uint64(end)) {
			return lo, hi, true
		}
	}
}

func (s *span) back(chunk int) (lo, hi int, ok bool) {
	for {
		v := s.v.Load()
		start, hi := int(v>>32), int(uint32(v))
		if start >= hi {
			return 0, 0, false
		}
		lo = max(hi-chunk, start)
		if s.v.CompareAndSwap(v, uint64(start)<<32|uint64(lo)) {
			return lo, hi, true
		}
	}
}

// counter hands out tasks one by one, in order.
type counter struct {
	_ [64]byte
	n atomic.Int64
	_ [56]byte
}

func (c *counter) reset() { c.n.Store(0) }

// next returns the next task, which may lie beyond the last.
func (c *counter) next() int { return int(c.n.Add(1)) - 1 }
