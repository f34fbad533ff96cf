package loadtest

import (
	"fmt"

	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

// What a report reads from a load's result.

func (r *Result) Conditions() map[string]any {
	return results.Without(r.Settings, "url", "seed", "repeats")
}

// Series gives the quantities of each repeat. The requests of a repeat are not independent of each other, so that they are summed
// up and not compared one by one.
func (r *Result) Series() []results.Series {
	list := []results.Series{
		{Name: "output", Unit: "tokens/s"},
		{Name: "end to end, p50", Unit: "ms", Lower: true},
		{Name: "time to first token, p50", Unit: "ms", Lower: true},
		{Name: "time per output token, p50", Unit: "ms", Lower: true},
	}
	add := func(at int, d *stats.Distribution) {
		if d != nil {
			list[at].Values = append(list[at].Values, d.P50)
		}
	}
	repeats := r.Repeats
	if len(repeats) == 0 && r.Summary != nil { // stored before there were repeats
		repeats = []Summary{*r.Summary}
	}
	for i := range repeats {
		s := &repeats[i]
		list[0].Values = append(list[0].Values, s.TokensPerSecond)
		add(1, &s.E2E)
		add(2, s.TTFT)
		add(3, s.TPOT)
	}
	return list
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
