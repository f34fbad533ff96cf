package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/penstock-llm/penstock/internal/bench/figure"
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
			if err := saveFigures(r.Figures, s); err != nil {
				return err
			}
		}
	}
	if r.HTML != "" {
		p, err := historyPage(all)
		if err != nil {
			return err
		}
		if err := p.save(r.HTML); err != nil {
			return err
		}
	}
	if r.JSON {
		return r.list(out, all)
	}
	return table(out, historyTable(all))
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
	to := filepath.Join(r.Results, fileName(s.record()))
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
		return writeJSON(out, map[string]any{"old": a.record(), "new": b.record(), "differences": list})
	}
	return table(out, differenceTable(list))
}

func differenceTable(list []Difference) [][]string {
	rows := [][]string{{"what", "unit", "old", "new", "new/old", "95 % CI", "p", "verdict"}}
	for _, d := range list {
		rows = append(rows, []string{d.Name, d.Unit, fmt.Sprintf("%.4g", d.Old), fmt.Sprintf("%.4g", d.New), fmt.Sprintf("%.3f", d.Ratio.Value),
			interval(d.Ratio, "%.3f"), fmt.Sprintf("%.3g", d.P), d.verdict()})
	}
	return rows
}

func (r *Report) list(out io.Writer, all []stored) error {
	type entry struct {
		Record
		Headline string `json:"headline"`
	}
	var list []entry
	for _, s := range all {
		list = append(list, entry{*s.record(), s.headline()})
	}
	return writeJSON(out, list)
}

func historyTable(all []stored) [][]string {
	rows := [][]string{{"when", "kind", "commit", "machine", "result"}}
	for _, s := range all {
		r := s.record()
		rows = append(rows, []string{r.Time.Format("2006-01-02 15:04"), r.Kind, r.Commit, fmt.Sprintf("%s, %d threads", r.Machine.Tier, r.Machine.Threads), s.headline()})
	}
	return rows
}

// newest is the last result of each kind.
func newest(all []stored) []stored {
	seen := map[string]bool{}
	var out []stored
	for _, s := range slices.Backward(all) {
		if kind := s.record().Kind; !seen[kind] {
			seen[kind] = true
			out = append(out, s)
		}
	}
	slices.Reverse(out)
	return out
}

// historyPage shows the newest result of each kind, the course of each quantity over all runs, and the list of runs.
func historyPage(all []stored) (*page, error) {
	p := &page{Title: "Penstock: measurements",
		Intro: "Absolute figures depend on the machine and the minute; claims rest on ratios of alternated rounds, with their intervals."}
	for _, s := range newest(all) {
		r := s.record()
		sec := section{Title: fmt.Sprintf("%s, %s", r.Kind, r.Time.Format("2 January 2006 15:04")),
			Notes: []string{fmt.Sprintf("%s. Commit %s, %s, %s, %d threads, %s.", s.headline(), r.Commit, r.Machine.CPU, r.Machine.Tier, r.Machine.Threads, r.Machine.Go)}}
		figures, err := s.figures()
		if err != nil {
			return nil, err
		}
		if err := sec.draw(figures); err != nil {
			return nil, err
		}
		sec.Table = seriesTable(s.series())
		p.Sections = append(p.Sections, sec)
		course, err := courseFigure(all, r.Kind)
		if err != nil {
			return nil, err
		}
		if course != nil {
			more := section{Title: r.Kind + " over time"}
			if err := more.draw([]namedFigure{*course}); err != nil {
				return nil, err
			}
			p.Sections = append(p.Sections, more)
		}
	}
	p.Sections = append(p.Sections, section{Title: "All runs", Table: historyTable(all)})
	return p, nil
}

func seriesTable(list []series) [][]string {
	rows := [][]string{{"what", "unit", "samples", "median", "95 % CI", "lowest", "highest"}}
	for _, s := range list {
		if len(s.values) == 0 {
			continue
		}
		e := stats.EstimateMedian(s.values, 1)
		rows = append(rows, []string{s.name, s.unit, fmt.Sprint(len(s.values)), fmt.Sprintf("%.4g", e.Value), interval(e, "%.4g"),
			fmt.Sprintf("%.4g", slices.Min(s.values)), fmt.Sprintf("%.4g", slices.Max(s.values))})
	}
	return rows
}

// courseFigure draws the medians of a kind's quantities run by run; nil with fewer than two runs, or too many quantities to read.
func courseFigure(all []stored, kind string) (*namedFigure, error) {
	curves := map[string]*figure.Series{}
	var order []string
	run := 0.0
	unit := ""
	for _, s := range all {
		if s.record().Kind != kind {
			continue
		}
		run++
		for _, q := range s.series() {
			if len(q.values) == 0 {
				continue
			}
			c, ok := curves[q.name]
			if !ok {
				c = &figure.Series{Name: q.name}
				curves[q.name] = c
				order = append(order, q.name)
			}
			c.X, c.Y, unit = append(c.X, run), append(c.Y, stats.Median(q.values)), q.unit
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
	return &namedFigure{kind + "-course", f}, nil
}
