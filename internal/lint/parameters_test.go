package lint

import (
	"go/ast"
	"testing"
)

// maxParams is how many parameters a function may have: more become a struct,
// whose fields have names where the function is called. An assembly function
// has no body in Go and is exempt: its parameters are its calling convention.
const maxParams = 5

func TestParameters(t *testing.T) {
	for _, s := range append(tree(t), generators(t)...) {
		if s.generated {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch f := n.(type) {
			case *ast.FuncDecl:
				if n := params(f.Type); f.Body != nil && n > maxParams {
					t.Errorf("%s: func %s has %d parameters (budget %d)", s.fset.Position(f.Pos()), f.Name.Name, n, maxParams)
				}
			case *ast.FuncLit:
				if n := params(f.Type); n > maxParams {
					t.Errorf("%s: a function literal has %d parameters (budget %d)", s.fset.Position(f.Pos()), n, maxParams)
				}
			}
			return true
		})
	}
}

// params counts a function's parameters: `a, b int` are two.
func params(f *ast.FuncType) int {
	n := 0
	for _, field := range f.Params.List {
		n += max(1, len(field.Names))
	}
	return n
}
