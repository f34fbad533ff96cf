package bench

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/penstock-llm/penstock/internal/bench/figure"
)

// What each kind of result has to say to a report.

func without(m map[string]any, keys ...string) map[string]any {
	out := maps.Clone(m)
	for _, k := range keys {
		delete(out, k)
	}
	return out
}

func (r *LoadResult) record() *Record { return &r.Record }

func (r *LoadResult) conditions() map[string]any { return without(r.Settings, "url", "seed") }

func (r *LoadResult) series() []series {
	e2e := series{name: "end to end", unit: "ms", lower: true}
	ttft := series{name: "time to first token", unit: "ms", lower: true}
	per := series{name: "time per output token", unit: "ms", lower: true}
	for i := range r.Samples {
		s := &r.Samples[i]
		if !s.OK() {
			continue
		}
		e2e.values = append(e2e.values, float64(s.End)/1e6)
		if s.First > 0 {
			ttft.values = append(ttft.values, float64(s.First)/1e6)
		}
		if t := tpot(s); t > 0 {
			per.values = append(per.values, float64(t)/1e6)
		}
	}
	return []series{e2e, ttft, per}
}

func (r *LoadResult) headline() string {
	switch {
	case r.Summary != nil:
		return fmt.Sprintf("%.1f tokens/s, %d of %d requests, E2E p50 %.0f ms", r.Summary.TokensPerSecond, r.Summary.OK, r.Summary.Requests, r.Summary.E2E.P50)
	case r.Sweep != nil:
		return fmt.Sprintf("knee at %.4g %s", r.Sweep.Knee, r.Sweep.Axis)
	}
	return "empty"
}

func (r *LoadResult) figures() ([]namedFigure, error) {
	if r.Sweep != nil {
		return r.Sweep.figures()
	}
	return timelineFigures(r.Samples)
}

func (r *CompareResult) record() *Record { return &r.Record }

func (r *CompareResult) conditions() map[string]any { return r.Settings }

func (r *CompareResult) series() []series {
	var out []series
	for i, s := range r.Servers {
		x := series{name: s.Name, unit: "tokens/s"}
		for _, round := range r.Rounds {
			if i < len(round.Runs) {
				x.values = append(x.values, round.Runs[i].TokensPerSecond)
			}
		}
		out = append(out, x)
	}
	return out
}

func (r *CompareResult) headline() string {
	text := ""
	for i, s := range r.Servers {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s %.1f tokens/s", s.Name, s.TokensPerSecond.Value)
	}
	return text
}

func (r *CompareResult) figures() ([]namedFigure, error) {
	var g figure.Group
	for _, s := range r.Servers {
		e := s.TokensPerSecond
		g.Bars = append(g.Bars, figure.Bar{Label: s.Name, Value: e.Value, Lo: e.CI95[0], Hi: e.CI95[1]})
	}
	f, err := figure.Bars("Throughput", "output tokens/s", []figure.Group{g})
	if err != nil {
		return nil, err
	}
	return []namedFigure{{"compare", f}}, nil
}

func (r *PeersResult) record() *Record { return &r.Record }

func (r *PeersResult) conditions() map[string]any { return without(r.Settings, "works", "rounds") }

func (r *PeersResult) series() []series {
	var out []series
	for _, m := range r.Models {
		for _, row := range m.Rows {
			for _, name := range slices.Sorted(maps.Keys(row.Samples)) {
				out = append(out, series{name: m.Model + ", " + row.Work + ", " + name, unit: "tokens/s", values: row.Samples[name]})
			}
		}
	}
	return out
}

func (r *PeersResult) headline() string {
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
func (r *PeersResult) figures() ([]namedFigure, error) {
	var out []namedFigure
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
	return append(out, namedFigure{"peers", f}), nil
}

// saveFigures writes the figures of a result into a folder.
func saveFigures(dir string, r stored) error {
	figures, err := r.figures()
	if err != nil {
		return err
	}
	for _, f := range figures {
		if err := f.Save(filepath.Join(dir, f.name)); err != nil {
			return err
		}
	}
	return nil
}
