package lint

import (
	"go/ast"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
)

// Budgets of a readable tree. Generated files are exempt.
const (
	maxFileLines = 800
	maxFuncLines = 80
)

func TestPackageDocs(t *testing.T) {
	documented := map[string]bool{}
	packages := map[string]string{}
	for _, s := range tree(t) {
		if s.test() {
			continue
		}
		packages[s.dir] = s.file.Name.Name
		if s.file.Doc != nil && len(s.file.Doc.Text()) > 80 {
			documented[s.dir] = true
		}
	}
	for dir, name := range packages {
		if !documented[dir] {
			t.Errorf("package %s (%s) has no doc comment that says what it is, what it is not and who calls it", name, dir)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, s := range tree(t) {
		if s.generated {
			continue
		}
		if s.lines > maxFileLines {
			t.Errorf("%s has %d lines (budget %d): more than one subject?", s.path, s.lines, maxFileLines)
		}
		if s.test() {
			continue
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
			if n > maxFuncLines {
				t.Errorf("%s: func %s has %d lines (budget %d)", s.path, f.Name.Name, n, maxFuncLines)
			}
		}
	}
}

// licences are those that a module which the binary links may have.
var licences = []string{"MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "Unlicense", "CC-BY-4.0", "FTL"}

// TestLinkedModules keeps deps.txt, the list of what the binary links and under
// which licence, in step with the code, so that a new dependency shows in review.
func TestLinkedModules(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}", module+"/cmd/penstock").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line != "" {
			seen[line] = true
		}
	}
	got := make([]string, 0, len(seen))
	for m := range seen {
		got = append(got, m)
	}
	sort.Strings(got)
	text, err := os.ReadFile(filepath.Join("..", "..", "deps.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for line := range strings.Lines(string(text)) {
		module, licence, _ := cutLast(strings.TrimSpace(line))
		listed = append(listed, module)
		if !slices.Contains(licences, licence) {
			t.Errorf("deps.txt: %s: %q is none of %v", module, licence, licences)
		}
	}
	if !slices.Equal(listed, got) {
		t.Errorf("deps.txt is out of step; the binary links:\n%s", strings.Join(got, "\n"))
	}
	reasons, err := os.ReadFile(filepath.Join("..", "..", "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	direct, err := exec.Command("go", "list", "-m", "-f", "{{if not (or .Indirect .Main)}}{{.Path}}{{end}}", "all").Output()
	if err != nil {
		t.Fatalf("go list -m: %v", err)
	}
	for path := range strings.FieldsSeq(string(direct)) {
		if !strings.Contains(string(reasons), path) {
			t.Errorf("docs/dependencies.md gives no reason for %s", path)
		}
	}
}

// cutLast is strings.Cut at the last space.
func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, ' ')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// TestAssemblyStaysInKernel: only the kernel package holds assembly.
func TestAssemblyStaysInKernel(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(root, path, d)
		}
		if strings.HasSuffix(path, ".s") && !strings.Contains(filepath.ToSlash(path), "internal/kernel/") {
			t.Errorf("%s: assembly outside internal/kernel", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
