package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/penstock-llm/penstock/internal/grammar"
)

// patient has the bounds of work only, no time: tests share a machine.
var patient = Limits{}

func oracle(t interface{ Fatalf(string, ...any) }, text string) *jsonschema.Schema {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

func valid(t interface{ Fatalf(string, ...any) }, s *jsonschema.Schema, text string) bool {
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s.Validate(v) == nil
}

// orders writes a value with its objects' members in every order, up to a number of texts.
func orders(v *value, limit int) []string {
	switch v.kind {
	case kindArray:
		out := []string{""}
		for i, item := range v.items {
			out = product(out, prefixed(i, orders(item, limit)), limit)
		}
		return wrapped("[", out, "]")
	case kindObject:
		var out []string
		permute(len(v.keys), func(order []int) {
			texts := []string{""}
			for i, k := range order {
				var members []string
				for _, m := range orders(v.vals[k], limit) {
					members = append(members, quoted(v.keys[k])+": "+m)
				}
				texts = product(texts, prefixed(i, members), limit)
			}
			out = append(out, texts...)
		})
		return wrapped("{", out[:min(len(out), limit)], "}")
	case kindString:
		return []string{quoted(v.text)}
	case kindNumber:
		return []string{v.text}
	case kindBool:
		return []string{fmt.Sprint(v.truth)}
	}
	return []string{"null"}
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func wrapped(open string, in []string, shut string) []string {
	var out []string
	for _, s := range in {
		out = append(out, open+s+shut)
	}
	return out
}

func prefixed(i int, in []string) []string {
	if i == 0 {
		return in
	}
	return wrapped(", ", in, "")
}

func product(a, b []string, limit int) []string {
	var out []string
	for _, x := range a {
		for _, y := range b {
			if len(out) < limit {
				out = append(out, x+y)
			}
		}
	}
	return out
}

func permute(n int, f func([]int)) {
	var walk func(order []int, used int)
	walk = func(order []int, used int) {
		if len(order) == n {
			f(order)
			return
		}
		for i := range n {
			if used&(1<<i) == 0 {
				walk(append(order[:len(order):len(order)], i), used|1<<i)
			}
		}
	}
	walk(nil, 0)
}

var (
	someKeys     = rapid.SampledFrom([]string{"a", "b", "c", "x1"})
	someStrings  = rapid.SampledFrom([]string{`""`, `"a"`, `"b"`, `"ab"`, `"x1"`, `"é"`, `"a\nb"`, `"2024-02-29"`, `"c\""`})
	someNumbers  = rapid.SampledFrom([]string{"0", "1", "2", "3", "-1", "-2", "10", "1.5", "0.25", "-0.5", "2.0", "12", "7"})
	somePatterns = rapid.SampledFrom([]string{"^a", "b$", "1", "^.$", "^[ab]+$", "x|é"})
)

// jsonValue draws a value of few keys and few scalars, so that schemas of the same ones meet them.
func jsonValue(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		kinds := []string{"null", "bool", "number", "string"}
		if depth > 0 {
			kinds = append(kinds, "array", "object", "object")
		}
		switch rapid.SampledFrom(kinds).Draw(t, "kind") {
		case "bool":
			return fmt.Sprint(rapid.Bool().Draw(t, "bool"))
		case "number":
			return someNumbers.Draw(t, "number")
		case "string":
			return someStrings.Draw(t, "string")
		case "array":
			return "[" + strings.Join(rapid.SliceOfN(jsonValue(depth-1), 0, 3).Draw(t, "items"), ",") + "]"
		case "object":
			return "{" + strings.Join(members(t, jsonValue(depth-1), someKeys, 3), ",") + "}"
		}
		return "null"
	})
}

func members(t *rapid.T, values *rapid.Generator[string], keys *rapid.Generator[string], most int) []string {
	var out []string
	for _, k := range rapid.SliceOfNDistinct(keys, 0, most, rapid.ID[string]).Draw(t, "keys") {
		out = append(out, quoted(k)+":"+values.Draw(t, "value"))
	}
	return out
}

// jsonSchema draws a schema.
func jsonSchema(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		if rapid.IntRange(0, 9).Draw(t, "boolean") == 0 {
			return fmt.Sprint(rapid.Bool().Draw(t, "truth"))
		}
		names := []string{"type", "type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "multipleOf", "minLength", "maxLength", "pattern",
			"required", "minItems", "maxItems", "maxProperties", "format"}
		if depth > 0 {
			names = append(names, "properties", "properties", "patternProperties", "additionalProperties", "propertyNames", "items", "prefixItems", "contains",
				"anyOf", "oneOf", "allOf", "not", "if", "dependentRequired", "dependentSchemas", "unevaluatedProperties")
		}
		var out []string
		for _, k := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 5, rapid.ID[string]).Draw(t, "keywords") {
			out = append(out, keyword(t, k, depth))
		}
		return "{" + strings.Join(out, ",") + "}"
	})
}

func keyword(t *rapid.T, name string, depth int) string {
	sub := jsonSchema(max(depth-1, 0))
	var v string
	switch name {
	case "type":
		v = quoted(rapid.SampledFrom([]string{"null", "boolean", "integer", "number", "string", "array", "object"}).Draw(t, "type"))
	case "enum":
		v = "[" + strings.Join(rapid.SliceOfN(jsonValue(1), 1, 3).Draw(t, "enum"), ",") + "]"
	case "const":
		v = jsonValue(1).Draw(t, "const")
	case "minimum", "maximum", "exclusiveMinimum":
		v = someNumbers.Draw(t, "bound")
	case "multipleOf":
		v = rapid.SampledFrom([]string{"1", "2", "3", "0.5", "0.25", "7"}).Draw(t, "multiple")
	case "pattern":
		v = quoted(somePatterns.Draw(t, "pattern"))
	case "format":
		v = `"date"`
	case "minLength", "maxLength", "minItems", "maxItems", "maxProperties":
		v = fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "count"))
	case "required":
		b, _ := json.Marshal(rapid.SliceOfNDistinct(someKeys, 1, 2, rapid.ID[string]).Draw(t, "required"))
		v = string(b)
	case "properties", "dependentSchemas":
		v = "{" + strings.Join(members(t, sub, someKeys, 3), ",") + "}"
	case "patternProperties":
		v = "{" + strings.Join(members(t, sub, somePatterns, 2), ",") + "}"
	case "prefixItems", "anyOf", "oneOf", "allOf":
		v = "[" + strings.Join(rapid.SliceOfN(sub, 1, 3).Draw(t, "schemas"), ",") + "]"
	case "if":
		return `"if":` + sub.Draw(t, "if") + `,"then":` + sub.Draw(t, "then") + `,"else":` + sub.Draw(t, "else")
	case "dependentRequired":
		v = "{" + quoted(someKeys.Draw(t, "if")) + ":[" + quoted(someKeys.Draw(t, "then")) + "]}"
	default:
		v = sub.Draw(t, "schema")
	}
	return quoted(name) + ":" + v
}

// TestOracle holds grammars against a validator: a value is valid exactly if the grammar has it, in whatever order its members are, and if the
// grammar of one order has it in some order.
func TestOracle(t *testing.T) {
	served, refused := 0, map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		text := jsonSchema(2).Draw(t, "schema")
		s := oracle(t, text)
		g, err := Compile([]byte(text), Limits{})
		if err != nil {
			var e *Error
			if errors.As(err, &e) {
				refused[e.Keyword+": "+e.Reason]++
			} else {
				refused[err.Error()]++
			}
		} else {
			served++
		}
		ordered, err2 := Compile([]byte(text), Limits{Order: grammar.InOrder})
		if (err == nil) != (err2 == nil) {
			t.Fatalf("schema %s: %v, but in order %v", text, err, err2)
		}
		for range 12 {
			instance := jsonValue(2).Draw(t, "instance")
			want := valid(t, s, instance)
			if err != nil {
				if want && (strings.Contains(err.Error(), "no value satisfies") || strings.Contains(err.Error(), "no text matches")) {
					t.Fatalf("schema %s has %s, but: %v", text, instance, err)
				}
				continue
			}
			v, _ := parseValue([]byte(instance))
			inOrder := false
			for i, o := range orders(v, 2000) { // three members with three members each have 1296
				if i < 20 {
					if got := g.Match([]byte(o)); got != want {
						t.Fatalf("schema %s: %s is accepted: %v, valid: %v", text, o, got, want)
					}
				}
				inOrder = inOrder || ordered.Match([]byte(o))
				if inOrder && i >= 20 {
					break
				}
			}
			if inOrder != want {
				t.Fatalf("schema %s: %s is accepted in order: %v, valid: %v", text, instance, inOrder, want)
			}
		}
	})
	t.Logf("%d schemas served, refused: %v", served, refused)
	if served == 0 {
		t.Error("no schema was served")
	}
}
