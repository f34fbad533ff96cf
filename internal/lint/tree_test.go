package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/penstock-llm/penstock"

// source is one parsed Go file of this module.
type source struct {
	path      string // relative to the module's root, with slashes
	dir       string
	fset      *token.FileSet
	file      *ast.File
	lines     int
	generated bool
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

// imports lists the file's imports, the module's own ones relative to its root.
func (s source) imports() (own, other []string) {
	for _, spec := range s.file.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		if rel, ok := strings.CutPrefix(path, module+"/"); ok {
			own = append(own, rel)
		} else {
			other = append(other, path)
		}
	}
	return own, other
}

// tree parses every Go file of this module; nested modules are left out.
func tree(t *testing.T) []source {
	t.Helper()
	return parse(t, ".")
}

// generators parses the module that writes the assembly.
func generators(t *testing.T) []source {
	t.Helper()
	return parse(t, "internal/kernel/_asm")
}

// parse reads every Go file below a directory of the project; modules nested
// in it are left out.
func parse(t *testing.T, dir string) []source {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	top := filepath.Join(root, filepath.FromSlash(dir))
	var out []source
	err = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(top, path, d)
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		out = append(out, source{
			path: rel, dir: filepath.ToSlash(filepath.Dir(rel)), fset: fset, file: file,
			lines: strings.Count(string(text), "\n"), generated: ast.IsGenerated(file),
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatal("no Go files found: the test looks in the wrong place")
	}
	return out
}

// enter decides whether the walk goes into a directory.
func enter(root, path string, d fs.DirEntry) error {
	if path == root {
		return nil
	}
	name := d.Name()
	if strings.HasPrefix(name, ".") || name == "testdata" {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}
