package stats

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latency collects durations with a relative error of 0.1 % in fixed memory. It is not safe for concurrent use.
type Latency struct {
	h *hdrhistogram.Histogram
}

const longest = 2 * time.Hour // longer values are counted as this long

// NewLatency returns an empty collection.
func NewLatency() *Latency {
	return &Latency{h: hdrhistogram.New(1, longest.Microseconds(), 3)}
}

// Add counts one duration; below a microsecond it counts as one.
func (l *Latency) Add(d time.Duration) {
	_ = l.h.RecordValue(min(max(d, time.Microsecond), longest).Microseconds()) // in range, so it can't fail
}

// Distribution is what a report says about a set of durations, in milliseconds.
type Distribution struct {
	N    int64   `json:"n"`
	Mean float64 `json:"mean_ms"`
	Min  float64 `json:"min_ms"`
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	Max  float64 `json:"max_ms"`
}

// Distribution sums up what was added; all zero when nothing was.
func (l *Latency) Distribution() Distribution {
	n := l.h.TotalCount()
	if n == 0 {
		return Distribution{}
	}
	at := func(q float64) float64 { return ms(l.h.ValueAtQuantile(q)) }
	return Distribution{N: n, Mean: l.h.Mean() / 1000, Min: ms(l.h.Min()), P50: at(50), P90: at(90), P99: at(99), Max: ms(l.h.Max())}
}

func ms(us int64) float64 { return float64(us) / 1000 }
