package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// document is what /openapi.json answers.
func document(t *testing.T, f *fixture) map[string]any {
	t.Helper()
	a := f.do(t, "GET", "/openapi.json", "")
	if a.status != 200 {
		t.Fatalf("%d: %s", a.status, a.body)
	}
	return a.get(t)
}

// operation is the document's part of a route, or nil.
func operation(doc map[string]any, r serving.Route) map[string]any {
	path := strings.NewReplacer("{$}", "", "...}", "}").Replace(r.Path)
	item, _ := doc["paths"].(map[string]any)[path].(map[string]any)
	op, _ := item[strings.ToLower(r.Method)].(map[string]any)
	return op
}

// body is the schema of an operation's request, or nil.
func body(op map[string]any) map[string]any {
	request, _ := op["requestBody"].(map[string]any)
	content, _ := request["content"].(map[string]any)
	media, _ := content["application/json"].(map[string]any)
	schema, _ := media["schema"].(map[string]any)
	return schema
}

// property is the schema of a field; a dot leads into an object.
func property(schema map[string]any, name string) map[string]any {
	for part := range strings.SplitSeq(name, ".") {
		properties, _ := schema["properties"].(map[string]any)
		schema, _ = properties[part].(map[string]any)
	}
	return schema
}

// Every route is in the document, with every parameter that it honours or
// ignores, and none that it refuses.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	f := newFixture(t, "x\x00")
	doc := document(t, f)
	ids := map[string]bool{}
	for _, r := range f.routes {
		op := operation(doc, r)
		if op == nil {
			t.Errorf("%s %s is not in the document", r.Method, r.Path)
			continue
		}
		id := op["operationId"].(string)
		if ids[id] {
			t.Errorf("two operations are called %s", id)
		}
		ids[id] = true
		c := r.Contract
		if answers := c.Gives != nil || c.Media != nil || c.Events != nil || c.Refused || c.Also != nil; !answers {
			t.Errorf("%s %s: its contract says nothing about the answer", r.Method, r.Path)
		}
		on, schema := serving.RouteOf(r.Path), body(op)
		if (on != 0) != (schema != nil) {
			t.Errorf("%s %s: has parameters %t, has a schema %t", r.Method, r.Path, on != 0, schema != nil)
		}
		for _, p := range serving.Parameters {
			_, has := property(schema, p.Name)["description"]
			has = has || property(schema, p.Name) != nil
			if want := (p.Honoured|p.Ignored)&on != 0; want && !has {
				t.Errorf("%s %s: no %s in its schema", r.Method, r.Path, p.Name)
			}
			if p.Refused&on != 0 && has {
				t.Errorf("%s %s: the schema has %s, which is refused", r.Method, r.Path, p.Name)
			}
		}
	}
}

// Each schema of the document is one of JSON Schema 2020-12, which OpenAPI 3.1
// uses, and refers to nothing that is missing; each example of an error is
// valid under its own.
func TestOpenAPISchemasAreValid(t *testing.T) {
	f := newFixture(t, "x\x00")
	doc := document(t, f)
	const at = "https://example.org/openapi.json"
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(at, doc); err != nil {
		t.Fatal(err)
	}
	compile := func(pointer ...string) *jsonschema.Schema {
		for i, p := range pointer {
			pointer[i] = strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(p)
		}
		schema, err := compiler.Compile(at + "#/" + strings.Join(pointer, "/"))
		if err != nil {
			t.Fatalf("%s: %v", pointer, err)
		}
		return schema
	}
	for path, item := range doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			if body(op.(map[string]any)) != nil {
				compile("paths", path, method, "requestBody", "content", "application/json", "schema")
			}
			for status, answer := range op.(map[string]any)["responses"].(map[string]any) {
				content, _ := answer.(map[string]any)["content"].(map[string]any)
				for media, m := range content {
					schema := compile("paths", path, method, "responses", status, "content", media, "schema")
					if example, ok := m.(map[string]any)["example"]; ok {
						if err := schema.Validate(example); err != nil {
							t.Errorf("%s %s %s: %v", method, path, status, err)
						}
					}
				}
			}
		}
	}
}

// Every error of a route is documented in the status that its protocol gives it.
func TestOpenAPIStatuses(t *testing.T) {
	doc := document(t, newFixture(t, "x\x00"))
	for path, want := range map[string]string{
		"post /v1/chat/completions": "200 400 401 403 404 408 413 415 429 500 503 504",
		"post /v1/messages":         "200 400 401 403 404 408 413 415 429 500 503 504 529",
		"post /generate":            "200 400 401 403 404 408 413 415 429 500 503",
		"post /api/create":          "401 403 500 501 503",
		"get /v1/models/{id}":       "200 401 403 404 500 503",
		"get /livez":                "200 403 500 503",
	} {
		method, path, _ := strings.Cut(path, " ")
		responses := doc["paths"].(map[string]any)[path].(map[string]any)[method].(map[string]any)["responses"].(map[string]any)
		if got := strings.Join(slices.Sorted(maps.Keys(responses)), " "); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// A route refuses the numbers outside of the document's range, and takes those
// at its ends.
func TestOpenAPIRanges(t *testing.T) {
	f := withInfill(t, "abc\x00", func(_ *Config, e *engine.Config) { e.MaxQueue = 128 })
	doc := document(t, f)
	checked := map[string]bool{}
	for _, r := range f.routes {
		text, ok := wellFormed[r.Path]
		if !ok || r.Method != "POST" {
			continue
		}
		schema := body(operation(doc, r))
		for name := range schema["properties"].(map[string]any) {
			p := property(schema, name)
			for _, limit := range []struct {
				name string
				sign float64
			}{{"minimum", -1}, {"maximum", 1}} {
				v, ok := p[limit.name].(float64)
				if !ok {
					continue
				}
				checked[name] = true
				for status, value := range map[int]float64{200: v, 400: v + limit.sign} {
					var fields map[string]json.RawMessage
					if err := json.Unmarshal([]byte(text), &fields); err != nil {
						t.Fatal(err)
					}
					if name == "repeat_penalty" { // the same under two names
						delete(fields, "repetition_penalty")
					}
					if name == "repetition_penalty" {
						delete(fields, "repeat_penalty")
					}
					delete(fields, "n")
					delete(fields, "best_of")
					fields[name] = json.RawMessage(fmt.Sprint(value))
					b, err := json.Marshal(fields)
					if err != nil {
						t.Fatal(err)
					}
					if a := f.post(t, r.Path, string(b)); a.status != status {
						t.Errorf("%s %s=%v: status %d, want %d: %s", r.Path, name, value, a.status, status, a.body)
					} else if status == 400 && !strings.Contains(a.body, name) {
						t.Errorf("%s %s=%v: the error does not name it: %s", r.Path, name, value, a.body)
					}
				}
			}
		}
	}
	for _, r := range serving.Ranges {
		if !checked[r.Name] {
			t.Errorf("no route showed the range of %s", r.Name)
		}
	}
}
