package peers

import (
	"fmt"
	"maps"
	"slices"

	"github.com/penstock-llm/penstock/internal/bench/figure"
	"github.com/penstock-llm/penstock/internal/bench/results"
)

// What a comparison and the table of peers have to say to a report.

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
	return out
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

func (r *CompareResult) Figures() ([]figure.Named, error) {
	var g figure.Group
	for _, s := range r.Servers {
		e := s.TokensPerSecond
		g.Bars = append(g.Bars, figure.Bar{Label: s.Name, Value: e.Value, Lo: e.CI95[0], Hi: e.CI95[1]})
	}
	f, err := figure.Bars("Throughput", "output tokens/s", []figure.Group{g})
	if err != nil {
		return nil, err
	}
	return []figure.Named{{Name: "compare", Figure: f}}, nil
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
			}
		}
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

// figures draws, for each kind of work, how many times the best peer's speed is reached on each model.
func (r *PeersResult) Figures() ([]figure.Named, error) {
	var out []figure.Named
	var groups []figure.Group
	for _, w := range rows {
		g := figure.Group{Name: w.name}
		found := false
		for _, m := range r.Models {
			bar := figure.Bar{Label: m.Model}
			for _, row := range m.Rows {
				if row.Work == w.name {
					bar.Value, bar.Lo, bar.Hi = row.Ratio.Value, row.Ratio.CI95[0], row.Ratio.CI95[1]
					found = true
				}
			}
			g.Bars = append(g.Bars, bar)
		}
		if found {
			groups = append(groups, g)
		}
	}
	f, err := figure.Bars("Penstock's speed over the best peer's", "times", groups)
	if err != nil {
		return nil, err
	}
	return append(out, figure.Named{Name: "peers", Figure: f}), nil
}
