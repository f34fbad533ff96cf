package peers

import (
	"fmt"
	"maps"
	"slices"

	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

// What a report reads from the results of a comparison and of the table of peers.

func (r *CompareResult) Conditions() map[string]any { return r.Settings }

func (r *CompareResult) Series() []results.Series {
	var out []results.Series
	for i, s := range r.Servers {
		x := results.Series{Name: s.Name, Unit: "tokens/s"}
		for _, round := range r.Rounds {
			if i < len(round.Runs) {
				x.Values = append(x.Values, round.Runs[i].TokensPerSecond)
			}
		}
		out = append(out, x)
	}
	for _, x := range out[min(1, len(out)):] {
		out = append(out, results.Series{Name: out[0].Name + " / " + x.Name, Unit: "x", Values: stats.Ratios(out[0].Values, x.Values), Ratio: true})
	}
	probe := results.Series{Name: "plain reads", Unit: "bytes/s", Probe: true}
	for _, round := range r.Rounds {
		probe.Values = append(probe.Values, round.Bandwidth)
	}
	return append(out, probe)
}

func (r *CompareResult) Headline() string {
	text := ""
	for i, s := range r.Servers {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s %.1f tokens/s", s.Name, s.TokensPerSecond.Value)
	}
	return text
}

func (r *PeersResult) Conditions() map[string]any {
	return results.Without(r.Settings, "works", "rounds")
}

func (r *PeersResult) Series() []results.Series {
	var out []results.Series
	for _, m := range r.Models {
		for _, row := range m.Rows {
			for _, name := range slices.Sorted(maps.Keys(row.Samples)) {
				out = append(out, results.Series{Name: m.Model + ", " + row.Work + ", " + name, Unit: "tokens/s", Values: row.Samples[name]})
				if name != self {
					out = append(out, results.Series{Name: m.Model + ", " + row.Work + ", " + self + " / " + name, Unit: "x", Ratio: true,
						Values: stats.Ratios(row.Samples[self], row.Samples[name])})
				}
			}
		}
		out = append(out, results.Series{Name: m.Model + ", plain reads", Unit: "bytes/s", Values: m.Bandwidth, Probe: true})
	}
	return out
}

func (r *PeersResult) Headline() string {
	reached, floors := 0, 0
	for _, m := range r.Models {
		for _, row := range m.Rows {
			if row.Floor > 0 {
				floors++
				if row.Reached {
					reached++
				}
			}
		}
	}
	return fmt.Sprintf("%d models, %d of %d floors reached", len(r.Models), reached, floors)
}
