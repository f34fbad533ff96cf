package layers

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/bench/figure"
	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

// What the layers have to say: a table, figures, a page.

func (r *Result) Conditions() map[string]any {
	return results.Without(r.Settings, "repeats", "rounds", "settle", "conditions")
}

func (r *Result) Series() []results.Series {
	var out []results.Series
	for _, list := range [][]LayerResult{r.Layers, r.Axes} {
		for _, x := range list {
			out = append(out, results.Series{Name: x.Name, Unit: "tokens/s", Values: x.Samples})
		}
	}
	return out
}

func (r *Result) Headline() string {
	var parts []string
	for _, x := range r.Layers {
		parts = append(parts, fmt.Sprintf("%s %.1f", x.Name, x.TokensPerSecond))
	}
	return strings.Join(parts, ", ") + " tokens/s"
}

func (r *Result) table(list []LayerResult, after string) [][]string {
	rows := [][]string{{after, "tokens/s", "95 % CI", "ms/token", "loss", "95 % CI", "of core", "95 % CI", "CPU-µs/token", "client's", "allocs/token", "batch", "waiting", "ok"}}
	for i, x := range list {
		row := []string{x.Name, fmt.Sprintf("%.1f", x.TokensPerSecond), fmt.Sprintf("[%.1f, %.1f]", x.CI95[0], x.CI95[1]), fmt.Sprintf("%.3f", x.MsPerToken),
			"-", "-", "-", "-", fmt.Sprintf("%.0f", x.CPU), "-", fmt.Sprintf("%.2f", x.Allocs), "-", "-", fmt.Sprintf("%d/%d", x.OK, x.Requests)}
		if after == "axis" || i > 0 {
			row[4] = fmt.Sprintf("%.2f %%", 100*x.Loss)
			row[5] = fmt.Sprintf("[%.2f, %.2f]", 100*x.LossCI95[0], 100*x.LossCI95[1])
		}
		if x.OfCore != nil {
			row[6], row[7] = fmt.Sprintf("%.3f", x.OfCore.Value), results.Interval(*x.OfCore, "%.3f")
		}
		if len(x.Samples) < 2 { // of one sample the spread is not known
			row[2], row[5], row[7] = "-", "-", "-"
		}
		if x.ClientCPU > 0 {
			row[9] = fmt.Sprintf("%.1f", x.ClientCPU)
		}
		if x.Occupancy > 0 {
			row[11] = fmt.Sprintf("%.2f", x.Occupancy)
		}
		if x.BusyOccupancy > 0 {
			row[12] = fmt.Sprintf("%.2f", x.BusyOccupancy)
		}
		rows = append(rows, row)
	}
	return rows
}

func (t *SpanTable) table() [][]string {
	rows := [][]string{{"span", "ms", "share"}}
	for _, s := range t.Spans {
		rows = append(rows, []string{s.Name, fmt.Sprintf("%.3f", s.Mean), fmt.Sprintf("%.2f %%", 100*s.Share)})
	}
	return append(rows, []string{"sum", fmt.Sprintf("%.3f", t.Attributed), fmt.Sprintf("%.2f %%", 100*t.Share)},
		[]string{"client's latency", fmt.Sprintf("%.3f", t.Latency), "100 %"})
}

func (t *SpanTable) verdict() string {
	if t.Trusted {
		return "The spans add up to the client's latency within 3 %."
	}
	return fmt.Sprintf("The spans add up to %.1f %% of the client's latency: more than 3 %% off, so the attribution is not to be trusted.", 100*t.Share)
}

func (r *Result) print(out io.Writer) error {
	if err := results.Table(out, r.table(r.Layers, "layer")); err != nil {
		return err
	}
	if len(r.Axes) > 0 {
		fmt.Fprintln(out, "\naxes of the http layer, one at a time; the loss is from the http layer")
		if err := results.Table(out, r.table(r.Axes, "axis")); err != nil {
			return err
		}
	}
	for _, p := range r.Peers {
		fmt.Fprintf(out, "\n%s in the same rounds\n", p.Name)
		if err := results.Table(out, r.table(p.Layers, "layer")); err != nil {
			return err
		}
	}
	if r.Spans != nil {
		fmt.Fprintln(out, "\na request of the http layer")
		if err := results.Table(out, r.Spans.table()); err != nil {
			return err
		}
		fmt.Fprintln(out, r.Spans.verdict())
	}
	if len(r.Floors) > 0 {
		fmt.Fprintln(out)
		if err := results.Table(out, r.floorTable()); err != nil {
			return err
		}
	}
	for _, s := range r.Skipped {
		fmt.Fprintln(out, "left out,", s)
	}
	for _, s := range r.Notes {
		fmt.Fprintln(out, s)
	}
	if len(r.Noise) > 0 {
		fmt.Fprintf(out, "the noise is larger than the difference between %s\n", strings.Join(r.Noise, "; "))
	}
	return nil
}

func (r *Result) Figures() ([]figure.Named, error) {
	steps := make([]figure.Step, 0, len(r.Layers))
	for i, x := range r.Layers {
		s := figure.Step{Name: x.Name, Value: x.TokensPerSecond}
		if i > 0 {
			s.Note = fmt.Sprintf("%+.1f %%", -100*x.Loss)
		}
		steps = append(steps, s)
	}
	w, err := figure.Waterfall("From the arithmetic to the client", "tokens/s", steps)
	if err != nil {
		return nil, err
	}
	out := []figure.Named{{Name: "layers", Figure: w}}
	if falls := r.falls(); len(falls) > 1 {
		f, err := figure.Waterfalls("What is left of each server's core", falls)
		if err != nil {
			return nil, err
		}
		out = append(out, figure.Named{Name: "waterfalls", Figure: f})
	}
	if len(r.Axes) > 0 {
		var g figure.Group
		for _, x := range r.Axes {
			g.Bars = append(g.Bars, figure.Bar{Label: x.Name, Value: x.TokensPerSecond, Lo: x.CI95[0], Hi: x.CI95[1]})
		}
		f, err := figure.Bars("Axes of real HTTP", "tokens/s", []figure.Group{g})
		if err != nil {
			return nil, err
		}
		out = append(out, figure.Named{Name: "axes", Figure: f})
	}
	return out, nil
}

// cllm is the benchmark that this one answers: cLLM's, of 20 January 2026.
var cllm = figure.Fall{Name: "cLLM, its report", Steps: []figure.Step{{Name: "core", Value: 112.726}, {Name: "handler", Value: 112.726}, {Name: "http", Value: 54.30}}}

// falls is the way from core to http of every server: this one, the other measured ones, cLLM.
func (r *Result) falls() []figure.Fall {
	own := figure.Fall{Name: "Penstock"}
	for _, x := range r.Layers {
		if x.Name == "core" || len(own.Steps) > 0 {
			own.Steps = append(own.Steps, figure.Step{Name: x.Name, Value: x.TokensPerSecond, Share: share(x.OfCore)})
		}
	}
	if len(own.Steps) < 3 {
		return nil
	}
	falls := []figure.Fall{own}
	for _, p := range r.Peers {
		if len(p.Layers) == 2 {
			falls = append(falls, figure.Fall{Name: p.Name, Steps: []figure.Step{{Name: "core", Value: p.Layers[0].TokensPerSecond},
				{Name: "http", Value: p.Layers[1].TokensPerSecond, Share: 1 - p.Layers[1].Loss}}})
		}
	}
	return append(falls, cllm)
}

func share(e *stats.Estimate) float64 {
	if e == nil {
		return 0
	}
	return e.Value
}

// distributions draws the rounds of each layer, ordered: flat where there was no noise.
func (r *Result) distributions() (*figure.Named, error) {
	var curves []figure.Series
	for _, x := range r.Layers {
		c := figure.Series{Name: x.Name}
		sorted := slices.Sorted(slices.Values(x.Samples))
		for i, v := range sorted {
			c.X, c.Y = append(c.X, 100*(float64(i)+0.5)/float64(len(sorted))), append(c.Y, v)
		}
		curves = append(curves, c)
	}
	f, err := figure.Lines("Distribution over the rounds", "percentile", "tokens/s", curves, false)
	if err != nil {
		return nil, err
	}
	return &figure.Named{Name: "layers-distributions", Figure: f}, nil
}

func (r *Result) page() (*figure.Page, error) {
	p := &figure.Page{Title: "Where the throughput goes", Intro: fmt.Sprint(r.Settings["conditions"])}
	figures, err := r.Figures()
	if err != nil {
		return nil, err
	}
	layers := figure.Section{Title: "Layers", Table: r.table(r.Layers, "layer"),
		Notes: []string{"Each layer runs alone, in a process of its own, settled, warmed up, in alternated order. A loss is that from the layer before, the median over the rounds, with a 95 % bootstrap interval over the repeats."}}
	if len(r.Noise) > 0 {
		layers.Notes = append(layers.Notes, "The noise is larger than the difference between "+strings.Join(r.Noise, "; ")+".")
	}
	spread, err := r.distributions()
	if err != nil {
		return nil, err
	}
	if err := layers.Draw(append(named(figures, "layers", "waterfalls"), *spread)); err != nil {
		return nil, err
	}
	p.Sections = append(p.Sections, layers)
	if len(r.Axes) > 0 {
		axes := figure.Section{Title: "Axes of real HTTP", Table: r.table(r.Axes, "axis"), Notes: []string{"One change at a time; the loss is from the http layer of the same round."}}
		if err := axes.Draw(named(figures, "axes")); err != nil {
			return nil, err
		}
		p.Sections = append(p.Sections, axes)
	}
	for _, x := range r.Peers {
		p.Sections = append(p.Sections, figure.Section{Title: x.Name + " in the same rounds", Table: r.table(x.Layers, "layer")})
	}
	if len(r.Floors) > 0 {
		p.Sections = append(p.Sections, figure.Section{Title: "Floors", Table: r.floorTable()})
	}
	if r.Spans != nil {
		p.Sections = append(p.Sections, figure.Section{Title: "A request of the http layer", Table: r.Spans.table(), Notes: []string{r.Spans.verdict()}})
	}
	return p, nil
}

func named(figures []figure.Named, names ...string) []figure.Named {
	var out []figure.Named
	for _, f := range figures {
		if slices.Contains(names, f.Name) {
			out = append(out, f)
		}
	}
	return out
}
