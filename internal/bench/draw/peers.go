package draw

import (
	"github.com/penstock-llm/penstock/internal/bench/figure"
	"github.com/penstock-llm/penstock/internal/bench/peers"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

func compareFigures(r *peers.CompareResult) ([]Named, error) {
	var g figure.Group
	for _, s := range r.Servers {
		g.Bars = append(g.Bars, bar(s.Name, s.TokensPerSecond))
	}
	f, err := figure.Bars("Throughput", "output tokens/s", []figure.Group{g})
	if err != nil {
		return nil, err
	}
	return []Named{{Name: "compare", Figure: f}}, nil
}

// peersFigures draws, for each kind of work, how many times the best peer's speed is reached on each model.
func peersFigures(r *peers.PeersResult) ([]Named, error) {
	var groups []figure.Group
	for _, w := range peers.Works() {
		g := figure.Group{Name: w}
		found := false
		for _, m := range r.Models {
			b := figure.Bar{Label: m.Model}
			for _, row := range m.Rows {
				if row.Work == w {
					b = bar(m.Model, row.Ratio)
					found = true
				}
			}
			g.Bars = append(g.Bars, b)
		}
		if found {
			groups = append(groups, g)
		}
	}
	f, err := figure.Bars("Penstock's speed over the best peer's", "times", groups)
	if err != nil {
		return nil, err
	}
	return []Named{{Name: "peers", Figure: f}}, nil
}

// bar draws an estimate; one from too few repeats has no whisker.
func bar(label string, e stats.Estimate) figure.Bar {
	b := figure.Bar{Label: label, Value: e.Value, Lo: e.Value, Hi: e.Value}
	if e.Claims() {
		b.Lo, b.Hi = e.CI95[0], e.CI95[1]
	}
	return b
}
