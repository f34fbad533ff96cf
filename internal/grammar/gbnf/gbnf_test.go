package gbnf

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/grammar"
)

const jsonText = `# JSON
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws

object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws

array  ::=
  "[" ws (
            value
    ("," ws value)*
  )? "]" ws

string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws

number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
`

func TestTexts(t *testing.T) {
	for _, c := range []struct {
		rules string
		yes   []string
		no    []string
	}{
		{jsonText, []string{`{}`, `{"a": [1, 2.5, {"b": "é\u00e9\n"}]}`, "{\n  \"x\": null}"}, []string{`[]`, `{"a"}`, `{"a": 01x}`, ``}},
		{"root ::= \"a\"\n  | \"b\" x{2,3}\nx ::= [c-e] | \"\\u00e9\"", []string{"a", "bcd", "bééc"}, []string{"b", "bc", "ab", "bcdec"}},
		{"root ::= (\"(\" root \")\")? .\n", []string{"x", "((é)x)y"}, []string{"", "((x)", "(x)"}},
		{"root ::= [^a-c\\]]+ \"\" [a-]?", []string{"xyz-", "-a"}, []string{"a", "]"}},
		{"root ::= item+\nitem ::= \"- \" [^\\r\\n\\x0b]+ \"\\n\"", []string{"- a\n- b\n"}, []string{"- \n", "- a"}},
		{"root ::= a_b\na_b ::= \"1\"?{2} ", []string{"", "1", "11"}, []string{"111"}},
	} {
		g, err := Compile(c.rules, grammar.Limits{})
		if err != nil {
			t.Errorf("%s: %v", c.rules, err)
			continue
		}
		for _, text := range c.yes {
			if !g.Match([]byte(text)) {
				t.Errorf("%s: %q is refused", c.rules, text)
			}
		}
		for _, text := range c.no {
			if g.Match([]byte(text)) {
				t.Errorf("%s: %q is accepted", c.rules, text)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	for rules, want := range map[string]string{
		"":                                     `no rule "root"`,
		"root ::= a":                           `line 1: the rule "a" is not defined`,
		"root ::= \"a":                         `" is not closed`,
		"root ::= \"x\"\n\nroot ::= [a":        "line 3",
		"root ::= (\"a\"":                      "( is not closed",
		"root = \"a\"":                         `"::=" must follow`,
		"root ::= \"a\" root ::= \"b\"":        "no literal",
		"root ::= root \"a\" | \"b\"":          "left recursion",
		"root ::= \"a\" root":                  "never ends",
		"root ::= [z-a]":                       "ends before it begins",
		"root ::= \"a\"{3,2}":                  "at least 3 but at most 2",
		"root ::= \"a\"{99999}":                "more than 10000",
		"root ::= \"\\q\"":                     "no escape",
		"root ::= \"\\ud800\"":                 "surrogates",
		"root ::= <think>":                     "tokens",
		"root ::= " + strings.Repeat("(", 300): "nested more than",
	} {
		if _, err := Compile(rules, grammar.Limits{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", rules, err, want)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(jsonText, `{"a": 1}`)
	f.Add("root ::= x y*\nx ::= [^a]{3,} | y\ny ::= \"b\" root?", "bbb")
	f.Fuzz(func(t *testing.T, rules, text string) {
		g, err := Compile(rules, grammar.Limits{Instructions: 1 << 12, Expressions: 1 << 12, Memory: 4 << 20})
		if err != nil {
			return
		}
		m := g.Matcher(nil)
		for i := range min(len(text), 64) {
			if m.AcceptBytes([]byte{text[i]}) != nil {
				break
			}
		}
		if m.Least() >= 1<<28 {
			t.Fatal("a state without a way to the end")
		}
	})
}

// TestChain finds the recursive rules of a chain of calls in time that grows with its length, not with the square of it.
func TestChain(t *testing.T) {
	w := &translator{rules: map[string]*rule{}}
	rules := make([]*rule, 200_000)
	for i := range rules {
		rules[i] = &rule{name: strconv.Itoa(i)}
		w.rules[rules[i].name] = rules[i]
		if i > 0 {
			rules[i-1].calls = []call{{name: rules[i].name}}
		}
	}
	last := len(rules) - 1
	rules[last].calls = []call{{name: rules[last-1].name}}
	start := cpu.Used()
	w.recursive(rules)
	if took := cpu.Used() - start; took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	for i, r := range rules {
		if r.cyclic != (i >= last-1) {
			t.Fatalf("rule %d of %d is recursive: %v", i, len(rules), r.cyclic)
		}
	}
}
