package draw

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/bench/figure"
	"github.com/penstock-llm/penstock/internal/bench/layers"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

func layersFigures(r *layers.Result) ([]Named, error) {
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
	out := []Named{{Name: "layers", Figure: w}}
	if servers := falls(r); len(servers) > 1 {
		f, err := figure.Waterfalls("What is left of each server's core", servers)
		if err != nil {
			return nil, err
		}
		out = append(out, Named{Name: "waterfalls", Figure: f})
	}
	if len(r.Axes) > 0 {
		var g figure.Group
		for _, x := range r.Axes {
			g.Bars = append(g.Bars, bar(x.Name, x.Speed()))
		}
		f, err := figure.Bars("Axes of real HTTP", "tokens/s", []figure.Group{g})
		if err != nil {
			return nil, err
		}
		out = append(out, Named{Name: "axes", Figure: f})
	}
	return out, nil
}

// cllm has the figures of cLLM's benchmark report of 20 January 2026, whose question this benchmark asks again.
var cllm = figure.Fall{Name: "cLLM, its report", Steps: []figure.Step{{Name: "core", Value: 112.726}, {Name: "handler", Value: 112.726}, {Name: "http", Value: 54.30}}}

// falls lists the speeds from core to http of every server: this one, the peers that were measured with it, and cLLM's report.
func falls(r *layers.Result) []figure.Fall {
	own := figure.Fall{Name: "Penstock"}
	for _, x := range r.Layers {
		if x.Name == "core" || len(own.Steps) > 0 {
			own.Steps = append(own.Steps, figure.Step{Name: x.Name, Value: x.TokensPerSecond, Share: share(x.OfCore)})
		}
	}
	if len(own.Steps) < 3 {
		return nil
	}
	servers := []figure.Fall{own}
	for _, p := range r.Peers {
		if len(p.Layers) == 2 {
			servers = append(servers, figure.Fall{Name: p.Name, Steps: []figure.Step{{Name: "core", Value: p.Layers[0].TokensPerSecond},
				{Name: "http", Value: p.Layers[1].TokensPerSecond, Share: 1 - p.Layers[1].Loss}}})
		}
	}
	return append(servers, cllm)
}

func share(e *stats.Estimate) float64 {
	if e == nil {
		return 0
	}
	return e.Value
}

// distributions draws each layer's rounds in order of speed. Without noise the curve is flat.
func distributions(r *layers.Result) (*Named, error) {
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
	return &Named{Name: "layers-distributions", Figure: f}, nil
}

func layersPage(r *layers.Result) (*page, error) {
	p := &page{Title: "Where the throughput goes", Intro: fmt.Sprint(r.Settings["conditions"])}
	figures, err := layersFigures(r)
	if err != nil {
		return nil, err
	}
	first := section{Title: "Layers", Table: layers.Rows(r.Layers, "layer"),
		Notes: []string{"Each layer runs alone, in a process of its own, settled, warmed up, in alternated order. A loss is that from the layer before, with the 95 % t interval over the repeats; fewer than five repeats have none."}}
	if len(r.Noise) > 0 {
		first.Notes = append(first.Notes, "The noise is larger than the difference between "+strings.Join(r.Noise, "; ")+".")
	}
	spread, err := distributions(r)
	if err != nil {
		return nil, err
	}
	if err := first.draw(append(named(figures, "layers", "waterfalls"), *spread)); err != nil {
		return nil, err
	}
	p.Sections = append(p.Sections, first)
	if len(r.Axes) > 0 {
		axes := section{Title: "Axes of real HTTP", Table: layers.Rows(r.Axes, "axis"), Notes: []string{"One change at a time; the loss is from the http layer of the same round."}}
		if err := axes.draw(named(figures, "axes")); err != nil {
			return nil, err
		}
		p.Sections = append(p.Sections, axes)
	}
	for _, x := range r.Peers {
		p.Sections = append(p.Sections, section{Title: x.Name + " in the same rounds", Table: layers.Rows(x.Layers, "layer")})
	}
	if len(r.Floors) > 0 {
		p.Sections = append(p.Sections, section{Title: "Floors", Table: r.FloorRows()})
	}
	if r.Spans != nil {
		p.Sections = append(p.Sections, section{Title: "A request of the http layer", Table: r.Spans.Rows(), Notes: []string{r.Spans.Verdict()}})
	}
	return p, nil
}

func named(figures []Named, names ...string) []Named {
	var out []Named
	for _, f := range figures {
		if slices.Contains(names, f.Name) {
			out = append(out, f)
		}
	}
	return out
}
