// Package report keeps results and looks back on them: it lists a folder of them, says whether one run is better than another
// beyond the noise. It measures nothing and draws nothing. `penstock bench report` calls it.
package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/penstock-llm/penstock/internal/bench/results"
)

// Report keeps results and looks back on them: `penstock bench report`. Without other options it lists the history.
type Report struct {
	Results string   `help:"Folder of the history: one JSON file a run." default:"bench/results" type:"path"`
	Add     []string `help:"Result files (from --out of the other commands) to take into the history." type:"existingfile"`
	Compare []string `help:"Two result files: is the second better than the first, beyond the noise?" type:"existingfile"`
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
	all, err := History(r.Results)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("%s holds no results", r.Results)
	}
	if r.JSON {
		return r.list(out, all)
	}
	return results.Table(out, HistoryRows(all))
}

func (r *Report) add(out io.Writer, path string) error {
	s, err := Read(path)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	to := filepath.Join(r.Results, fileName(s.Meta()))
	if _, err := os.Stat(to); err == nil {
		return fmt.Errorf("%s is there already", to)
	}
	if err := os.MkdirAll(r.Results, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		return err
	}
	if !r.JSON {
		fmt.Fprintln(out, "added", to)
	}
	return nil
}

func (r *Report) compare(out io.Writer) error {
	if len(r.Compare) != 2 {
		return errors.New("--compare takes two files: the old result and the new")
	}
	a, err := Read(r.Compare[0])
	if err != nil {
		return err
	}
	b, err := Read(r.Compare[1])
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
	rows := [][]string{{"what", "unit", "old", "new", "new/old", "95 % CI", "p (Holm)", "verdict"}}
	for _, d := range list {
		row := []string{d.Name, d.Unit, fmt.Sprintf("%.4g", d.Old), fmt.Sprintf("%.4g", d.New), fmt.Sprintf("%.3f", d.Ratio.Value), "-", "-", d.verdict()}
		if d.claims() {
			row[5], row[6] = results.Interval(d.Ratio, "%.3f"), fmt.Sprintf("%.3g", d.P)
		}
		rows = append(rows, row)
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

// HistoryRows is the table of all runs.
func HistoryRows(all []results.Result) [][]string {
	rows := [][]string{{"when", "kind", "commit", "machine", "result"}}
	for _, s := range all {
		r := s.Meta()
		rows = append(rows, []string{r.Time.Format("2006-01-02 15:04"), r.Kind, r.Commit, fmt.Sprintf("%s, %d threads", r.Machine.Tier, r.Machine.Threads), s.Headline()})
	}
	return rows
}

// Newest is the last result of each kind.
func Newest(all []results.Result) []results.Result {
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
