package scaling

import (
	"fmt"
	"io"
	"slices"

	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

func (r *Result) print(out io.Writer) error {
	for _, l := range r.Loads {
		rows := [][]string{{l.Name, "tokens/s", "range", "of one", "waiting", "simulated", "of one", "serial"}}
		base := stats.Median(l.Measured[0].Speeds)
		for i, s := range l.Simulated {
			row := []string{fmt.Sprintf("%d threads", s.Cores), "-", "-", "-", "-"}
			if i < len(l.Measured) {
				m := &l.Measured[i]
				median := stats.Median(m.Speeds)
				row = []string{row[0], fmt.Sprintf("%.1f", median), fmt.Sprintf("%.1f to %.1f", slices.Min(m.Speeds), slices.Max(m.Speeds)),
					fmt.Sprintf("%.2f", median/base), fmt.Sprintf("%.1f %%", 100*m.Waiting)}
			}
			rows = append(rows, append(row, fmt.Sprintf("%.1f", s.Speed), fmt.Sprintf("%.2f", s.Speed/l.Simulated[0].Speed), fmt.Sprintf("%.1f %%", 100*s.Between)))
		}
		if err := results.Table(out, rows); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	for _, m := range r.Reads {
		fmt.Fprintf(out, "%d threads read %.1f GB/s; a dispatch to them takes %.0f ns\n", m.Threads, m.Bandwidth/1e9, m.Dispatch)
	}
	if l := r.Lines; l != nil {
		fmt.Fprintf(out, "a line of memory that two cores write changes hands in %.1f ns; of many that another core has written, each is read in %.1f ns\n", l.Transfer, l.Read)
	}
	_, err := fmt.Fprintln(out, "simulated: cores like these, caches and clocks that do not suffer from company, each socket reading its own memory; a real machine does less")
	return err
}

// Conditions are the settings of a result.
func (r *Result) Conditions() map[string]any { return r.Settings }

// Series are the measured speeds.
func (r *Result) Series() []results.Series {
	var out []results.Series
	for _, l := range r.Loads {
		for _, m := range l.Measured {
			out = append(out, results.Series{Name: fmt.Sprintf("%s, %d threads", l.Name, m.Threads), Unit: "tokens/s", Values: m.Speeds})
		}
	}
	return out
}

// Headline is the result in a line.
func (r *Result) Headline() string {
	text := ""
	for i, l := range r.Loads {
		last := l.Measured[len(l.Measured)-1]
		if i > 0 {
			text += "; "
		}
		text += fmt.Sprintf("%s: %d threads %.2f of one", l.Name, last.Threads, stats.Median(last.Speeds)/stats.Median(l.Measured[0].Speeds))
	}
	return text
}
