package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

const (
	docs        = "../../docs/api.md"
	routesBegin = "<!-- routes: go test ./internal/server -run RoutesDocumented -rewrite -->\n"
	routesEnd   = "<!-- end of routes -->\n"
)

// docs/api.md has every route, with what /openapi.json says of it.
func TestRoutesDocumented(t *testing.T) {
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), routesBegin)
	_, tail, ok2 := strings.Cut(rest, routesEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the routes", docs)
	}
	want := head + routesBegin + routeTables(t) + routesEnd + tail
	if *rewrite {
		if err := os.WriteFile(docs, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != want {
		t.Errorf("%s is out of date: run the command in it", docs)
	}
}

// routeTables are the routes of each protocol, with their statuses and the form
// of an error.
func routeTables(t *testing.T) string {
	f := newFixture(t, "x\x00")
	doc := document(t, f)
	var b strings.Builder
	for _, p := range f.protocols() {
		fmt.Fprintf(&b, "\n### %s\n\n| Route | | Streams | Statuses |\n|---|---|---|---|\n", p.Name)
		example := ""
		for _, r := range p.Routes {
			answers := operation(doc, r)["responses"].(map[string]any)
			stream := ""
			if ok, has := answers["200"].(map[string]any); has {
				content, _ := ok["content"].(map[string]any)
				for kind := range content {
					if kind == "text/event-stream" || kind == "application/x-ndjson" {
						stream = "`" + kind + "`"
					}
				}
			}
			path := strings.NewReplacer("{$}", "", "...}", "}").Replace(r.Path)
			statuses := strings.Join(slices.Sorted(maps.Keys(answers)), " ")
			fmt.Fprintf(&b, "| `%s %s` | %s | %s | %s |\n", r.Method, path, r.About, stream, statuses)
			if a, ok := answers["400"].(map[string]any); ok && example == "" {
				text, err := json.Marshal(at(t, a, "content", "application/json", "example"))
				if err != nil {
					t.Fatal(err)
				}
				example = string(text)
			}
		}
		if example != "" {
			fmt.Fprintf(&b, "\nAn error is `%s`.\n", example)
		}
	}
	return b.String() + "\n"
}
