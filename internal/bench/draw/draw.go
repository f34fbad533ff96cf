// Package draw turns stored results into figures (SVG and PNG) and into a self-contained page. It measures and compares nothing;
// package figure has the plots themselves. It is kept apart from the measurements because the plotting library brings 78
// packages along that a server has no use for: only cmd/penstock-figures calls it.
package draw

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/penstock-llm/penstock/internal/bench/figure"
	"github.com/penstock-llm/penstock/internal/bench/layers"
	"github.com/penstock-llm/penstock/internal/bench/loadtest"
	"github.com/penstock-llm/penstock/internal/bench/peers"
	"github.com/penstock-llm/penstock/internal/bench/report"
	"github.com/penstock-llm/penstock/internal/bench/results"
)

// Draw draws result files, or the history: `go run ./cmd/penstock-figures`.
type Draw struct {
	Files   []string `arg:"" optional:"" help:"Result files, from --out of the measurements (none: the history)." type:"existingfile"`
	Results string   `help:"Folder of the history: one JSON file a run." default:"bench/results" type:"path"`
	Figures string   `help:"Draw the newest result of each kind into this folder, as SVG and PNG." type:"path"`
	HTML    string   `help:"Write a self-contained page with figures and tables." name:"html" type:"path"`
}

// Run does what the options say.
func (d *Draw) Run() error {
	if d.Figures == "" && d.HTML == "" {
		return errors.New("figures: nothing to do: set --figures, --html or both")
	}
	all, err := d.read()
	if err != nil {
		return err
	}
	if d.Figures != "" {
		for _, r := range report.Newest(all) {
			if err := save(d.Figures, r); err != nil {
				return err
			}
		}
	}
	if d.HTML == "" {
		return nil
	}
	p, err := pageOf(all)
	if err != nil {
		return err
	}
	return p.save(d.HTML)
}

func (d *Draw) read() ([]results.Result, error) {
	if len(d.Files) == 0 {
		all, err := report.History(d.Results)
		if err == nil && len(all) == 0 {
			err = fmt.Errorf("figures: %s holds no results", d.Results)
		}
		return all, err
	}
	var all []results.Result
	for _, path := range d.Files {
		r, err := report.Read(path)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b results.Result) int { return a.Meta().Time.Compare(b.Meta().Time) })
	return all, nil
}

// pageOf makes the page of layers for a single result of that kind, and a history for everything else.
func pageOf(all []results.Result) (*page, error) {
	if r, ok := all[0].(*layers.Result); ok && len(all) == 1 {
		return layersPage(r)
	}
	return historyPage(all)
}

// Named is a figure and the name of its file.
type Named struct {
	Name string
	*figure.Figure
}

// figuresOf draws a result. Kinds that are only printed as tables have no figures.
func figuresOf(r results.Result) ([]Named, error) {
	switch r := r.(type) {
	case *loadtest.Result:
		if r.Sweep != nil {
			return sweepFigures(r.Sweep)
		}
		return timelineFigures(r.Samples)
	case *peers.CompareResult:
		return compareFigures(r)
	case *peers.PeersResult:
		return peersFigures(r)
	case *layers.Result:
		return layersFigures(r)
	}
	return nil, nil
}

// save writes the figures of a result into a folder.
func save(dir string, r results.Result) error {
	figures, err := figuresOf(r)
	if err != nil {
		return err
	}
	for _, f := range figures {
		if err := f.Save(filepath.Join(dir, f.Name)); err != nil {
			return err
		}
	}
	return nil
}
