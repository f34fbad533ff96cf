package loadtest

import (
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
)

// Steady is the throughput while the whole load was on the server. A run begins with a ramp, in which nothing can be complete yet,
// and ends with a drain, in which the last requests run alone: one straggler of ten seconds would halve the throughput of a run of
// ten seconds that had nothing wrong with it.
type Steady struct {
	From              float64 `json:"from_seconds"` // of the run: the first answer is complete
	To                float64 `json:"to_seconds"`   // the last request is sent
	TokensPerSecond   float64 `json:"tokens_per_second"`
	RequestsPerSecond float64 `json:"requests_per_second"`
}

// leastWindow is the part of a run that the window must have. Runs that are so short, or all of whose requests were sent before
// the first was answered, have no steady part; their throughput is that of the whole run.
const leastWindow = 0.1

// steady finds the window and what was done in it. open says that requests came at a rate, whatever the server did.
func steady(r *load.Result, open bool) Steady {
	from, to, ok := window(r)
	if !ok {
		from, to = 0, r.Elapsed
	}
	var tokens, requests float64
	for i := range r.Samples {
		s := &r.Samples[i]
		if !s.OK() {
			continue
		}
		share := spread(s, from, to)
		if open {
			share = ended(s, from, to)
		}
		requests += share
		if len(s.Events) > 0 {
			share = delivered(s, from, to)
		}
		tokens += share * float64(s.Completion)
	}
	seconds := (to - from).Seconds()
	if seconds <= 0 {
		return Steady{}
	}
	return Steady{From: from.Seconds(), To: to.Seconds(), TokensPerSecond: tokens / seconds, RequestsPerSecond: requests / seconds}
}

// window is the time from the end of the first answer to the beginning of the last request.
func window(r *load.Result) (from, to time.Duration, ok bool) {
	first := true
	for i := range r.Samples {
		s := &r.Samples[i]
		to = max(to, s.Start+s.Late)
		if end := s.Start + s.End; s.OK() && (first || end < from) {
			from, first = end, false
		}
	}
	return from, to, !first && float64(to-from) >= leastWindow*float64(r.Elapsed)
}

// spread counts a request by the part of its time that lies in the window. It suits a closed loop, where as many requests are
// under way all the time, and where requests that begin together also end together: counting ends would depend on which
// side of the window's edge they happen to fall.
func spread(s *load.Sample, from, to time.Duration) float64 {
	if s.End <= 0 {
		return ended(s, from, to)
	}
	inside := min(s.Start+s.End, to) - max(s.Start, from)
	return max(0, float64(inside)/float64(s.End))
}

// ended counts a request when its last byte came in the window. It suits an open loop, where requests of an overloaded server wait
// ever longer, and time under way is no measure of work.
func ended(s *load.Sample, from, to time.Duration) float64 {
	if end := s.Start + s.End; end > from && end <= to {
		return 1
	}
	return 0
}

// delivered is the part of a streamed answer's pieces that came in the window.
func delivered(s *load.Sample, from, to time.Duration) float64 {
	n := 0
	for _, at := range s.Events {
		if at += s.Start; at > from && at <= to {
			n++
		}
	}
	return float64(n) / float64(len(s.Events))
}
