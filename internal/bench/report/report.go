// Package report keeps results and looks back on them: it lists a folder of them, says whether one run is better than another
// beyond the noise, and draws their history. It measures nothing. `penstock bench report` calls it.
package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/penstock-llm/penstock/internal/bench/figure"
	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

// Report keeps results and looks back on them: `penstock bench report`. Without other options it lists the history.
type Report struct {
	Results string   `help:"Folder of the history: one JSON file a run." default:"bench/results" type:"path"`
	Add     []string `help:"Result files (from --out of the other commands) to take into the history." type:"existingfile"`
	Compare []string `help:"Two result files: is the second better than the first, beyond the noise?" type:"existingfile"`
	HTML    string   `help:"Write the history as a self-contained page." name:"html" type:"path"`
	Figures string   `help:"Draw the newest result of each kind into this folder, as SVG and PNG." type:"path"`
	JSON    bool     `help:"Print JSON."`
}

// Run does what the options say.
func (r *Report) Run(_ context.Context, out io.Writer) error {
	if len(r.Compare) > 0 {
		return r.compare(out)
	}
	for _, path := range r.Add {
		if err := r.add(out, path); err != nil {
			return err
		}
	}
	all, err := history(r.Results)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("bench: %s holds no results", r.Results)
	}
	if r.Figures != "" {
		for _, s := range newest(all) {
			if err := figure.SaveAll(r.Figures, s); err != nil {
				return err
			}
		}
	}
	if r.HTML != "" {
		p, err := historyPage(all)
		if err != nil {
			return err
		}
		if err := p.Save(r.HTML); err != nil {
			return err
		}
	}
	if r.JSON {
		return r.list(out, all)
	}
	return results.Table(out, historyTable(all))
}

func (r *Report) add(out io.Writer, path string) error {
	s, err := readResult(path)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	to := filepath.Join(r.Results, fileName(s.Meta()))
	if _, err := os.Stat(to); err == nil {
		return fmt.Errorf("bench: %s is there already", to)
	}
	if err := os.MkdirAll(r.Results, 0o755); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if !r.JSON {
		fmt.Fprintln(out, "added", to)
	}
	return nil
}

func (r *Report) compare(out io.Writer) error {
	if len(r.Compare) != 2 {
		return errors.New("bench: --compare takes two files: the old result and the new")
	}
	a, err := readResult(r.Compare[0])
	if err != nil {
		return err
	}
	b, err := readResult(r.Compare[1])
	if err != nil {
		return err
	}
	list, err := differences(a, b)
	if err != nil {
		return err
	}
	if r.JSON {
		return results.WriteJSON(out, map[string]any{"old": a.Meta(), "new": b.Meta(), "differences": list})
	}
	return results.Table(out, differenceTable(list))
}

func differenceTable(list []Difference) [][]string {
	rows := [][]string{{"what", "unit", "old", "new", "new/old", "95 % CI", "p", "verdict"}}
	for _, d := range list {
		rows = append(rows, []string{d.Name, d.Unit, fmt.Sprintf("%.4g", d.Old), fmt.Sprintf("%.4g", d.New), fmt.Sprintf("%.3f", d.Ratio.Value),
			results.Interval(d.Ratio, "%.3f"), fmt.Sprintf("%.3g", d.P), d.verdict()})
	}
	return rows
}

func (r *Report) list(out io.Writer, all []results.Result) error {
	type entry struct {
		results.Record
		Headline string `json:"headline"`
	}
	var list []entry
	for _, s := range all {
		list = append(list, entry{*s.Meta(), s.Headline()})
	}
	return results.WriteJSON(out, list)
}

func historyTable(all []results.Result) [][]string {
	rows := [][]string{{"when", "kind", "commit", "machine", "result"}}
	for _, s := range all {
		r := s.Meta()
		rows = append(rows, []string{r.Time.Format("2006-01-02 15:04"), r.Kind, r.Commit, fmt.Sprintf("%s, %d threads", r.Machine.Tier, r.Machine.Threads), s.Headline()})
	}
	return rows
}

// newest is the last result of each kind.
func newest(all []results.Result) []results.Result {
	seen := map[string]bool{}
	var out []results.Result
	for _, s := range slices.Backward(all) {
		if kind := s.Meta().Kind; !seen[kind] {
			seen[kind] = true
			out = append(out, s)
		}
	}
	slices.Reverse(out)
	return out
}

// historyPage shows the newest result of each kind, the course of each quantity over all runs, and the list of runs.
func historyPage(all []results.Result) (*figure.Page, error) {
	p := &figure.Page{Title: "Penstock: measurements",
		Intro: "Absolute figures depend on the machine and the minute; claims rest on ratios of alternated rounds, with their intervals."}
	for _, s := range newest(all) {
		r := s.Meta()
		sec := figure.Section{Title: fmt.Sprintf("%s, %s", r.Kind, r.Time.Format("2 January 2006 15:04")),
			Notes: []string{fmt.Sprintf("%s. Commit %s, %s, %s, %d threads, %s.", s.Headline(), r.Commit, r.Machine.CPU, r.Machine.Tier, r.Machine.Threads, r.Machine.Go)}}
		figures, err := s.Figures()
		if err != nil {
			return nil, err
		}
		if err := sec.Draw(figures); err != nil {
			return nil, err
		}
		sec.Table = seriesTable(s.Series())
		p.Sections = append(p.Sections, sec)
		course, err := courseFigure(all, r.Kind)
		if err != nil {
			return nil, err
		}
		if course != nil {
			more := figure.Section{Title: r.Kind + " over time"}
			if err := more.Draw([]figure.Named{*course}); err != nil {
				return nil, err
			}
			p.Sections = append(p.Sections, more)
		}
	}
	p.Sections = append(p.Sections, figure.Section{Title: "All runs", Table: historyTable(all)})
	return p, nil
}

func seriesTable(list []results.Series) [][]string {
	rows := [][]string{{"what", "unit", "samples", "median", "95 % CI", "lowest", "highest"}}
	for _, s := range list {
		if len(s.Values) == 0 {
			continue
		}
		e := stats.EstimateMedian(s.Values, 1)
		rows = append(rows, []string{s.Name, s.Unit, fmt.Sprint(len(s.Values)), fmt.Sprintf("%.4g", e.Value), results.Interval(e, "%.4g"),
			fmt.Sprintf("%.4g", slices.Min(s.Values)), fmt.Sprintf("%.4g", slices.Max(s.Values))})
	}
	return rows
}

// courseFigure draws the medians of a kind's quantities run by run; nil with fewer than two runs, or too many quantities to read.
func courseFigure(all []results.Result, kind string) (*figure.Named, error) {
	curves := map[string]*figure.Series{}
	var order []string
	run := 0.0
	unit := ""
	for _, s := range all {
		if s.Meta().Kind != kind {
			continue
		}
		run++
		for _, q := range s.Series() {
			if len(q.Values) == 0 {
				continue
			}
			c, ok := curves[q.Name]
			if !ok {
				c = &figure.Series{Name: q.Name}
				curves[q.Name] = c
				order = append(order, q.Name)
			}
			c.X, c.Y, unit = append(c.X, run), append(c.Y, stats.Median(q.Values)), q.Unit
		}
	}
	if run < 2 || len(order) == 0 || len(order) > 8 {
		return nil, nil
	}
	var list []figure.Series
	for _, name := range order {
		list = append(list, *curves[name])
	}
	f, err := figure.Lines(kind+" over the runs", "run", unit, list, false)
	if err != nil {
		return nil, err
	}
	return &figure.Named{Name: kind + "-course", Figure: f}, nil
}
