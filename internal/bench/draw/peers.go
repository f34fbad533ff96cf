package draw

import (
	"github.com/penstock-llm/penstock/internal/bench/figure"
	"github.com/penstock-llm/penstock/internal/bench/peers"
)

func compareFigures(r *peers.CompareResult) ([]Named, error) {
	var g figure.Group
	for _, s := range r.Servers {
		e := s.TokensPerSecond
		g.Bars = append(g.Bars, figure.Bar{Label: s.Name, Value: e.Value, Lo: e.CI95[0], Hi: e.CI95[1]})
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
			bar := figure.Bar{Label: m.Model}
			for _, row := range m.Rows {
				if row.Work == w {
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
	return []Named{{Name: "peers", Figure: f}}, nil
}
