// Package figure draws the benchmark's figures with gonum/plot: lines, bars with intervals, a waterfall, a raster of token
// arrivals. It gets plain numbers and writes SVG or PNG; it knows nothing of where they come from. Package
// draw calls it.
package figure

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	_ "gonum.org/v1/plot/vg/vgimg" // PNG
	_ "gonum.org/v1/plot/vg/vgsvg" // SVG
)

// Figure is a drawn figure.
type Figure struct {
	plot          *plot.Plot
	width, height vg.Length
}

// Series is a named curve.
type Series struct {
	Name string
	X, Y []float64
}

// palette has colours that people with colour blindness can tell apart, on white and on grey.
var palette = []color.RGBA{
	{0x00, 0x72, 0xb2, 255}, {0xd5, 0x5e, 0x00, 255}, {0x00, 0x9e, 0x73, 255},
	{0xcc, 0x79, 0xa7, 255}, {0x56, 0xb4, 0xe9, 255}, {0xe6, 0x9f, 0x00, 255},
}

var grey = color.RGBA{0x80, 0x80, 0x80, 255}

func shade(i int) color.RGBA { return palette[i%len(palette)] }

func blank(title, x, y string) *plot.Plot {
	p := plot.New()
	sans := font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(10)}
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.TextStyle.Font = sans
	p.Title.TextStyle.Font.Size = vg.Points(12)
	p.Title.Padding = vg.Points(6)
	p.X.Label.TextStyle.Font, p.Y.Label.TextStyle.Font = sans, sans
	p.X.Tick.Label.Font, p.Y.Tick.Label.Font, p.Legend.TextStyle.Font = sans, sans, sans
	p.Legend.Top = true
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = color.Gray{0xe0}, color.Gray{0xf0}
	p.Add(grid)
	return p
}

var errNothing = errors.New("nothing to draw")

func checked(xs, ys []float64) (plotter.XYs, error) {
	if len(xs) != len(ys) {
		return nil, fmt.Errorf("%d x for %d y", len(xs), len(ys))
	}
	out := make(plotter.XYs, 0, len(xs))
	for i := range xs {
		if bad(xs[i]) || bad(ys[i]) {
			return nil, fmt.Errorf("point %d is (%v, %v)", i, xs[i], ys[i])
		}
		out = append(out, plotter.XY{X: xs[i], Y: ys[i]})
	}
	if len(out) == 0 {
		return nil, errNothing
	}
	return out, nil
}

func bad(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }

// Lines draws curves with a mark at each point. logY suits latencies.
func Lines(title, x, y string, series []Series, logY bool) (*Figure, error) {
	p := blank(title, x, y)
	if len(series) == 0 {
		return nil, errNothing
	}
	for i, s := range series {
		pts, err := checked(s.X, s.Y)
		if err != nil {
			return nil, err
		}
		if logY {
			for j := range pts {
				pts[j].Y = max(pts[j].Y, 1e-3)
			}
		}
		line, marks, err := plotter.NewLinePoints(pts)
		if err != nil {
			return nil, err
		}
		line.Color, marks.Color, line.Width = shade(i), shade(i), vg.Points(1.5)
		marks.Shape, marks.Radius = draw.CircleGlyph{}, vg.Points(2)
		p.Add(line, marks)
		p.Legend.Add(s.Name, line, marks)
	}
	p.Legend.Left = true
	if logY {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	} else {
		p.Y.Min = min(0, p.Y.Min)
	}
	return &Figure{p, 16 * vg.Centimeter, 9 * vg.Centimeter}, nil
}

// Raster draws a row for each request and a dot for each arrival: a server that stalls shows as a white column. rows hold
// times in seconds.
func Raster(title string, rows [][]float64) (*Figure, error) {
	p := blank(title, "seconds", "request")
	var pts plotter.XYs
	for i, row := range rows {
		for _, x := range row {
			if bad(x) {
				return nil, fmt.Errorf("request %d has an arrival at %v", i, x)
			}
			pts = append(pts, plotter.XY{X: x, Y: float64(i + 1)})
		}
	}
	if len(pts) == 0 {
		return nil, errNothing
	}
	s, err := plotter.NewScatter(pts)
	if err != nil {
		return nil, err
	}
	s.GlyphStyle = draw.GlyphStyle{Color: shade(0), Radius: vg.Points(0.8), Shape: draw.CircleGlyph{}}
	p.Add(s)
	p.X.Min, p.Y.Min = 0, 0
	return &Figure{p, 16 * vg.Centimeter, 9 * vg.Centimeter}, nil
}

// Bar is a value with its interval. If no interval is known, Lo and Hi equal Value.
type Bar struct {
	Label         string
	Value, Lo, Hi float64
}

// Group is one colour of a bar chart: a value for each label.
type Group struct {
	Name string
	Bars []Bar
}

// Bars draws groups side by side over the labels of the first group.
func Bars(title, y string, groups []Group) (*Figure, error) {
	if len(groups) == 0 || len(groups[0].Bars) == 0 {
		return nil, errNothing
	}
	p := blank(title, "", y)
	width := vg.Points(min(28, 300/float64(len(groups)*len(groups[0].Bars))))
	var labels []string
	longest := 0
	for _, b := range groups[0].Bars {
		labels = append(labels, b.Label)
		longest = max(longest, len(b.Label))
	}
	span := max(16, (0.5+0.2*float64(longest))*float64(len(labels))) // centimetres: labels have to fit side by side
	for i, g := range groups {
		if len(g.Bars) != len(labels) {
			return nil, fmt.Errorf("group %q has %d bars, the first has %d", g.Name, len(g.Bars), len(labels))
		}
		values := make(plotter.Values, len(g.Bars))
		for j, b := range g.Bars {
			if bad(b.Value) {
				return nil, fmt.Errorf("%s of %s is %v", b.Label, g.Name, b.Value)
			}
			values[j] = b.Value
		}
		bars, err := plotter.NewBarChart(values, width)
		if err != nil {
			return nil, err
		}
		bars.Color, bars.LineStyle.Width = shade(i), 0
		bars.Offset = width * vg.Length(float64(i)-float64(len(groups)-1)/2)
		p.Add(bars, &whiskers{bars: g.Bars, offset: bars.Offset})
		if len(groups) > 1 {
			p.Legend.Add(g.Name, bars)
		}
	}
	p.NominalX(labels...)
	p.X.Min, p.X.Max = -0.6, float64(len(labels))-0.4
	p.Y.Min = min(0, p.Y.Min)
	p.Y.Max *= 1.12
	return &Figure{p, vg.Length(span) * vg.Centimeter, 9 * vg.Centimeter}, nil
}

// whiskers draws the interval of each bar.
type whiskers struct {
	bars   []Bar
	offset vg.Length
}

// Plot implements plot.Plotter.
func (w *whiskers) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	style := draw.LineStyle{Color: color.Gray{0x30}, Width: vg.Points(1)}
	for i, b := range w.bars {
		if bad(b.Lo) || bad(b.Hi) || b.Hi <= b.Lo {
			continue
		}
		x, lo, hi := tx(float64(i))+w.offset, ty(b.Lo), ty(b.Hi)
		c.StrokeLine2(style, x, lo, x, hi)
		c.StrokeLine2(style, x-3, lo, x+3, lo)
		c.StrokeLine2(style, x-3, hi, x+3, hi)
	}
}

// DataRange implements plot.DataRanger, so that the axis has room for the intervals.
func (w *whiskers) DataRange() (xmin, xmax, ymin, ymax float64) {
	xmin, xmax, ymin, ymax = 0, float64(len(w.bars)-1), 0, 0
	for _, b := range w.bars {
		if !bad(b.Hi) {
			ymax = max(ymax, b.Hi)
		}
	}
	return xmin, xmax, ymin, ymax
}

// Save writes base.svg and base.png.
func (f *Figure) Save(base string) error {
	if err := os.MkdirAll(filepath.Dir(base), 0o755); err != nil {
		return err
	}
	for _, kind := range []string{"svg", "png"} {
		data, err := f.encode(kind)
		if err == nil {
			err = os.WriteFile(base+"."+kind, data, 0o644)
		}
		if err != nil {
			return fmt.Errorf("%s.%s: %w", base, kind, err)
		}
	}
	return nil
}

// SVG returns the figure as an SVG element without an XML prologue, to be embedded in a page.
func (f *Figure) SVG() ([]byte, error) {
	data, err := f.encode("svg")
	if err != nil {
		return nil, err
	}
	if i := bytes.Index(data, []byte("<svg")); i > 0 {
		data = data[i:]
	}
	return data, nil
}

func (f *Figure) encode(kind string) ([]byte, error) {
	w, err := f.plot.WriterTo(f.width, f.height, kind)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		return nil, err
	}
	if kind == "svg" { // viewers without the font use another sans-serif one
		return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,sans-serif;")), nil
	}
	return b.Bytes(), nil
}
