package loadtest

import (
	"fmt"

	"github.com/penstock-llm/penstock/internal/bench/results"
)

// What a load has to say to a report.

func (r *Result) Conditions() map[string]any { return results.Without(r.Settings, "url", "seed") }

func (r *Result) Series() []results.Series {
	e2e := results.Series{Name: "end to end", Unit: "ms", Lower: true}
	ttft := results.Series{Name: "time to first token", Unit: "ms", Lower: true}
	per := results.Series{Name: "time per output token", Unit: "ms", Lower: true}
	for i := range r.Samples {
		s := &r.Samples[i]
		if !s.OK() {
			continue
		}
		e2e.Values = append(e2e.Values, float64(s.End)/1e6)
		if s.First > 0 {
			ttft.Values = append(ttft.Values, float64(s.First)/1e6)
		}
		if t := tpot(s); t > 0 {
			per.Values = append(per.Values, float64(t)/1e6)
		}
	}
	return []results.Series{e2e, ttft, per}
}

func (r *Result) Headline() string {
	switch {
	case r.Summary != nil:
		return fmt.Sprintf("%.1f tokens/s, %d of %d requests, E2E p50 %.0f ms", r.Summary.TokensPerSecond, r.Summary.OK, r.Summary.Requests, r.Summary.E2E.P50)
	case r.Sweep != nil:
		return fmt.Sprintf("knee at %.4g %s", r.Sweep.Knee, r.Sweep.Axis)
	}
	return "empty"
}
