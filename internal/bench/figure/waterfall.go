package figure

import (
	"fmt"
	"image/color"

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
	Note  string  // such as the loss from the step before
	Share float64 // for Waterfalls: the speed as a share of the first step's, where that was measured directly
}

// Waterfall draws a bar for each step, with what was lost since the step before in grey above it.
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
			return nil, fmt.Errorf("%s is %v", s.Name, s.Value)
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
		return nil, err
	}
	bars.Color, bars.LineStyle.Width = shade(0), 0
	gap, err := plotter.NewBarChart(lost, width)
	if err != nil {
		return nil, err
	}
	gap.Color, gap.LineStyle.Width = grey, 0
	gap.StackOn(bars)
	marks := notes{}
	for i, s := range steps {
		marks.add(float64(i), own[i]+lost[i], s.Note, fmt.Sprintf("%.4g", s.Value))
	}
	p.Add(bars, gap, marks)
	p.NominalX(labels...)
	p.X.Min, p.X.Max = -0.6, float64(len(labels))-0.4
	p.Y.Min, p.Y.Max = 0, top*1.22
	return &Figure{p, 16 * vg.Centimeter, 9 * vg.Centimeter}, nil
}

// notes writes lines of text above points, the first line lowest.
type notes []note

type note struct {
	x, y  float64
	lines []string
}

func (n *notes) add(x, y float64, lines ...string) { *n = append(*n, note{x, y, lines}) }

// Plot implements plot.Plotter.
func (n notes) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	style := p.X.Tick.Label
	style.XAlign, style.YAlign, style.Rotation = text.XCenter, text.YBottom, 0
	for _, m := range n {
		at := vg.Point{X: tx(m.x), Y: ty(m.y) + vg.Points(3)}
		for _, line := range m.lines {
			if line != "" {
				c.FillText(style, at, line)
				at.Y += vg.Points(12)
			}
		}
	}
}

// Fall is one server's speed at each step from its core to its clients.
type Fall struct {
	Name  string
	Steps []Step
}

// Waterfalls draws several servers side by side. Each is shown in percent of its own first step, because they may run different models on
// different machines. Where a step has a Share, that is drawn instead of the quotient of the values: it comes from runs of the same
// rounds.
func Waterfalls(title string, falls []Fall) (*Figure, error) {
	if len(falls) == 0 {
		return nil, errNothing
	}
	p := blank(title, "", "% of the core's tokens/s")
	var marks notes
	var ticks []plot.Tick
	at := 0.0
	for i, f := range falls {
		if len(f.Steps) == 0 || bad(f.Steps[0].Value) || f.Steps[0].Value <= 0 {
			return nil, fmt.Errorf("%s has no first step", f.Name)
		}
		from := at
		for k, s := range f.Steps {
			share := s.Value / f.Steps[0].Value
			if s.Share > 0 && k > 0 {
				share = s.Share
			}
			if bad(share) {
				return nil, fmt.Errorf("%s of %s is %v", s.Name, f.Name, share)
			}
			if err := column(p, at, 100*share, shade(i)); err != nil {
				return nil, err
			}
			label := ""
			if k > 0 {
				label = fmt.Sprintf("%.3g %%", 100*share)
			}
			marks.add(at, max(100, 100*share), label, fmt.Sprintf("%.4g", s.Value))
			ticks = append(ticks, plot.Tick{Value: at, Label: s.Name})
			at++
		}
		marks.add((from+at-1)/2, 117, f.Name)
		at += 0.6
	}
	p.Add(marks)
	p.X.Tick.Marker = plot.ConstantTicks(ticks)
	p.X.Tick.Width, p.X.LineStyle.Width = 0, 0
	p.X.Min, p.X.Max = -0.6, at-1
	p.Y.Min, p.Y.Max = 0, 130
	p.Y.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 25, Label: "25"}, {Value: 50, Label: "50"}, {Value: 75, Label: "75"}, {Value: 100, Label: "100"}}
	return &Figure{p, 18 * vg.Centimeter, 9 * vg.Centimeter}, nil
}

// column is one bar of Waterfalls, with what is missing to 100 in grey above it.
func column(p *plot.Plot, at, value float64, c color.Color) error {
	bar, err := plotter.NewBarChart(plotter.Values{value}, vg.Points(36))
	if err != nil {
		return err
	}
	bar.XMin, bar.Color, bar.LineStyle.Width = at, c, 0
	lost, err := plotter.NewBarChart(plotter.Values{max(0, 100-value)}, vg.Points(36))
	if err != nil {
		return err
	}
	lost.Color, lost.LineStyle.Width = grey, 0
	lost.StackOn(bar)
	p.Add(bar, lost)
	return nil
}
