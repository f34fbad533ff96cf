package answer

import (
	"fmt"
	"strings"
	"testing"
)

// Models that were trained on one way to write several calls fall back to others. All
// of these are read as two calls, and the grammar has room for them: it does not end
// the answer behind the first, nor push the second one into text.
func TestSeveralCallsAsSmallModelsWriteThem(t *testing.T) {
	call := func(city string) string {
		return fmt.Sprintf("{\"name\": \"get_weather\", \"arguments\": {\"city\": %q}}", city)
	}
	wide := func(city string) string {
		return fmt.Sprintf("{\n  \"name\": \"get_weather\",\n  \"arguments\": {\n    \"city\": %q\n  }\n}", city)
	}
	list := func(city string) string {
		return strings.ReplaceAll("\n"+wide(city), "\n", "\n  ")
	}
	a, b := call("Bonn"), call("Oslo")
	tools := []Tool{NewTool("get_weather", weatherSchema)}
	for _, format := range []string{"hermes", "json", "llama3"} {
		for _, c := range []struct{ name, text string }{
			{"lines", a + "\n" + b},
			{"paragraphs", a + "\n\n" + b},
			{"commas", a + ", " + b},
			{"a comma and a line", a + ",\n" + b},
			{"semicolons", a + "; " + b},
			{"an array", "[" + a + ", " + b + "]"},
			{"an array of lines", "[\n" + a + ",\n" + b + "\n]"},
			{"wide", wide("Bonn") + "\n" + wide("Oslo")},
			{"wide, with an empty line", wide("Bonn") + "\n\n" + wide("Oslo")},
			{"wide, in an array", "[" + list("Bonn") + "," + list("Oslo") + "\n]"},
			{"a fence", "```json\n" + a + "\n" + b + "\n```"},
			{"a fence with an empty line", "```json\n" + a + "\n\n" + b + "\n```"},
			{"a fence with an array", "```json\n[\n" + a + ",\n" + b + "\n]\n```"},
			{"a fence with a wide array", "```json\n[" + list("Bonn") + "," + list("Oslo") + "\n]\n```"},
			{"a fence, wide", "```json\n" + wide("Bonn") + "\n" + wide("Oslo") + "\n```"},
			{"fences", "```json\n" + a + "\n```\n```json\n" + b + "\n```"},
			{"fences with an empty line", "```json\n" + wide("Bonn") + "\n```\n\n```json\n" + wide("Oslo") + "\n```\n"},
			{"elements", "<tool_call>\n" + a + "\n</tool_call>\n<tool_call>\n" + b + "\n</tool_call>"},
			{"elements with an empty line", "<tool_call>\n" + a + "\n</tool_call>\n\n<tool_call>\n" + b + "\n</tool_call>"},
			{"an element with two", "<tool_call>\n" + a + "\n" + b + "\n</tool_call>"},
			{"an element with two, wide", "<tool_call>\n" + wide("Bonn") + "\n" + wide("Oslo") + "\n</tool_call>"},
			{"an element with an array", "<tool_call>\n[" + a + ", " + b + "]\n</tool_call>"},
			{"elements in a fence", "```xml\n<tool_call>\n" + a + "\n</tool_call>\n<tool_call>\n" + b + "\n</tool_call>\n```"},
			{"text between", "```json\n" + a + "\n```\nAnd then:\n```json\n" + b + "\n```"},
		} {
			if format == "llama3" && strings.Contains(c.text, "<tool_call>") || format == "llama3" && strings.Contains(c.text, "```") {
				continue // it has neither
			}
			t.Run(format+"/"+c.name, func(t *testing.T) {
				w := writer{format: format}
				for _, exact := range []bool{false, true} {
					got := w.feed(t, Named(format).New(Options{Tools: tools, Exact: exact, NewID: func(int) string { return "x" }}), c.text, 3)
					if len(got.calls) != 2 {
						t.Errorf("exact %t: %d calls and the text %q", exact, len(got.calls), got.text)
						continue
					}
					for i, city := range []string{"Bonn", "Oslo"} {
						same(t, got.calls[i].args, fmt.Sprintf(`{"city": %q}`, city))
					}
				}
				g, _, err := Named(format).Grammar(Shape{Tools: tools, Spell: spell})
				if err != nil {
					t.Fatal(err)
				}
				if !g.Match([]byte(spell(c.text))) {
					t.Errorf("the grammar refuses %q", c.text)
				}
			})
		}
	}
}
