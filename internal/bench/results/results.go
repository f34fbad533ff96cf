// Package results is what all measurements share about their outcome: the frame of a stored result (when, by which build, on which
// machine), what a result must tell to be kept and compared, the file of floors that results are held to, and how tables and
// JSON are written. It measures nothing and decides nothing. The measurements and report import it.
package results

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/penstock-llm/penstock/internal/bench/stats"
)

// ErrFailures is returned after the figures have been printed, so that a script notices failed requests by the exit status.
var ErrFailures = errors.New("not every request succeeded")

// WriteJSON prints v, indented.
func WriteJSON(out io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	_, err := out.Write(b.Bytes())
	return err
}

// Output says where a result goes: the options that all measurements share.
type Output struct {
	JSON bool   `help:"Print JSON."`
	Out  string `help:"Also write the JSON to this file." type:"path"`
}

// Deliver stores the result, if that was asked for, and prints it: as JSON, or by print.
func (o *Output) Deliver(out io.Writer, result any, print func(io.Writer) error) error {
	if o.Out != "" {
		if err := SaveJSON(o.Out, result); err != nil {
			return err
		}
	}
	if o.JSON {
		return WriteJSON(out, result)
	}
	return print(out)
}

// SaveJSON writes v to a file, making its folder.
func SaveJSON(path string, v any) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := WriteJSON(&b, v); err != nil {
		return err
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return err
	}
	return nil
}

// Table prints rows of cells in aligned columns, the first to the left; the first row is the heading.
func Table(out io.Writer, rows [][]string) error {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				line = cell + pad
			} else {
				line += "  " + pad + cell
			}
		}
		b.WriteString(strings.TrimRight(line, " "))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func Without(m map[string]any, keys ...string) map[string]any {
	out := maps.Clone(m)
	for _, k := range keys {
		delete(out, k)
	}
	return out
}

// Series is one measured quantity of a result, with a value for each independent repeat. Several requests to one process are no
// repeats: a repeat's value sums them up.
type Series struct {
	Name   string
	Unit   string
	Lower  bool // less is better
	Values []float64
	Ratio  bool // of two things that were measured in the same rounds: the machine's speed at the time cancels out
	Probe  bool // of the machine itself
}

// Result is one that can be kept, compared and drawn. Each kind of benchmark has one.
type Result interface {
	Meta() *Record
	Conditions() map[string]any // the settings that must be equal for a comparison
	Series() []Series
	Headline() string
}

// Interval prints an estimate's interval; a dash where there were too few repeats for one.
func Interval(e stats.Estimate, form string) string {
	if !e.Claims() {
		return "-"
	}
	return fmt.Sprintf("["+form+", "+form+"]", e.CI95[0], e.CI95[1])
}
