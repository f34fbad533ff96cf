// Package markdown turns what a model writes into HTML that is safe to show: it is
// parsed by goldmark, its code is highlighted by chroma, and the result is
// sanitised by bluemonday. It serves the page of package ui, one top-level block
// at a time, so that a page that shows an answer while it is written renders the
// last block only, again and again.
//
// Markup in the text is shown as text, pictures as links to them: a page must not
// load anything because a model wrote an address. Formulas are shown as they were
// written. A reference to a link that is defined in another block stays text.
package markdown

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// Block is a part of a text that no further text can change.
type Block struct {
	HTML  string
	Units int // of its text in UTF-16, as JavaScript counts
}

// Document is a text that is being written.
type Document struct {
	Closed []Block
	Open   []string // HTML of each block after them, which may still become another
}

var converter = goldmark.New(
	goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.TaskList, linkify),
	goldmark.WithParserOptions(
		parser.WithBlockParsers(util.Prioritized(formulas{}, 650)),
		parser.WithInlineParsers(util.Prioritized(formula{}, 90)),
		parser.WithASTTransformers(util.Prioritized(directions{}, 900)),
	),
	goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(&views{}, 100))),
)

var linkify = extension.NewLinkify(extension.WithLinkifyAllowedProtocols([]string{"http", "https"}))

// Render renders a text. With whole there is no more to come, and all its blocks
// are closed.
func Render(source string, whole bool) Document {
	src := []byte(strings.ToValidUTF8(strings.ReplaceAll(source, "\x00", "\uFFFD"), "\uFFFD"))
	d := Document{}
	at := 0
	// A last line that is not complete may become anything, such as the next item of
	// a list before it. Only complete lines decide which blocks are closed.
	lines := bytes.LastIndexByte(src, '\n') + 1
	if whole {
		lines = len(src)
	}
	root := parse(src[:lines])
	for n := root.FirstChild(); n != nil; n = n.NextSibling() {
		end := lines
		if n.NextSibling() != nil {
			end = start(src, n.NextSibling())
		} else if !whole {
			break
		}
		if end <= at {
			continue // it has no text of its own
		}
		d.Closed = append(d.Closed, Block{HTML: blockHTML(src[:lines], n), Units: units(src[at:end])})
		at = end
	}
	if !whole {
		d.Open = each(src[at:])
	}
	return d
}

func parse(src []byte) ast.Node { return converter.Parser().Parse(text.NewReader(src)) }

// start is where the line begins in which a block does.
func start(src []byte, n ast.Node) int {
	pos := n.Pos()
	if pos < 0 {
		return 0
	}
	return bytes.LastIndexByte(src[:pos], '\n') + 1
}

// each is the HTML of each block of a text.
func each(src []byte) (list []string) {
	root := parse(src)
	for n := root.FirstChild(); n != nil; n = n.NextSibling() {
		if text := blockHTML(src, n); text != "" {
			list = append(list, text)
		}
	}
	return list
}

// blockHTML renders one block.
func blockHTML(src []byte, n ast.Node) string {
	var b bytes.Buffer
	if err := converter.Renderer().Render(&b, src, n); err != nil {
		panic(err) // a buffer takes everything
	}
	return policy.SanitizeReader(&b).String()
}

// units is the length of a text in UTF-16.
func units(src []byte) (n int) {
	for len(src) > 0 {
		r, size := utf8.DecodeRune(src)
		if n++; r > 0xFFFF {
			n++
		}
		src = src[size:]
	}
	return n
}

// directions has the browser find out for each paragraph, heading, item and cell
// whether it is written from right to left.
type directions struct{}

func (directions) Transform(doc *ast.Document, _ text.Reader, _ parser.Context) {
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n.Kind() {
		case ast.KindParagraph, ast.KindHeading, ast.KindList, ast.KindListItem, ast.KindBlockquote:
			n.SetAttributeString("dir", "auto")
		}
		return ast.WalkContinue, nil
	})
}
