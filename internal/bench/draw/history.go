package draw

import (
	"fmt"
	"slices"

	"github.com/penstock-llm/penstock/internal/bench/figure"
	"github.com/penstock-llm/penstock/internal/bench/report"
	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

// historyPage shows the newest result of each kind, the course of each quantity over all runs, and the list of runs.
func historyPage(all []results.Result) (*page, error) {
	p := &page{Title: "Penstock: measurements",
		Intro: "Absolute figures depend on the machine and the minute; claims rest on ratios of alternated rounds, with their intervals."}
	for _, s := range report.Newest(all) {
		r := s.Meta()
		sec := section{Title: fmt.Sprintf("%s, %s", r.Kind, r.Time.Format("2 January 2006 15:04")),
			Notes: []string{fmt.Sprintf("%s. Commit %s, %s, %s, %d threads, %s.", s.Headline(), r.Commit, r.Machine.CPU, r.Machine.Tier, r.Machine.Threads, r.Machine.Go)}}
		figures, err := figuresOf(s)
		if err != nil {
			return nil, err
		}
		if err := sec.draw(figures); err != nil {
			return nil, err
		}
		sec.Table = seriesTable(s.Series())
		p.Sections = append(p.Sections, sec)
		course, err := courseFigure(all, r.Kind)
		if err != nil {
			return nil, err
		}
		if course != nil {
			more := section{Title: r.Kind + " over time"}
			if err := more.draw([]Named{*course}); err != nil {
				return nil, err
			}
			p.Sections = append(p.Sections, more)
		}
	}
	p.Sections = append(p.Sections, section{Title: "All runs", Table: report.HistoryRows(all)})
	return p, nil
}

func seriesTable(list []results.Series) [][]string {
	rows := [][]string{{"what", "unit", "repeats", "value", "95 % CI", "lowest", "highest"}}
	for _, s := range list {
		if len(s.Values) == 0 {
			continue
		}
		e := stats.EstimateSpeed(s.Values)
		rows = append(rows, []string{s.Name, s.Unit, fmt.Sprint(len(s.Values)), fmt.Sprintf("%.4g", e.Value), results.Interval(e, "%.4g"),
			fmt.Sprintf("%.4g", slices.Min(s.Values)), fmt.Sprintf("%.4g", slices.Max(s.Values))})
	}
	return rows
}

// courseFigure draws the medians of a kind's quantities run by run; nil with fewer than two runs, or too many quantities to read.
func courseFigure(all []results.Result, kind string) (*Named, error) {
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
			if len(q.Values) == 0 || q.Ratio || q.Probe {
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
	return &Named{Name: kind + "-course", Figure: f}, nil
}
