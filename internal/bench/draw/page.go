package draw

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
)

//go:embed page.html
var pageText string

// page is a self-contained HTML page: no script, no other file.
type page struct {
	Title    string
	Intro    string
	Sections []section
}

type section struct {
	Title   string
	Notes   []string
	Figures []template.HTML
	Table   [][]string // the first row is the heading
}

// draw puts figures into the section.
func (s *section) draw(figures []Named) error {
	for _, f := range figures {
		svg, err := f.SVG()
		if err != nil {
			return err
		}
		s.Figures = append(s.Figures, template.HTML(svg)) // safe: the SVG writer has escaped the labels
	}
	return nil
}

// save writes the page to a file, making its folder.
func (p *page) save(path string) error {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return fmt.Errorf("the page: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return fmt.Errorf("the page: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("the page: %w", err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("the page: %w", err)
	}
	return nil
}
