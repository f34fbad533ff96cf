package jinja

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// hostile are templates that would hang or exhaust an engine without limits.
var hostile = map[string]string{
	"string times number":  `{{ ("x" * 4000000000)|length }}`,
	"list times number":    `{{ ([0] * 4000000000)|length }}`,
	"overflowing product":  `{{ "xx" * 9223372036854775807 }}`,
	"doubling string":      `{% set ns = namespace(s="x") %}{% for i in range(100000) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}`,
	"doubling list":        `{% set ns = namespace(l=[1]) %}{% for i in range(100) %}{% set ns.l = ns.l + ns.l %}{% endfor %}`,
	"nested loops":         `{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}x{% endfor %}{% endfor %}{% endfor %}`,
	"silent nested loops":  `{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}`,
	"endless output":       `{% for a in range(99999) %}{{ "x" * 100000 }}{% endfor %}`,
	"macro recursion":      `{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}`,
	"mutual recursion":     `{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}`,
	"branching recursion":  `{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(60) }}`,
	"recursive loop":       `{% set l = [1] %}{% for x in l recursive %}{{ loop(l) }}{% endfor %}`,
	"wide percent":         `{{ "%4000000000d" % 1 }}`,
	"wide star":            `{{ "%*d" % (4000000000, 1) }}`,
	"precise percent":      `{{ "%.2000000000f" % 1.5 }}`,
	"precise integer":      `{{ "%.2000000000d" % 1 }}`,
	"wide format":          `{{ "{:4000000000}".format(1) }}`,
	"indent":               `{{ "a\nb"|indent(4000000000) }}`,
	"replace growth":       `{% set s = "x" * 1000000 %}{{ s|replace("x", s)|length }}`,
	"join growth":          `{% set s = "x" * 1000000 %}{{ s.join(s)|length }}`,
	"split growth":         `{% set s = "x," * 1000000 %}{% for i in range(99999) %}{% set t = s.split(",") %}{% endfor %}`,
	"huge range":           `{{ range(99999999999)|list|length }}`,
	"range overflow":       `{{ range(-9223372036854775807, 9223372036854775807)|length }}`,
	"power":                `{{ 99999 ** 99999999 }}`,
	"power of power":       `{{ 2.0 ** 99999999 ** 99 }}|{% for i in range(99999) %}{{ 1 ** 9223372036854775807 }}{{ 0 ** 9223372036854775807 }}{{ (-1) ** 9223372036854775807 }}{% endfor %}{{ raise_exception("x") }}`,
	"tojson of a tree":     `{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l|tojson }}`,
	"repr of a tree":       `{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}`,
	"comparison of trees":  `{% set ns = namespace(l=[1], m=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% set ns.m = [ns.m, ns.m] %}{% endfor %}{{ ns.l == ns.m }}`,
	"namespace in itself":  `{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns }}`,
	"deep list":            `{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}`,
	"deep indent":          `{{ [[[[1]]]]|tojson(indent="x" * 100000000) }}`,
	"substring search":     `{% set s = "a" * 1000000 %}{% set t = "a" * 999999 ~ "b" %}{% for i in range(99999) %}{{ t in s }}{% endfor %}`,
	"many keys":            `{% set ns = namespace(d={}) %}{% for i in range(99999) %}{% set ns.d = dict(ns.d, **{i|string: i}) %}{% endfor %}`,
	"unique numbers":       `{{ range(99999)|unique|list|length }}{{ range(99998)|unique|list|length }}{{ range(99997)|unique|list|length }}`,
	"call growth":          `{% macro m() %}{{ varargs|length }}{% endmacro %}{% for i in range(99999) %}{{ m(*range(99999)) }}{% endfor %}`,
	"block set doubling":   `{% set ns = namespace(s="xxxxxxxx") %}{% for i in range(100) %}{% set t %}{{ ns.s }}{{ ns.s }}{% endset %}{% set ns.s = t %}{% endfor %}`,
	"filter block":         `{% for i in range(99999) %}{% filter replace("x", "y" * 100000) %}{{ "x" * 100000 }}{% endfilter %}{% endfor %}`,
	"sort":                 `{% for i in range(99999) %}{{ range(99999)|sort(reverse=true)|first }}{% endfor %}`,
	"time format":          `{% for i in range(99999) %}{{ strftime_now("%c" * 100000)|length }}{% endfor %}`,
	"escape growth":        `{% set ns = namespace(s="&" * 1000) %}{% for i in range(99999) %}{% set ns.s = ns.s|escape %}{% endfor %}`,
	"format nesting":       `{{ "{:{:{:{}}}}".format(1, 2, 3, 4) }}`,
	"bad format":           `{{ "{0[".format(1) }}`,
	"sum of lists":         `{{ range(99999)|map("string")|map("list")|sum(start=[])|length }}{% for i in range(999) %}{{ range(9999)|map("string")|map("list")|sum(start=[])|length }}{% endfor %}`,
	"min int":              `{{ (-9223372036854775807 - 1) // -1 }}`,
	"negate min int":       `{{ -(-9223372036854775807 - 1) }}`,
	"loop over its own":    `{% for x in [1,2,3] %}{% for y in loop %}{{ y }}{% endfor %}{% endfor %}{{ 1/0 }}`,
	"changed with itself":  `{% for x in range(9) %}{{ loop.changed(loop) }}{% endfor %}{{ 1/0 }}`,
	"undefined everywhere": `{{ a.b.c.d }}`,
	"tuple of tuples":      doubled + `{{ t }}`,
	"equal tuples":         doubled + `{{ t == t }}`,
	"order of tuples":      doubled + `{{ t < t }}`,
	"tuple as a key":       doubled + `{{ {t: 1} }}`,
	"tuple as an item":     doubled + `{{ {1: 2}[t] }}`,
	"unique tuples":        doubled + `{{ [t]|unique|list }}`,
	"tojson of tuples":     doubled + `{{ t|tojson }}`,
	"sort of long strings": `{% set s = "a" * 1000000 %}{% set u = "a" * 999999 ~ "b" %}{{ ([s, u] * 50000)|sort|length }}`,
	"long keys":            `{% set s = "a" * 1000000 %}{% for i in range(99999) %}{% set x = {s: 1} %}{{ x[s] }}{% endfor %}`,
	"long tests":           `{% set s = "a" * 1000000 %}{% for i in range(99999) %}{{ s is upper }}{{ s.startswith(s) }}{% endfor %}`,
	"long numbers":         `{% set s = "9" * 1000000 %}{% for i in range(99999) %}{{ s|int }}{{ s|float }}{% endfor %}`,
	"characters":           `{% for i in range(99999) %}{% for c in "x" * 10000 %}{% endfor %}{% endfor %}`,
	"search in a list":     `{% set l = range(99999)|list %}{% for i in l %}{{ 99999999 in l }}{{ l.count(3) }}{% endfor %}`,
	"lists":                `{% for i in range(99999) %}{% set l = [1] * 99999 %}{% endfor %}`,
	"formats":              `{% for i in range(99999) %}{{ ("{}" * 10000).format(*range(10000)) }}{% endfor %}`,
	"indents":              `{% set s = "a\n" * 100000 %}{% for i in range(99999) %}{{ s|indent|length }}{% endfor %}`,
	"splits":               `{% set s = "a " * 100000 %}{% for i in range(99999) %}{{ s.rsplit(none, 1)|length }}{{ s.count("a") }}{% endfor %}`,
	"items of a string":    `{% set s = "aé" * 100000 %}{% for i in range(99999) %}{{ s[-1] }}{{ s[::-1]|length }}{% endfor %}`,
	"cases":                `{% set s = "É" * 100000 %}{% for i in range(99999) %}{{ s|upper|length }}{{ s|title|length }}{% endfor %}`,
	"escapes":              `{% set s = "\x00" * 1000000 %}{% for i in range(999) %}{{ [s]|string|length }}{{ [s]|tojson|length }}{% endfor %}`,
	"filtered loops":       `{% for a in range(9999) %}{% for b in range(9999) if b > 99999 %}{% endfor %}{% endfor %}`,
}

// doubled makes a tuple with 2 to the power of 60 items in it.
var doubled = `{% set t = (1, 2) %}` + strings.Repeat(`{% set t = (t, t) %}`, 60)

// refused are the hostile templates that do not come as far as a limit.
var refused = map[string]string{
	"precise percent":      "precision too large",
	"precise integer":      "precision too large",
	"huge range":           "range too big: the sandbox blocks ranges larger than 100000",
	"range overflow":       "range too big: the sandbox blocks ranges larger than 100000",
	"power":                "integer too large",
	"min int":              "integer too large",
	"negate min int":       "bad operand for unary -",
	"bad format":           "expected '}' before end of string",
	"format nesting":       "max string recursion exceeded",
	"power of power":       "x",
	"loop over its own":    "division by zero",
	"changed with itself":  "division by zero",
	"undefined everywhere": "'a' is undefined",
}

// within fails the test if a rendering takes more than two seconds of processor
// time, which does not depend on what else the machine does, or makes more than
// 512 MiB of garbage.
func within(t *testing.T, source string, vars *Dict, limits Limits) (Result, error) {
	t.Helper()
	tmpl, err := Parse(source)
	if err != nil {
		t.Fatalf("does not parse: %v", err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cpu.Used()
	r, err := tmpl.Render(t.Context(), vars, Options{Now: testNow, Limits: limits})
	took := cpu.Used() - start
	runtime.ReadMemStats(&after)
	if took > 2*time.Second*slower {
		t.Errorf("took %v", took)
	}
	if made := after.TotalAlloc - before.TotalAlloc; made > 512<<20 {
		t.Errorf("allocated %d MiB", made>>20)
	}
	return r, err
}

func TestHostileTemplatesEnd(t *testing.T) {
	for name, source := range hostile {
		t.Run(name, func(t *testing.T) {
			r, err := within(t, source, &Dict{}, Limits{Steps: 2_000_000 / slower})
			want, other := refused[name]
			switch {
			case err == nil:
				t.Errorf("rendered %d bytes, want an error", len(r.Text))
			case other && err.Error() != want && !(slower > 1 && errors.Is(err, ErrLimit)):
				t.Errorf("got %v, want %s", err, want)
			case !other && !errors.Is(err, ErrLimit):
				t.Errorf("got %v, want ErrLimit", err)
			}
		})
	}
}

// TestLongInputs: what once took quadratic time.
func TestLongInputs(t *testing.T) {
	within(t, `{% set s = "ab" * 500000 %}{{ ("x" * 1000000).strip(s) }}{{ s.strip(s) }}`, &Dict{}, Limits{})
	vars := conversation(20_000)
	for i := range 100_000 {
		vars.Set(fmt.Sprintf("v%d", i), int64(i))
	}
	if _, err := within(t, `{% for m in messages %}{% if v99999 %}{{ v1 }}{% endif %}{% endfor %}`, vars, Limits{}); err != nil {
		t.Error(err)
	}
}

func TestRenderingEndsWithItsContext(t *testing.T) {
	tmpl, err := Parse(`{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	start := cpu.Used()
	_, err = tmpl.Render(ctx, &Dict{}, Options{Limits: Limits{Steps: 1 << 60, Memory: 1 << 60}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if took := cpu.Used() - start; took > time.Second {
		t.Errorf("ended after %v", took)
	}
}

func TestHostileSources(t *testing.T) {
	deep := func(open, middle, end string) string {
		return strings.Repeat(open, 100_000) + middle + strings.Repeat(end, 100_000)
	}
	for name, source := range map[string]string{
		"parentheses": "{{ " + deep("(", "1", ")") + " }}",
		"lists":       "{{ " + deep("[", "1", "]") + " }}",
		"nots":        "{{ " + deep("not ", "1", "") + " }}",
		"minuses":     "{{ " + deep("-", "1", "") + " }}",
		"ifs":         deep("{% if 1 %}", "x", "{% endif %}"),
		"targets":     "{% for " + deep("(", "a", ",)") + " in b %}{% endfor %}",
		"calls":       "{{ " + deep("f(", "1", ")") + " }}",
		"conditions":  "{{ " + deep("1 if 1 else ", "1", "") + " }}",
		"too long":    strings.Repeat("x", maxSource+1),
	} {
		if _, err := Parse(source); err == nil {
			t.Errorf("%s: parsed, want an error", name)
		}
	}
	// Chains that are not nested as written, but are as a tree.
	for name, source := range map[string]string{
		"difference": "{{ 1" + strings.Repeat("-1", 100_000) + " }}",
		"attribute":  "{{ a" + strings.Repeat(".a", 100_000) + " }}",
		"filters":    "{{ 1" + strings.Repeat("|string", 100_000) + " }}",
		"ors":        "{{ 0" + strings.Repeat(" or 0", 100_000) + " }}",
	} {
		tmpl, err := Parse(source)
		if err == nil {
			_, err = tmpl.Render(t.Context(), &Dict{}, Options{})
		}
		if !errors.Is(err, ErrLimit) {
			t.Errorf("%s: got %v, want ErrLimit", name, err)
		}
	}
}

func TestRaisedErrorKeepsItsMessage(t *testing.T) {
	tmpl, err := Parse(`{{ raise_exception("no system role") }}`)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tmpl.Render(t.Context(), &Dict{}, Options{})
	var raised *RaisedError
	if !errors.As(err, &raised) || raised.Message != "no system role" {
		t.Errorf("got %v", err)
	}
}

// FuzzRender: whatever the template and the variables, rendering ends, and marks
// are in order and change nothing of the text.
func FuzzRender(f *testing.F) {
	vars := string(readFile(f, "testdata/variables.json"))
	for _, source := range hostile {
		f.Add(source, "{}")
	}
	for _, source := range strings.Split(string(readFile(f, "testdata/expressions.txt")), "\n----\n") {
		f.Add(source, vars)
	}
	f.Fuzz(func(t *testing.T, source, vars string) {
		tmpl, err := Parse(source)
		if err != nil {
			return
		}
		limits := Limits{Steps: 20_000, Memory: 1 << 20, Output: 1 << 16}
		var results []Result
		for _, parse := range []func([]byte) (Value, error){fromJSON, FromClientJSON} {
			v, err := parse([]byte(vars))
			d, ok := v.(*Dict)
			if err != nil || !ok {
				return
			}
			r, err := tmpl.Render(t.Context(), d, Options{Limits: limits, Now: testNow})
			if err != nil {
				return
			}
			checkMarks(t, r)
			results = append(results, r)
		}
		if results[0].Text != results[1].Text {
			t.Errorf("%q with %s\n is %q\nmarked %q", source, vars, results[0].Text, results[1].Text)
		}
		if len(results[0].Client) > 0 {
			t.Errorf("%q: marks %v, but no client wrote anything", source, results[0].Client)
		}
	})
}

// FuzzFromJSON compares with encoding/json: what is valid, and what it means.
func FuzzFromJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2.5,"x",null,true,18446744073709551615,-0,-1.5e-3,1E400],"a":{},"":false}`, strings.Repeat("[", 500), ` [ ] `, `[1,]`, `{"a"}`, `01`, `1.`, `-`,
		`"\ud83d\ude42 \ud800 \udc00\ud800 \u00e9\/\b\f\n\r\t\\\""`, "\"a\nb\"", "\"\xff\xc3\"", `"\x"`, `"\u12"`, `nul`, `1 2`, "\"\\ud800\xff\"",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := fromJSON(data)
		if strings.Contains(fmt.Sprint(err), "deep") {
			return
		}
		if valid := json.Valid(data); valid != (err == nil) {
			t.Fatalf("%q: %v, but valid is %v", data, err, valid)
		}
		if err != nil {
			return
		}
		var want any
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if !means(got, want) {
			t.Fatalf("%q: got %#v, want %#v", data, got, want)
		}
	})
}

// means tells whether a value is what encoding/json made of the same text.
func means(got Value, want any) bool {
	switch w := want.(type) {
	case json.Number:
		switch g := got.(type) {
		case int64:
			return fmt.Sprint(g) == string(w) || string(w) == "-0"
		case float64:
			f, _ := w.Float64()
			return g == f
		case BigInt:
			return string(g) == string(w)
		}
		return false
	case []any:
		l, ok := got.(*List)
		if !ok || len(l.Items) != len(w) {
			return false
		}
		for i := range w {
			if !means(l.Items[i], w[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		d, ok := got.(*Dict)
		if !ok || d.Len() != len(w) {
			return false
		}
		for k, x := range w {
			if v, ok := d.Get(k); !ok || !means(v, x) {
				return false
			}
		}
		return true
	}
	return got == want
}

// conversation is a request of ordinary size.
func conversation(n int) *Dict {
	messages := NewList()
	for i := range n {
		m := &Dict{}
		m.Set("role", []string{"user", "assistant"}[i%2])
		m.Set("content", Client("What is the capital of France, and how many people live there?"))
		messages.Items = append(messages.Items, m)
	}
	vars := &Dict{}
	vars.Set("messages", messages)
	vars.Set("tools", nil)
	vars.Set("add_generation_prompt", true)
	return vars
}

func BenchmarkRender(b *testing.B) {
	for _, bench := range []struct {
		name     string
		messages int // of 15 tokens
	}{{"chatml", 3}, {"thinking", 3}, {"chatml", 1300}, {"thinking", 1300}} {
		b.Run(fmt.Sprintf("%s/%d", bench.name, bench.messages), func(b *testing.B) {
			tmpl, err := Parse(string(readFile(b, "testdata/templates/"+bench.name+".jinja")))
			if err != nil {
				b.Fatal(err)
			}
			vars := conversation(bench.messages)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tmpl.Render(b.Context(), vars, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
