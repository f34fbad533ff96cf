package markdown

import (
	"bytes"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// Formulas are $…$ and \(…\) within a line, and $$…$$ and \[…\] also over several
// lines. What is in them is not Markdown: an underscore is an index, and no
// emphasis.

var (
	kindFormula  = ast.NewNodeKind("Formula")
	kindFormulas = ast.NewNodeKind("Formulas")
)

// formulaNode is a formula within a line, with its delimiters.
type formulaNode struct {
	ast.BaseInline
	text string
}

func (*formulaNode) Kind() ast.NodeKind           { return kindFormula }
func (n *formulaNode) Dump(src []byte, level int) { ast.DumpHelper(n, src, level, nil, nil) }

// formula parses those.
type formula struct{}

func (formula) Trigger() []byte { return []byte{'$', '\\'} }

func (formula) Parse(_ ast.Node, block text.Reader, _ parser.Context) ast.Node {
	line, _ := block.PeekLine()
	n := formulaLength(line)
	if n == 0 {
		return nil
	}
	block.Advance(n)
	return &formulaNode{text: string(line[:n])}
}

// formulaLength is the length of the formula that a line begins with, or 0.
func formulaLength(line []byte) int {
	for _, d := range [...][2]string{{"$$", "$$"}, {`\(`, `\)`}, {`\[`, `\]`}} {
		if rest, ok := bytes.CutPrefix(line, []byte(d[0])); ok {
			if end := bytes.Index(rest, []byte(d[1])); end > 0 {
				return len(d[0]) + end + len(d[1])
			}
			return 0
		}
	}
	if line[0] != '$' || len(line) < 3 || line[1] == ' ' {
		return 0
	}
	// As pandoc has it, so that prices are none: the closing dollar follows no space
	// and is followed by no digit.
	for i := 1; i < len(line); i++ {
		switch {
		case line[i] == '\\':
			i++
		case line[i] == '$':
			if line[i-1] == ' ' || i+1 < len(line) && line[i+1] >= '0' && line[i+1] <= '9' {
				return 0
			}
			return i + 1
		}
	}
	return 0
}

// formulasNode is a formula of several lines.
type formulasNode struct {
	ast.BaseBlock
	end string
}

func (*formulasNode) Kind() ast.NodeKind           { return kindFormulas }
func (*formulasNode) IsRaw() bool                  { return true }
func (n *formulasNode) Dump(src []byte, level int) { ast.DumpHelper(n, src, level, nil, nil) }

// formulas parses those.
type formulas struct{}

func (formulas) Trigger() []byte { return []byte{'$', '\\'} }

func (formulas) Open(_ ast.Node, reader text.Reader, pc parser.Context) (ast.Node, parser.State) {
	line, segment := reader.PeekLine()
	body := bytes.TrimSpace(line)
	n := &formulasNode{}
	switch {
	case pc.BlockIndent() > 3:
		return nil, parser.NoChildren
	case bytes.HasPrefix(body, []byte("$$")):
		n.end = "$$"
	case bytes.HasPrefix(body, []byte(`\[`)):
		n.end = `\]`
	default:
		return nil, parser.NoChildren
	}
	if closing := bytes.Index(body[2:], []byte(n.end)); closing >= 0 {
		if closing+4 != len(body) {
			return nil, parser.NoChildren // text follows: it is a formula within a line
		}
		n.end = ""
	}
	n.Lines().Append(segment)
	reader.AdvanceToEOL()
	return n, parser.NoChildren
}

func (formulas) Continue(node ast.Node, reader text.Reader, _ parser.Context) parser.State {
	n := node.(*formulasNode)
	if n.end == "" {
		return parser.Close
	}
	line, segment := reader.PeekLine()
	n.Lines().Append(segment)
	reader.AdvanceToEOL()
	if bytes.Contains(line, []byte(n.end)) {
		n.end = ""
	}
	return parser.Continue | parser.NoChildren
}

func (formulas) Close(ast.Node, text.Reader, parser.Context) {}
func (formulas) CanInterruptParagraph() bool                 { return true }
func (formulas) CanAcceptIndentedLine() bool                 { return false }
