package markdown

import (
	"fmt"
	"html"
	"strings"

	"github.com/yuin/goldmark/ast"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/util"
)

// views renders the nodes that this package shows in its own way.
type views struct{}

// RegisterFuncs is for goldmark.
func (v *views) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(ast.KindFencedCodeBlock, v.code)
	r.Register(ast.KindCodeBlock, v.code)
	r.Register(ast.KindHTMLBlock, v.htmlBlock)
	r.Register(ast.KindRawHTML, v.rawHTML)
	r.Register(ast.KindImage, v.image)
	r.Register(ast.KindHeading, v.heading)
	r.Register(extast.KindTable, v.table)
	r.Register(extast.KindTableCell, v.cell)
	r.Register(extast.KindTaskCheckBox, v.box)
	r.Register(kindFormula, v.formula)
	r.Register(kindFormulas, v.formulas)
}

// code writes a block of code with its language and a button that copies it.
func (v *views) code(w util.BufWriter, src []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	language := ""
	if f, ok := n.(*ast.FencedCodeBlock); ok {
		language = string(f.Language(src))
	}
	text := string(n.Lines().Value(src))
	fmt.Fprintf(w, `<div class="code" dir="ltr"><div class="bar"><span class="lang">%s</span><button type="button" class="copy">Copy</button></div><pre tabindex="0"><code>`,
		html.EscapeString(language))
	highlight(w, language, text)
	_, err := w.WriteString("</code></pre></div>\n")
	return ast.WalkSkipChildren, err
}

// htmlBlock shows markup as the text that it is.
func (v *views) htmlBlock(w util.BufWriter, src []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	text := string(n.Lines().Value(src))
	if h := n.(*ast.HTMLBlock); h.HasClosure() {
		text += string(h.ClosureLine.Value(src))
	}
	fmt.Fprintf(w, "<div class=\"raw\" dir=\"auto\">%s</div>\n", html.EscapeString(text))
	return ast.WalkSkipChildren, nil
}

func (v *views) rawHTML(w util.BufWriter, src []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if entering {
		fmt.Fprintf(w, `<span class="raw">%s</span>`, html.EscapeString(string(n.(*ast.RawHTML).Segments.Value(src))))
	}
	return ast.WalkSkipChildren, nil
}

// image writes a link to a picture.
func (v *views) image(w util.BufWriter, src []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if entering {
		address := string(n.(*ast.Image).Destination)
		fmt.Fprintf(w, `<a href="%s">`, html.EscapeString(address))
		if !n.HasChildren() {
			fmt.Fprint(w, html.EscapeString(address))
		}
	} else {
		fmt.Fprint(w, "</a>")
	}
	return ast.WalkContinue, nil
}

// heading leaves the first two levels to the page.
func (v *views) heading(w util.BufWriter, _ []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	level := min(n.(*ast.Heading).Level+2, 6)
	if entering {
		fmt.Fprintf(w, `<h%d dir="auto">`, level)
	} else {
		fmt.Fprintf(w, "</h%d>\n", level)
	}
	return ast.WalkContinue, nil
}

// table writes a table in a box that scrolls, which the keyboard can reach.
func (v *views) table(w util.BufWriter, _ []byte, _ ast.Node, entering bool) (ast.WalkStatus, error) {
	if entering {
		fmt.Fprint(w, `<div class="table" tabindex="0"><table>`)
	} else {
		fmt.Fprint(w, "</table></div>\n")
	}
	return ast.WalkContinue, nil
}

func (v *views) cell(w util.BufWriter, _ []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	c := n.(*extast.TableCell)
	tag := "td"
	if c.Parent().Kind() == extast.KindTableHeader {
		tag = "th"
	}
	if !entering {
		fmt.Fprintf(w, "</%s>\n", tag)
		return ast.WalkContinue, nil
	}
	class := ""
	if c.Alignment == extast.AlignCenter || c.Alignment == extast.AlignRight {
		class = ` class="` + c.Alignment.String() + `"`
	}
	fmt.Fprintf(w, `<%s dir="auto"%s>`, tag, class)
	return ast.WalkContinue, nil
}

// box shows the state of a task.
func (v *views) box(w util.BufWriter, _ []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if entering {
		sign := "☐ "
		if n.(*extast.TaskCheckBox).IsChecked {
			sign = "☑ "
		}
		fmt.Fprint(w, sign)
	}
	return ast.WalkContinue, nil
}

func (v *views) formula(w util.BufWriter, _ []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if entering {
		fmt.Fprintf(w, `<code class="math" dir="ltr">%s</code>`, html.EscapeString(n.(*formulaNode).text))
	}
	return ast.WalkSkipChildren, nil
}

func (v *views) formulas(w util.BufWriter, src []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if entering {
		fmt.Fprintf(w, "<pre tabindex=\"0\" dir=\"ltr\"><code class=\"math\">%s</code></pre>\n", html.EscapeString(undelimited(string(n.Lines().Value(src)))))
	}
	return ast.WalkSkipChildren, nil
}

// undelimited is a formula of several lines without what is around it.
func undelimited(text string) string {
	text = strings.TrimSpace(text)
	for _, d := range [...][2]string{{"$$", "$$"}, {`\[`, `\]`}} {
		if inner, ok := strings.CutPrefix(text, d[0]); ok {
			return strings.Trim(strings.TrimSuffix(inner, d[1]), "\n") + "\n"
		}
	}
	return text
}
