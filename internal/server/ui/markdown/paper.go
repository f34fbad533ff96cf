package markdown

import (
	"bytes"
	"slices"
	"strings"

	gloss "charm.land/glamour/v2/ansi"
	"github.com/charmbracelet/x/ansi"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extensions "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// Paper is a terminal on which Markdown is shown, by glamour. Its colours are the
// terminal's own sixteen, which suit its background, whatever that is.
type Paper struct {
	Width  int  // in cells
	Colour bool // without colours, code keeps its quotes
}

// Rows renders what a text has so far, block by block: the rows of those that no
// further text can change, how many bytes they are of, and the rows of the blocks
// after them. With whole there is no more to come, and all blocks are closed. The
// text must be valid UTF-8, without control characters but tabs and line feeds.
func (p Paper) Rows(source string, whole bool) (closed [][]string, bytesClosed int, open [][]string) {
	src := []byte(source)
	lines := bytes.LastIndexByte(src, '\n') + 1 // see Render
	if whole {
		lines = len(src)
	}
	at := 0
	for n := sheets.Parse(text.NewReader(src[:lines])).FirstChild(); n != nil; n = n.NextSibling() {
		end := lines
		if n.NextSibling() != nil {
			end = start(src, n.NextSibling())
		} else if !whole {
			break
		}
		if end <= at {
			continue // it has no text of its own
		}
		closed = p.sheet(closed, src[at:end])
		at = end
	}
	if whole {
		return closed, len(src), nil
	}
	return closed, at, p.each(src[at:])
}

// each renders each block of a text.
func (p Paper) each(src []byte) (all [][]string) {
	at := 0
	for n := sheets.Parse(text.NewReader(src)).FirstChild(); n != nil; n = n.NextSibling() {
		end := len(src)
		if n.NextSibling() != nil {
			end = start(src, n.NextSibling())
		}
		if end > at {
			all, at = p.sheet(all, src[at:end]), end
		}
	}
	return all
}

// sheet adds the rows of one block, if it has some.
func (p Paper) sheet(all [][]string, src []byte) [][]string {
	root := sheets.Parse(text.NewReader(src))
	width := p.Width
	if table, ok := root.FirstChild().(*extensions.Table); ok {
		width = min(width, natural(table, src))
	}
	src = literal(root, src)
	o := gloss.Options{WordWrap: width, PreserveNewLines: true, Styles: ink(p.Colour), ChromaFormatter: "terminal16"}
	if !p.Colour {
		o.ChromaFormatter = "noop"
	}
	var rows []string
	for row := range strings.SplitSeq(ansi.Hardwrap(written(root, src, o), p.Width, true), "\n") {
		rows = append(rows, trimmed(row))
	}
	blank := func(row string) bool { return ansi.Strip(row) == "" }
	for len(rows) > 0 && blank(rows[0]) {
		rows = rows[1:]
	}
	for len(rows) > 0 && blank(rows[len(rows)-1]) {
		rows = rows[:len(rows)-1]
	}
	if len(rows) == 0 {
		return all
	}
	return append(all, rows)
}

// written is a block as glamour writes it. What it cannot write is shown as it
// stands: an answer must not end the chat.
func written(root ast.Node, src []byte, o gloss.Options) (rows string) {
	defer func() {
		if recover() != nil {
			rows = string(src)
		}
	}()
	r := renderer.NewRenderer(renderer.WithNodeRenderers(util.Prioritized(gloss.NewRenderer(o), 1000), util.Prioritized(seen{}, 1000)))
	var b bytes.Buffer
	if r.Render(&b, src, root) != nil {
		return string(src)
	}
	return b.String()
}

// literal has code and formulas within lines shown as they stand: glamour reads
// entities and escapes in them. What has some is written anew behind the source.
func literal(root ast.Node, src []byte) []byte {
	src = slices.Clone(src)
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		part, ok := n.(*ast.Text)
		if !entering || !ok || !part.IsRaw() {
			return ast.WalkContinue, nil
		}
		was := string(part.Segment.Value(src))
		is := strings.ReplaceAll(was, "&", "&amp;")
		if part.Parent().Kind() != ast.KindCodeSpan {
			is = strings.ReplaceAll(is, `\`, `\\`)
		}
		if is != was {
			part.Segment = text.NewSegment(len(src), len(src)+len(is))
			src = append(src, is...)
		}
		return ast.WalkContinue, nil
	})
	return src
}

// trimmed is a row without the spaces with which the library fills it up.
func trimmed(row string) string {
	bare := ansi.Strip(row)
	if kept := strings.TrimRight(bare, " "); len(kept) < len(bare) {
		return ansi.Truncate(row, ansi.StringWidth(kept), "")
	}
	return row
}

// natural is the width of a table whose cells are not broken.
func natural(table *extensions.Table, src []byte) (width int) {
	var columns []int
	for row := table.FirstChild(); row != nil; row = row.NextSibling() {
		i := 0
		for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
			if i == len(columns) {
				columns = append(columns, 0)
			}
			columns[i] = max(columns[i], cellWidth(cell, src))
			i++
		}
	}
	for _, c := range columns {
		width += c + 3 // a space on both sides, and a line between two
	}
	return width
}

// cellWidth is the width of what is written in a cell, with all of its marks.
func cellWidth(cell ast.Node, src []byte) (width int) {
	_ = ast.Walk(cell, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n := n.(type) {
		case *ast.Text:
			if entering {
				width += ansi.StringWidth(string(n.Segment.Value(src)))
			}
		case *ast.Link, *ast.AutoLink, *ast.Image, *ast.CodeSpan:
			if entering {
				width += 2
			}
		}
		return ast.WalkContinue, nil
	})
	return width
}

// sheets parses Markdown for the terminal. Markup is not parsed, and so shown as it
// was written; formulas are text.
var sheets = goldmark.New(
	goldmark.WithParser(parser.NewParser(
		parser.WithBlockParsers(without(parser.DefaultBlockParsers(), parser.NewHTMLBlockParser())...),
		parser.WithInlineParsers(without(parser.DefaultInlineParsers(), parser.NewRawHTMLParser())...),
		parser.WithParagraphTransformers(parser.DefaultParagraphTransformers()...),
		parser.WithInlineParsers(util.Prioritized(plainFormula{}, 90)),
		parser.WithBlockParsers(util.Prioritized(formulas{}, 650)),
		parser.WithASTTransformers(util.Prioritized(plainFormulas{}, 900)),
	)),
	goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.TaskList, linkify),
).Parser()

// without is a list of parsers without one of them.
func without(all []util.PrioritizedValue, one any) []util.PrioritizedValue {
	return slices.DeleteFunc(all, func(p util.PrioritizedValue) bool { return p.Value == one })
}

// plainFormula parses a formula within a line as text.
type plainFormula struct{ formula }

func (plainFormula) Parse(_ ast.Node, block text.Reader, _ parser.Context) ast.Node {
	line, segment := block.PeekLine()
	n := formulaLength(line)
	if n == 0 {
		return nil
	}
	block.Advance(n)
	node := &formulaNode{text: string(line[:n])}
	node.AppendChild(node, ast.NewRawTextSegment(text.NewSegment(segment.Start, segment.Start+n)))
	return node
}

// seen renders a formula within a line, by rendering the text in it.
type seen struct{}

func (seen) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(kindFormula, func(util.BufWriter, []byte, ast.Node, bool) (ast.WalkStatus, error) { return ast.WalkContinue, nil })
}

// plainFormulas turns formulas of several lines into blocks of code.
type plainFormulas struct{}

func (plainFormulas) Transform(doc *ast.Document, _ text.Reader, _ parser.Context) {
	var all []ast.Node
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering && n.Kind() == kindFormulas {
			all = append(all, n)
		}
		return ast.WalkContinue, nil
	})
	for _, n := range all {
		code := ast.NewCodeBlock()
		code.SetLines(n.Lines())
		code.SetPos(n.Pos())
		n.Parent().ReplaceChild(n.Parent(), n, code)
	}
}
