package lint

import (
	"go/ast"
	"go/token"
	"path"
	"strings"
	"testing"
)

// TestExported finds what internal packages export for nobody: functions,
// variables and constants that no other package names, and methods that nothing
// calls but the tests of their own package.
//
// Left out are types, which others may hold without naming them, lists of
// constants, which are complete, and errors, which are for whoever wants to tell
// them apart. Methods are looked up by name alone.
func TestExported(t *testing.T) {
	sources := append(tree(t), generators(t)...)
	used := findUses(sources)
	for _, s := range sources {
		if s.test() || s.generated || !strings.HasPrefix(s.dir, "internal/") {
			continue
		}
		for _, e := range exported(s.file) {
			if e.method && !used.methods[e.name] {
				t.Errorf("%s: method %s: nothing calls it but tests", s.fset.Position(e.pos), e.name)
			}
			if !e.method && !used.names[s.dir+"."+e.name] && !strings.HasPrefix(e.name, "Err") {
				t.Errorf("%s: %s is exported, and no other package uses it", s.fset.Position(e.pos), e.name)
			}
		}
	}
}

// called are methods that libraries call through their interfaces.
var called = []string{"String", "Error", "Unwrap", "Read", "Write", "Close", "Len", "Less", "Swap", "ServeHTTP", "Flush",
	"MarshalJSON", "UnmarshalJSON", "UnmarshalJSONFrom", "MarshalJSONTo", "MarshalText", "Plot", "DataRange", "Describe", "Collect",
	"Trigger", "IsRaw", "Dump", "Transform", "RegisterFuncs", "CanInterruptParagraph", "CanAcceptIndentedLine"}

// uses is what the packages use of each other.
type uses struct {
	names   map[string]bool // "internal/x.Name", by another package or its tests
	methods map[string]bool // by the code of any package, or by another package's tests
}

func findUses(sources []source) uses {
	u := uses{names: map[string]bool{}, methods: map[string]bool{}}
	for _, name := range called {
		u.methods[name] = true
	}
	declared := map[string]map[string]bool{} // directory -> the methods of its types
	for _, s := range sources {
		if declared[s.dir] == nil {
			declared[s.dir] = map[string]bool{}
		}
		for _, e := range exported(s.file) {
			if e.method {
				declared[s.dir][e.name] = true
			}
		}
	}
	for _, s := range sources {
		packages := map[string]string{} // local name -> directory
		for _, spec := range s.file.Imports {
			if dep, own := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module+"/"); own {
				name := path.Base(dep)
				if spec.Name != nil {
					name = spec.Name.Name
				}
				packages[name] = dep
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			name := sel.Sel.Name
			if x, ok := sel.X.(*ast.Ident); ok && packages[x.Name] != "" {
				u.names[packages[x.Name]+"."+name] = true
			} else if !s.test() || !declared[s.dir][name] {
				u.methods[name] = true
			}
			return true
		})
	}
	return u
}

// entity is an exported declaration.
type entity struct {
	name   string
	pos    token.Pos
	method bool
}

func exported(file *ast.File) (out []entity) {
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() {
				out = append(out, entity{d.Name.Name, d.Pos(), d.Recv != nil})
			}
		case *ast.GenDecl:
			if d.Tok == token.CONST && len(d.Specs) > 1 {
				continue
			}
			for _, spec := range d.Specs {
				v, ok := spec.(*ast.ValueSpec)
				if !ok {
					continue
				}
				for _, name := range v.Names {
					if name.IsExported() {
						out = append(out, entity{name.Name, name.Pos(), false})
					}
				}
			}
		}
	}
	return out
}
