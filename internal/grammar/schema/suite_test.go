package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// `make schema-suite` fetches the JSON-Schema-Test-Suite and runs this test over it.
var suite = flag.String("suite", "", "folder with the folders draft2020-12 and draft7 of the JSON-Schema-Test-Suite")

// suiteGroup is a schema of the suite with its instances.
type suiteGroup struct {
	Description string
	Schema      json.RawMessage
	Tests       []struct {
		Description string
		Data        json.RawMessage
		Valid       bool
	}
}

// TestSuite: every schema of the suite is refused or right about every instance, written with spaces and without.
func TestSuite(t *testing.T) {
	if *suite == "" {
		t.Skip("needs the JSON-Schema-Test-Suite: make schema-suite")
	}
	for draft, id := range map[string]string{"draft2020-12": "https://json-schema.org/draft/2020-12/schema", "draft7": "http://json-schema.org/draft-07/schema#"} {
		files, err := filepath.Glob(filepath.Join(*suite, draft, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no files of %s", *suite, draft)
		}
		groups, tests, refused := 0, 0, map[string]int{}
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var list []suiteGroup
			if err := json.Unmarshal(text, &list); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			for _, g := range list {
				groups++
				name := fmt.Sprintf("%s/%s/%s", draft, strings.TrimSuffix(filepath.Base(path), ".json"), g.Description)
				n, why := g.run(t, name, id)
				tests += n
				if why != "" {
					refused[why]++
				}
			}
		}
		sum := 0
		for _, n := range refused {
			sum += n
		}
		t.Logf("%s: %d of %d schemas served, with %d instances; refused:", draft, groups-sum, groups, tests)
		for _, why := range slices.Sorted(maps.Keys(refused)) {
			t.Logf("  %4d %s", refused[why], why)
		}
	}
}

// run judges a group's instances. It returns their number, or why the schema is refused.
func (g *suiteGroup) run(t *testing.T, name, draft string) (tests int, refused string) {
	text := []byte(g.Schema)
	var object map[string]json.RawMessage
	if json.Unmarshal(text, &object) == nil && object["$schema"] == nil && len(object) > 0 {
		text = slices.Concat([]byte(`{"$schema":"`+draft+`",`), bytes.TrimSpace(text)[1:])
	}
	c, err := Compile(text, Limits{})
	if err != nil {
		if strings.Contains(err.Error(), "no text matches") || strings.Contains(err.Error(), "no value satisfies") {
			for _, i := range g.Tests {
				if i.Valid {
					t.Errorf("%s: %s is valid, but: %v", name, i.Data, err)
				}
			}
		}
		var e *Error
		if errors.As(err, &e) {
			if e.Keyword == "" {
				return 0, e.Reason
			}
			return 0, e.Keyword
		}
		return 0, err.Error()
	}
	for _, i := range g.Tests {
		for _, form := range []string{"compact", "spaced"} {
			instance := written(t, i.Data, form == "spaced")
			tests++
			if got := c.Match(instance); got != i.Valid {
				t.Errorf("%s: %s: %s is accepted: %v, valid: %v; schema %s", name, i.Description, instance, got, i.Valid, g.Schema)
			}
		}
	}
	return tests, ""
}

// written is a value without white space, or with a space behind each comma and colon.
func written(t *testing.T, value json.RawMessage, spaced bool) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil {
		t.Fatal(err)
	}
	if !spaced {
		return b.Bytes()
	}
	var out []byte
	inside := false
	for i, c := range b.Bytes() {
		out = append(out, c)
		if c == '"' && (i == 0 || !isEscaped(b.Bytes()[:i])) {
			inside = !inside
		}
		if !inside && (c == ',' || c == ':') {
			out = append(out, ' ')
		}
	}
	return out
}

// isEscaped reports whether what follows a text is escaped by a backslash at its end.
func isEscaped(text []byte) bool {
	n := len(text) - len(bytes.TrimRight(text, `\`))
	return n%2 == 1
}
