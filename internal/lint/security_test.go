package lint

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shownBy matches a test in the table of threats: package.TestName, where the
// package is the end of its directory.
var shownBy = regexp.MustCompile("`([a-z/]+)\\.(Test[A-Za-z0-9]+)`")

// TestThreatsHaveTests: each row of the table in docs/security.md names tests that
// exist.
func TestThreatsHaveTests(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| Threat | Defence | Shown by |")
	if !ok {
		t.Fatal("docs/security.md has no table of threats")
	}
	tests := map[string][]string{} // name -> directories
	for _, s := range tree(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && s.test() && strings.HasPrefix(f.Name.Name, "Test") {
				tests[f.Name.Name] = append(tests[f.Name.Name], s.dir)
			}
		}
	}
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 5 || strings.HasPrefix(cells[1], "---") {
			continue
		}
		rows++
		named := shownBy.FindAllStringSubmatch(cells[3], -1)
		if len(named) == 0 {
			t.Errorf("no test shows: %s", cells[1])
		}
		for _, n := range named {
			if !inOneOf(tests[n[2]], n[1]) {
				t.Errorf("%s names %s of %s, which does not exist", cells[1], n[2], n[1])
			}
		}
	}
	if rows < 10 {
		t.Errorf("the table has %d rows", rows)
	}
}

// inOneOf reports whether a package's name is the end of one of the directories.
func inOneOf(dirs []string, name string) bool {
	for _, d := range dirs {
		if d == name || strings.HasSuffix(d, "/"+name) {
			return true
		}
	}
	return false
}
