// Package bench measures: a server's throughput and latency under load (Load), several servers against each other (Compare),
// where the time goes between the model's arithmetic and the client (Layers), how close each kind of work comes to the
// machine's limits (Kernels, Steps), and the front end alone (Mock); Report keeps and compares the results. Each is a struct of
// options with a Run method, which cmd/penstock fills from the command line. The package is no part of serving, and judges no
// output's quality.
//
// load sends requests, stats does the arithmetic, figure draws, peer runs and parses other programs.
package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// errFailures is returned after the figures are printed, so that a script notices.
var errFailures = errors.New("bench: not every request succeeded")

// writeJSON prints v, indented.
func writeJSON(out io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("bench: result: %w", err)
	}
	_, err := out.Write(b.Bytes())
	return err
}

// saveJSON writes v to a file, making its folder.
func saveJSON(path string, v any) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	var b bytes.Buffer
	if err := writeJSON(&b, v); err != nil {
		return err
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

// table prints rows of cells in aligned columns, the first to the left; the first row is the heading.
func table(out io.Writer, rows [][]string) error {
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
