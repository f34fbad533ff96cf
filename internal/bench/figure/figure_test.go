package figure

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"
)

func samples(t *testing.T) map[string]*Figure {
	t.Helper()
	out := map[string]*Figure{}
	add := func(name string, f *Figure, err error) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[name] = f
	}
	f, err := Lines("Latency", "requests/s", "ms", []Series{{"p50", []float64{1, 2, 4}, []float64{10, 11, 40}}, {"p99", []float64{1, 2, 4}, []float64{20, 22, 900}}}, true)
	add("lines", f, err)
	f, err = Raster("Tokens", [][]float64{{0.1, 0.2, 0.3}, {}, {0.2, 0.5}})
	add("raster", f, err)
	f, err = Bars("Throughput", "tokens/s", []Group{{"a", []Bar{{"x", 3, 2.5, 3.2}, {"y", 4, 4, 4}}}, {"b", []Bar{{"x", 1, 0.9, 1.2}, {"y", 2, 1, 3}}}})
	add("bars", f, err)
	f, err = Waterfall("Layers", "tokens/s", []Step{{Name: "core", Value: 112.7}, {Name: "handler", Value: 112.7, Note: "-0.0 %"}, {Name: "http", Value: 54.3, Note: "-51.8 %"}})
	add("waterfall", f, err)
	f, err = Waterfalls("Several", []Fall{{"ours", []Step{{Name: "core", Value: 900}, {Name: "handler", Value: 910, Share: 0.99}, {Name: "http", Value: 880, Share: 0.98}}},
		{"theirs", []Step{{Name: "core", Value: 112.7}, {Name: "http", Value: 54.3}}}})
	add("waterfalls", f, err)
	return out
}

func TestFiguresAreWellFormed(t *testing.T) {
	dir := t.TempDir()
	if keep := os.Getenv("FIGURE_DIR"); keep != "" {
		dir = keep
	}
	for name, f := range samples(t) {
		base := filepath.Join(dir, name)
		if err := f.Save(base); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(base + ".png")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := png.Decode(bytes.NewReader(data)); err != nil {
			t.Errorf("%s.png: %v", name, err)
		}
		svg, err := f.SVG()
		if err != nil || !bytes.HasPrefix(svg, []byte("<svg")) {
			t.Fatalf("%s: %v, %.40q", name, err, svg)
		}
		d := xml.NewDecoder(bytes.NewReader(svg))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s.svg: %v", name, err)
			}
		}
	}
}

func TestNothingAndNonsenseAreErrors(t *testing.T) {
	nan := math.NaN()
	for name, try := range map[string]func() (*Figure, error){
		"no lines":      func() (*Figure, error) { return Lines("", "", "", nil, false) },
		"empty line":    func() (*Figure, error) { return Lines("", "", "", []Series{{}}, false) },
		"NaN":           func() (*Figure, error) { return Lines("", "", "", []Series{{"", []float64{1}, []float64{nan}}}, false) },
		"lengths":       func() (*Figure, error) { return Lines("", "", "", []Series{{"", []float64{1}, nil}}, false) },
		"empty raster":  func() (*Figure, error) { return Raster("", [][]float64{{}}) },
		"no bars":       func() (*Figure, error) { return Bars("", "", nil) },
		"NaN bar":       func() (*Figure, error) { return Bars("", "", []Group{{"", []Bar{{Value: nan}}}}) },
		"uneven groups": func() (*Figure, error) { return Bars("", "", []Group{{"", []Bar{{}}}, {"", nil}}) },
		"no steps":      func() (*Figure, error) { return Waterfall("", "", nil) },
		"no falls":      func() (*Figure, error) { return Waterfalls("", nil) },
		"no core":       func() (*Figure, error) { return Waterfalls("", []Fall{{"a", nil}}) },
		"core of 0":     func() (*Figure, error) { return Waterfalls("", []Fall{{"a", []Step{{Value: 0}, {Value: 1}}}}) },
		"NaN share":     func() (*Figure, error) { return Waterfalls("", []Fall{{"a", []Step{{Value: 1}, {Value: nan}}}}) },
		"NaN step":      func() (*Figure, error) { return Waterfall("", "", []Step{{Value: nan}}) },
	} {
		if _, err := try(); err == nil {
			t.Errorf("%s was drawn", name)
		}
	}
}
