package figure

import (
	"fmt"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Step is one layer of a waterfall: its speed, and how it is described.
type Step struct {
	Name  string
	Value float64
	Note  string // such as the loss from the step before
}

// Waterfall draws falling bars: each step's own, with what was lost since the step before in grey above it.
func Waterfall(title, y string, steps []Step) (*Figure, error) {
	if len(steps) == 0 {
		return nil, errNothing
	}
	p := blank(title, "", y)
	width := vg.Points(min(60, 360/float64(len(steps))))
	own, lost := make(plotter.Values, len(steps)), make(plotter.Values, len(steps))
	var labels []string
	top := 0.0
	for i, s := range steps {
		if bad(s.Value) {
			return nil, fmt.Errorf("figure: %s is %v", s.Name, s.Value)
		}
		own[i] = s.Value
		if i > 0 {
			lost[i] = max(0, steps[i-1].Value-s.Value)
		}
		labels = append(labels, s.Name)
		top = max(top, own[i]+lost[i])
	}
	bars, err := plotter.NewBarChart(own, width)
	if err != nil {
		return nil, fmt.Errorf("figure: %w", err)
	}
	bars.Color, bars.LineStyle.Width = shade(0), 0
	gap, err := plotter.NewBarChart(lost, width)
	if err != nil {
		return nil, fmt.Errorf("figure: %w", err)
	}
	gap.Color, gap.LineStyle.Width = grey, 0
	gap.StackOn(bars)
	p.Add(bars, gap, &notes{steps: steps, heights: sums(own, lost)})
	p.NominalX(labels...)
	p.X.Min, p.X.Max = -0.6, float64(len(labels))-0.4
	p.Y.Min, p.Y.Max = 0, top*1.22
	return &Figure{p, 16 * vg.Centimeter, 9 * vg.Centimeter}, nil
}

func sums(a, b plotter.Values) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] + b[i]
	}
	return out
}

// notes writes the value and the note above each bar.
type notes struct {
	steps   []Step
	heights []float64
}

// Plot implements plot.Plotter.
func (n *notes) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	style := p.X.Tick.Label
	style.XAlign, style.YAlign, style.Rotation = text.XCenter, text.YBottom, 0
	for i, s := range n.steps {
		at := vg.Point{X: tx(float64(i)), Y: ty(n.heights[i]) + vg.Points(3)}
		if s.Note != "" {
			c.FillText(style, at, s.Note)
			at.Y += vg.Points(12)
		}
		c.FillText(style, at, fmt.Sprintf("%.4g", s.Value))
	}
}
