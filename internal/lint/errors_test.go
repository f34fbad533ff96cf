package lint

import (
	"go/ast"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// words are names of packages that are also words of those who use the program.
var words = map[string]bool{"schema": true, "main": true}

// TestErrorsNameNoPackage: an error's text is read by people who do not know the code, so
// it does not begin with a package's name. A panic's may.
func TestErrorsNameNoPackage(t *testing.T) {
	all := tree(t)
	packages := map[string]bool{"bench": true}
	for _, s := range all {
		packages[s.file.Name.Name] = !words[s.file.Name.Name]
	}
	for _, s := range all {
		if s.test() {
			continue
		}
		check := func(n ast.Node, text string) {
			if name, _, found := strings.Cut(text, ":"); found && packages[name] {
				t.Errorf("%s: the error begins with the name of the package %s", s.fset.Position(n.Pos()), name)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if f, ok := n.(*ast.FuncDecl); ok && f.Name.Name == "Error" && f.Recv != nil && f.Body != nil {
				ast.Inspect(f.Body, func(n ast.Node) bool {
					check(f, literal(n))
					return true
				})
			}
			check(n, errorText(n))
			return true
		})
	}
}

// errorText is the text or format of a new error, and "" for anything else.
func errorText(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return ""
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || f.Sel.Name != "Errorf" && f.Sel.Name != "New" {
		return ""
	}
	from, ok := f.X.(*ast.Ident)
	if !ok || from.Name != "fmt" && from.Name != "errors" {
		return ""
	}
	return literal(call.Args[0])
}

// literal is the text of a literal, and "" for anything else.
func literal(n ast.Node) string {
	text, ok := n.(*ast.BasicLit)
	if !ok || text.Kind != token.STRING {
		return ""
	}
	s, _ := strconv.Unquote(text.Value) // the file has been parsed
	return s
}
