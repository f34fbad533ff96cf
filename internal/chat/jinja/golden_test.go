package jinja

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// golden is one result of testdata/reference.py, Python's Jinja2.
type golden struct {
	Name   string
	Output *string
	Error  string
}

func testNow() time.Time { return time.Date(2026, 7, 26, 9, 5, 3, 0, time.UTC) }

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readGolden(t testing.TB, path string) map[string]golden {
	t.Helper()
	var all []golden
	if err := json.Unmarshal(readFile(t, path), &all); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	byName := map[string]golden{}
	for _, g := range all {
		byName[g.Name] = g
	}
	return byName
}

// same renders a template and compares text, or the fact that it fails: with
// variables of the template's own and with the same ones from a client.
func same(t *testing.T, source string, vars []byte, want golden) {
	t.Helper()
	for _, parse := range []func([]byte) (Value, error){fromJSON, FromClientJSON} {
		v, err := parse(vars)
		if err != nil {
			t.Fatal(err)
		}
		var got Result
		tmpl, err := Parse(source)
		if err == nil {
			got, err = tmpl.Render(t.Context(), v.(*Dict), Options{Now: testNow})
		}
		switch {
		case err != nil && want.Output == nil:
		case err != nil:
			t.Errorf("%s: %v\nwant %q", want.Name, err, *want.Output)
		case want.Output == nil:
			t.Errorf("%s: rendered %q\nwant the error %s", want.Name, got.Text, want.Error)
		case got.Text != *want.Output:
			t.Errorf("%s: differs\n got %q\nwant %q", want.Name, got.Text, *want.Output)
		}
	}
}

func TestExpressions(t *testing.T) {
	want := readGolden(t, "testdata/golden.json")
	vars := readFile(t, "testdata/variables.json")
	for i, source := range strings.Split(string(readFile(t, "testdata/expressions.txt")), "\n----\n") {
		name := "expressions/" + itoa(i)
		g, ok := want[name]
		if !ok {
			t.Fatalf("golden.json has no %s: run testdata/reference.py", name)
		}
		t.Run(itoa(i), func(t *testing.T) { same(t, source, vars, g) })
	}
}

func itoa(i int) string {
	b, _ := json.Marshal(i)
	return string(b)
}

func TestTemplates(t *testing.T) {
	sameTemplates(t, "testdata/templates", "testdata/golden.json")
}

// sameTemplates renders every template of dir with every conversation.
func sameTemplates(t *testing.T, dir, goldens string) {
	var conversations []struct {
		Name string
		Vars json.RawMessage
	}
	if err := json.Unmarshal(readFile(t, "testdata/conversations.json"), &conversations); err != nil {
		t.Fatal(err)
	}
	want := readGolden(t, goldens)
	paths, _ := filepath.Glob(filepath.Join(dir, "*.jinja"))
	if len(paths) == 0 {
		t.Fatalf("no templates in %s", dir)
	}
	for _, path := range paths {
		source := string(readFile(t, path))
		for _, c := range conversations {
			name := filepath.Base(path) + "/" + c.Name
			g, ok := want[name]
			if !ok {
				t.Fatalf("%s has no %s: run testdata/reference.py", goldens, name)
			}
			t.Run(name, func(t *testing.T) { same(t, source, c.Vars, g) })
		}
	}
}
