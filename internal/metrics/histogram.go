// Package metrics holds the counters that are read while the step runs: plain
// atomics, no lock, no allocation, no exposition format. Package engine writes
// them; package server reads them for /metrics.
package metrics

import (
	"math"
	"sync/atomic"
)

// Histogram counts observations in fixed buckets. Any goroutine may observe and
// take snapshots.
type Histogram struct {
	bounds []float64 // upper bounds, ascending; a last bucket has none
	counts []atomic.Uint64
	sum    atomic.Uint64 // bits of a float64
}

// NewHistogram makes a histogram with these upper bounds, ascending.
func NewHistogram(bounds ...float64) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts v.
func (h *Histogram) Observe(v float64) {
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	for {
		old := h.sum.Load()
		if h.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

// Snapshot is a histogram at one moment.
type Snapshot struct {
	Bounds []float64 // upper bounds; read-only
	Counts []uint64  // [len(Bounds)+1] observations in each bucket, not cumulative
	Count  uint64
	Sum    float64
}

// Snapshot reads the histogram.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Bounds: h.bounds, Counts: make([]uint64, len(h.counts))}
	for i := range h.counts {
		s.Counts[i] = h.counts[i].Load()
		s.Count += s.Counts[i]
	}
	s.Sum = math.Float64frombits(h.sum.Load())
	return s
}

// Join is a histogram with the observations of two, which have the same bounds.
// Where one is nil, it is the other itself.
func Join(a, b *Histogram) *Histogram {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	j := NewHistogram(a.bounds...)
	sum := 0.0
	for _, h := range []*Histogram{a, b} {
		for i := range h.counts {
			j.counts[i].Add(h.counts[i].Load())
		}
		sum += math.Float64frombits(h.sum.Load())
	}
	j.sum.Store(math.Float64bits(sum))
	return j
}
