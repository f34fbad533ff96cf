package answer

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// aCall is a call as the tests write and expect it.
type aCall struct{ name, args string }

// writer writes calls as a family of models does.
type writer struct {
	format  string
	marks   []string // control tokens of the vocabulary
	calls   func(calls []aCall) string
	onlyOne bool
	before  string // precedes text before calls
	between string // between that text and the calls
	bare    bool   // calls are recognised at the beginning of the answer only
}

func each(calls []aCall, one func(c aCall) string) string {
	var b strings.Builder
	for _, c := range calls {
		b.WriteString(one(c))
	}
	return b.String()
}

// object writes {"name": …, KEY: …}.
func object(key string) func(c aCall) string {
	return func(c aCall) string { return fmt.Sprintf("{\"name\": %q, %q: %s}", c.name, key, c.args) }
}

func array(calls []aCall, one func(c aCall) string) string {
	var all []string
	for _, c := range calls {
		all = append(all, one(c))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// fields lists the arguments of a call, by name.
func fields(c aCall) (keys []string, values map[string]json.RawMessage) {
	if err := json.Unmarshal([]byte(c.args), &values); err != nil {
		panic(err)
	}
	for k := range values {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys, values
}

// elements writes the arguments with one line for each; plain strings lose
// their quotes.
func elements(c aCall, line func(key, value string, isString bool) string) string {
	var b strings.Builder
	keys, values := fields(c)
	for _, k := range keys {
		var s string
		if json.Unmarshal(values[k], &s) == nil {
			b.WriteString(line(k, s, true))
		} else {
			b.WriteString(line(k, string(values[k]), false))
		}
	}
	return b.String()
}

// source writes a JSON value as a literal of another notation.
func source(v any, quote func(string) string, words [3]string, key func(string) string) string {
	switch v := v.(type) {
	case string:
		return quote(v)
	case bool:
		if v {
			return words[0]
		}
		return words[1]
	case nil:
		return words[2]
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case []any:
		var all []string
		for _, x := range v {
			all = append(all, source(x, quote, words, key))
		}
		return "[" + strings.Join(all, ", ") + "]"
	case map[string]any:
		var all []string
		for k, x := range v {
			all = append(all, key(k)+": "+source(x, quote, words, key))
		}
		sort.Strings(all)
		return "{" + strings.Join(all, ", ") + "}"
	}
	panic("no JSON")
}

func pythonSource(c aCall) string {
	keys, values := fields(c)
	var all []string
	for _, k := range keys {
		var v any
		json.Unmarshal(values[k], &v)
		all = append(all, k+"="+source(v, strconv.Quote, [3]string{"True", "False", "None"}, strconv.Quote))
	}
	return c.name + "(" + strings.Join(all, ", ") + ")"
}

func gemmaSource(mark string) func(c aCall) string {
	return func(c aCall) string {
		var v any
		json.Unmarshal([]byte(c.args), &v)
		quote := func(s string) string { return mark + s + mark }
		return "call:" + c.name + source(v, quote, [3]string{"true", "false", "null"}, func(k string) string { return k })
	}
}

func qwenElement(c aCall) string {
	return "<function=" + c.name + ">\n" + elements(c, func(k, v string, _ bool) string {
		return "<parameter=" + k + ">\n" + v + "\n</parameter>\n"
	}) + "</function>"
}

func block(open, end string, one func(aCall) string) func([]aCall) string {
	return func(calls []aCall) string {
		return each(calls, func(c aCall) string { return open + one(c) + end })
	}
}

var writers = []writer{
	{format: "hermes", calls: block("<tool_call>\n", "\n</tool_call>\n", object("arguments"))},
	{format: "hermes", calls: block("```json\n", "\n```\n", object("arguments"))},
	{format: "hermes", calls: func(calls []aCall) string { return array(calls, object("arguments")) }, bare: true},
	{format: "qwen3-coder", calls: block("<tool_call>\n", "\n</tool_call>\n", qwenElement)},
	{format: "seed", calls: block("<seed:tool_call>\n", "\n</seed:tool_call>\n", qwenElement)},
	{format: "llama3", calls: block("", "; ", object("parameters")), bare: true},
	{format: "llama3", calls: func(calls []aCall) string { return "<|python_tag|>" + pythonSource(calls[0]) }, marks: []string{"<|python_tag|>"}, onlyOne: true},
	{format: "llama3", calls: func(calls []aCall) string { return array(calls, pythonSource) }, bare: true},
	{format: "llama3", calls: block("<function=", "</function>", func(c aCall) string { return c.name + ">" + c.args })},
	{format: "mistral", calls: func(calls []aCall) string { return "[TOOL_CALLS]" + array(calls, object("arguments")) }, marks: []string{"[TOOL_CALLS]"}},
	{format: "mistral", calls: block("[TOOL_CALLS]", "", func(c aCall) string { return c.name + "[CALL_ID]abcdefghi[ARGS]" + c.args }), marks: []string{"[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"}},
	{format: "mistral", calls: block("[TOOL_CALLS]", "", func(c aCall) string { return c.name + "[ARGS]" + c.args }), marks: []string{"[TOOL_CALLS]", "[ARGS]"}},
	{format: "mistral", calls: block("[TOOL_CALLS]", "", func(c aCall) string { return c.name + c.args }), marks: []string{"[TOOL_CALLS]"}},
	{format: "functionary", calls: block(">>>", "", func(c aCall) string { return c.name + "\n" + c.args }), before: "all\n", between: ""},
	{format: "deepseek", marks: []string{"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>"}, calls: func(calls []aCall) string {
		return "<｜tool▁calls▁begin｜>" + each(calls, func(c aCall) string {
			return "<｜tool▁call▁begin｜>" + c.name + "<｜tool▁sep｜>" + c.args + "<｜tool▁call▁end｜>"
		}) + "<｜tool▁calls▁end｜>"
	}},
	{format: "deepseek", calls: func(calls []aCall) string {
		return "<｜tool▁calls▁begin｜>" + each(calls, func(c aCall) string {
			return "<｜tool▁call▁begin｜>function<｜tool▁sep｜>" + c.name + "\n```json\n" + c.args + "\n```<｜tool▁call▁end｜>\n"
		}) + "<｜tool▁calls▁end｜>"
	}},
	{format: "deepseek-dsml", calls: func(calls []aCall) string {
		return "<｜DSML｜function_calls>\n" + each(calls, func(c aCall) string {
			return "<｜DSML｜invoke name=\"" + c.name + "\">\n" + elements(c, func(k, v string, s bool) string {
				return fmt.Sprintf("<｜DSML｜parameter name=\"%s\" string=\"%t\">%s</｜DSML｜parameter>\n", k, s, v)
			}) + "</｜DSML｜invoke>\n"
		}) + "</｜DSML｜function_calls>"
	}},
	{format: "granite", calls: func(calls []aCall) string { return "<|tool_call|>" + array(calls, object("arguments")) }, marks: []string{"<|tool_call|>"}},
	{format: "cohere", calls: func(calls []aCall) string {
		n := -1
		return "<|START_ACTION|>" + array(calls, func(c aCall) string {
			n++
			return fmt.Sprintf("\n    {\"tool_call_id\": \"%d\", \"tool_name\": %q, \"parameters\": %s}", n, c.name, c.args)
		}) + "<|END_ACTION|>"
	}},
	{format: "nemotron", calls: func(calls []aCall) string { return "<TOOLCALL>" + array(calls, object("arguments")) + "</TOOLCALL>" }},
	{format: "apertus", calls: func(calls []aCall) string {
		return "<|tools_prefix|>" + array(calls, func(c aCall) string { return fmt.Sprintf("{%q: %s}", c.name, c.args) }) + "<|tools_suffix|>"
	}},
	{format: "gemma4", calls: block("<|tool_call>", "<tool_call|>", gemmaSource(`<|"|>`)), marks: []string{"<|tool_call>", "<tool_call|>", `<|"|>`}},
	{format: "functiongemma", calls: block("<start_function_call>", "<end_function_call>", gemmaSource("<escape>"))},
	{format: "glm", calls: block("\n<tool_call>", "</tool_call>", func(c aCall) string {
		return c.name + "\n" + elements(c, func(k, v string, _ bool) string {
			return "<arg_key>" + k + "</arg_key>\n<arg_value>" + v + "</arg_value>\n"
		})
	})},
	{format: "kimi", calls: func(calls []aCall) string {
		n := -1
		return "<|tool_calls_section_begin|>" + each(calls, func(c aCall) string {
			n++
			return fmt.Sprintf("<|tool_call_begin|>functions.%s:%d<|tool_call_argument_begin|>%s<|tool_call_end|>", c.name, n, c.args)
		}) + "<|tool_calls_section_end|>"
	}},
	{format: "minimax", calls: func(calls []aCall) string {
		return "<minimax:tool_call>\n" + each(calls, func(c aCall) string {
			return "<invoke name=\"" + c.name + "\">\n" + elements(c, func(k, v string, _ bool) string {
				return "<parameter name=\"" + k + "\">" + v + "</parameter>\n"
			}) + "</invoke>\n"
		}) + "</minimax:tool_call>"
	}},
	{format: "lfm2", calls: func(calls []aCall) string {
		return "<|tool_call_start|>" + array(calls, pythonSource) + "<|tool_call_end|>"
	}, marks: []string{"<|tool_call_start|>", "<|tool_call_end|>"}},
	{format: "harmony", marks: []string{"<|channel|>", "<|message|>", "<|end|>", "<|start|>", "<|constrain|>", "<|call|>"}, calls: block("<|start|>assistant<|channel|>commentary to=functions.", "<|call|>", func(c aCall) string {
		return c.name + " <|constrain|>json<|message|>" + c.args
	}), before: "<|channel|>final<|message|>", between: "<|end|>"},
	{format: "json", calls: block("", "\n", object("arguments")), bare: true},
}

var weatherSchema = []byte(`{"properties": {"city": {"type": "string"}, "note": {"type": "string"}, "days": {"type": "integer"}}}`)

// parsed is an answer put together from its parts.
type parsed struct {
	text, reasoning string
	calls           []aCall
	ids             []string
}

func (p *parsed) add(t testing.TB, parts []Part) {
	for _, x := range parts {
		switch x.Kind {
		case Text:
			p.text += string(x.Text)
		case Reasoning:
			p.reasoning += string(x.Text)
		case Call:
			if x.Name != "" {
				if x.Index != len(p.calls) {
					t.Fatalf("call %d begins after %d calls", x.Index, len(p.calls))
				}
				p.calls = append(p.calls, aCall{name: x.Name})
				p.ids = append(p.ids, x.ID)
			}
			p.calls[x.Index].args += string(x.Text)
		}
	}
}

func (w writer) parser(o Options) *Parser {
	o.Tools = append(o.Tools, NewTool("get_weather", weatherSchema), NewTool("list", nil))
	o.Control = func(m string) bool {
		for _, c := range w.marks {
			if c == m {
				return true
			}
		}
		return false
	}
	o.NewID = func(n int) string { return "call_" + strconv.Itoa(n) }
	return Named(w.format).New(o)
}

// feed writes text, whose control tokens come as such. size is how many
// characters come at once; 0 means all.
func (w writer) feed(t testing.TB, p *Parser, text string, size int, cut ...bool) *parsed {
	got := &parsed{}
	flush := func(chunk string) {
		for r := []rune(chunk); len(r) > 0; {
			n := len(r)
			if size > 0 {
				n = min(size, n)
			}
			p.Write([]byte(string(r[:n])))
			got.add(t, p.Parts())
			r = r[n:]
		}
	}
	for text != "" {
		at, mark := len(text), ""
		for _, m := range w.marks {
			if i := strings.Index(text, m); i >= 0 && i < at {
				at, mark = i, m
			}
		}
		flush(text[:at])
		if mark != "" {
			p.Control(mark)
			got.add(t, p.Parts())
		}
		text = text[at+len(mark):]
	}
	got.add(t, p.Finish(len(cut) > 0))
	return got
}

// same compares arguments as JSON.
func same(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("arguments %s: %v", got, err)
	}
	if json.Unmarshal([]byte(want), &w); !reflect.DeepEqual(g, w) {
		t.Fatalf("arguments %s, want %s", got, want)
	}
}

var conversations = []struct {
	name   string
	before string
	calls  []aCall
}{
	{"one call", "", []aCall{{"get_weather", `{"city": "Paris", "days": 3}`}}},
	{"no arguments", "", []aCall{{"list", `{}`}}},
	{"text before", "I will look it up.", []aCall{{"get_weather", `{"city": "Paris"}`}}},
	{"parallel", "", []aCall{{"get_weather", `{"city": "Paris"}`}, {"get_weather", `{"city": "Oslo", "days": 2}`}, {"list", `{"of": 5}`}}},
	{"nested", "", []aCall{{"list", `{"filter": {"tags": ["a", "b"], "deep": {"x": [1, 2.5, -3], "y": null}}, "all": true, "none": false}`}}},
	{"unicode", "Gleich …", []aCall{{"get_weather", `{"city": "Zürich 東京 🌧", "note": "„so“"}`}}},
	{"escapes", "", []aCall{{"get_weather", `{"city": "a \"b\" \\ c", "note": "line 1\nline 2\n\n  {\"x\": 1} </end"}`}}},
	{"a number as a string", "", []aCall{{"get_weather", `{"city": "5", "note": "true"}`}}},
}

// says is an answer that has text before its calls, or none.
func (w writer) says(before string, calls []aCall) string {
	text := w.calls(calls)
	switch {
	case before != "":
		return w.before + before + w.between + text
	case w.format == "functionary":
		return strings.TrimPrefix(text, ">>>")
	case w.format == "harmony":
		return strings.TrimPrefix(text, "<|start|>assistant")
	}
	return text
}

func TestFormats(t *testing.T) {
	for _, w := range writers {
		for _, c := range conversations {
			if w.onlyOne && len(c.calls) > 1 || w.bare && c.before != "" {
				continue
			}
			text := w.says(c.before, c.calls)
			t.Run(w.format+"/"+c.name, func(t *testing.T) {
				for _, size := range []int{0, 1, 2, 3, 7} {
					got := w.feed(t, w.parser(Options{}), text, size)
					if got.text != c.before || len(got.calls) != len(c.calls) {
						t.Fatalf("%q, %d at once: text %q, calls %q", text, size, got.text, got.calls)
					}
					for i, call := range got.calls {
						if call.name != c.calls[i].name || got.ids[i] == "" {
							t.Errorf("call %d is %s with id %q", i, call.name, got.ids[i])
						}
						same(t, call.args, c.calls[i].args)
					}
				}
			})
		}
	}
}

func TestReasoning(t *testing.T) {
	think := &Reasoner{"<think>", "</think>"}
	for _, c := range []struct {
		name, format, text string
		o                  Options
		want               parsed
	}{
		{"before the answer", "hermes", "<think>\nhm, ok\n</think>\n\nYes.", Options{Reasoning: think}, parsed{text: "Yes.", reasoning: "hm, ok"}},
		{"begun in the prompt", "hermes", "hm\n</think>\n\nYes.\n", Options{Reasoning: think, InReasoning: true}, parsed{text: "Yes.\n", reasoning: "hm"}},
		{"never ends", "hermes", "<think>hm", Options{Reasoning: think}, parsed{reasoning: "hm"}},
		{"before a call", "hermes", "<think>a</think>\n<tool_call>\n{\"name\": \"list\", \"arguments\": {}}\n</tool_call>", Options{Reasoning: think},
			parsed{reasoning: "a", calls: []aCall{{"list", "{}"}}}},
		{"before a call without markers", "llama3", "<think>a</think>\n{\"name\": \"list\", \"parameters\": {}}", Options{Reasoning: think},
			parsed{reasoning: "a", calls: []aCall{{"list", "{}"}}}},
		{"twice", "hermes", "<think>a</think>b<think>c</think>d", Options{Reasoning: think}, parsed{text: "bd", reasoning: "ac"}},
		{"harmony", "harmony", "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Yes.", Options{}, parsed{text: "Yes.", reasoning: "hm"}},
		{"none", "hermes", "Yes.", Options{}, parsed{text: "Yes."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for size := range 4 {
				w := writer{format: c.format}
				got := w.feed(t, w.parser(c.o), c.text, size)
				got.ids = nil
				if !reflect.DeepEqual(*got, c.want) {
					t.Errorf("%+v, want %+v", *got, c.want)
				}
			}
		})
	}
}

// TestNoCall has answers that look like calls for a while.
func TestNoCall(t *testing.T) {
	for _, c := range []struct{ format, text string }{
		{"hermes", "<tool_call>\n{\"name\": \"unknown\", \"arguments\": {}}\n</tool_call>"},
		{"hermes", "See <tool_call> for more."},
		{"hermes", "a < b, a <to"},
		{"hermes", "```json\n{\"x\": 1}\n```"},
		{"hermes", "{\"x\": [1, 2]}"},
		{"hermes", "  two spaces, and at the end  \n"},
		{"qwen3-coder", "<tool_call>\n<function=nothing>\n</function>"},
		{"llama3", "{\"name\": \"get_weather\""},
		{"llama3", "[1, 2, 3]"},
		{"mistral", "[TOOL_CALLS]nothing{}"},
		{"glm", "<tool_call>nothing\n"},
		{"kimi", "<|tool_calls_section_begin|>x"},
		{"functionary", "Hello,\nyou"},
		{"harmony", "no header"},
		{"json", "{}"},
	} {
		t.Run(c.format, func(t *testing.T) {
			for size := range 3 {
				w := writer{format: c.format}
				got := w.feed(t, w.parser(Options{}), c.text, size)
				if got.text != c.text || len(got.calls) > 0 {
					t.Errorf("%q: %+v", c.text, got)
				}
			}
		})
	}
}

// TestImitated has text that spells a marker which is a control token in this
// vocabulary.
func TestImitated(t *testing.T) {
	p := writer{format: "granite", marks: []string{"<|tool_call|>"}}.parser(Options{})
	const text = "<|tool_call|>[{\"name\": \"list\", \"arguments\": {}}]"
	p.Write([]byte(text))
	got := &parsed{}
	got.add(t, p.Parts())
	got.add(t, p.Finish(false))
	if got.text != text || len(got.calls) > 0 {
		t.Errorf("%+v", got)
	}
}

// TestForeignControl has a control token that the format does not know.
func TestForeignControl(t *testing.T) {
	w := writer{format: "cohere", marks: []string{"<|START_RESPONSE|>", "<|END_RESPONSE|>"}}
	if got := w.feed(t, w.parser(Options{}), "<|START_RESPONSE|>Hello.<|END_RESPONSE|>", 0); got.text != "Hello." {
		t.Errorf("%+v", got)
	}
}

func TestDetect(t *testing.T) {
	for template, want := range map[string]string{
		"{{ '<tool_call>' }}":                             "hermes",
		"<tool_call>\n<function=f>\n<parameter=p>":        "qwen3-coder",
		"<tool_call>{{ name }}<arg_key>":                  "glm",
		"{{ '<|channel|>final<|message|>' }}":             "harmony",
		"{{ '[TOOL_CALLS]' }}":                            "mistral",
		"{{ '>>>' + name }}":                              "functionary",
		"{% if tools %}<|start_header_id|>x<|eot_id|>":    "llama3",
		"{{ messages }}":                                  "json",
		"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>":         "deepseek",
		"<|tool_calls_section_begin|><|tool_call_begin|>": "kimi",
		"{{ '<|tool_call>call:' + name }}":                "gemma4",
		"<minimax:tool_call>{{ name }}":                   "minimax",
		"<seed:tool_call>{{ name }}":                      "seed",
		"{{ '<|tool_call_start|>[' }}":                    "lfm2",
		"{{ '<|tool_call|>' }}":                           "granite",
	} {
		if got := Detect(template).Name; got != want {
			t.Errorf("%q: %s, want %s", template, got, want)
		}
	}
	if r := DetectReasoning("{{ '<think>' }}"); r == nil || !r.Begun("…<think>\n") || r.Begun("<think>\n\n</think>\n\n") {
		t.Error("reasoning is not detected")
	}
}

// TestEndless feeds what a model that has lost its way writes for ever, a token
// at a time. Twice as much of it must not take four times as long.
func TestEndless(t *testing.T) {
	tool := NewTool("f", []byte(`{"properties": {"s": {"type": "string"}, "n": {"type": "number"}}}`))
	for _, c := range []struct{ format, begin, again string }{
		{"hermes", "a", " "}, {"hermes", "<think>a", "\n"}, {"hermes", "a", "<"}, {"hermes", "", "<tool_call>"},
		{"hermes", `<tool_call>{"name": "f", "arguments": {"s": "`, "x "},
		{"qwen3-coder", "<tool_call><function=f><parameter=n>", "1 "}, {"qwen3-coder", "<tool_call><function=f><parameter=s>", " "},
		{"glm", "<tool_call>f\n<arg_key>n</arg_key><arg_value>", "1 "}, {"harmony", "", "<|start|>"}, {"lfm2", "<|tool_call_start|>[f(", "s='a', "},
	} {
		run := func(n int) time.Duration {
			start := cpu.Used()
			p := Named(c.format).New(Options{Reasoning: &Reasoner{"<think>", "</think>"}, Tools: []Tool{tool}, NewID: strconv.Itoa})
			p.Write([]byte(c.begin))
			for range n {
				p.Write([]byte(c.again))
				p.Parts()
			}
			p.Finish(true)
			return cpu.Used() - start // which doesn't depend on what else the machine does
		}
		const n = 5000
		once, more := time.Duration(0), time.Duration(math.MaxInt64)
		linear := func() bool { return more <= 24*once+20*time.Millisecond }
		for range 30 { // what shares the processor may slow down some of them
			if once, more = max(once, run(n)), min(more, run(8*n)); linear() {
				break
			}
		}
		if !linear() {
			t.Errorf("%s, %q: %v for %d tokens, %v for 8 times as many", c.format, c.again, once, n, more)
		}
	}
}

// TestNested: an object in an object in an object is no call, and is not followed
// down however deep it goes.
func TestNested(t *testing.T) {
	p := Named("hermes").New(Options{Tools: []Tool{NewTool("f", nil)}, NewID: strconv.Itoa})
	p.Write([]byte("<tool_call>" + strings.Repeat(`{"function": `, 1<<20)))
	if len(p.Parts()) == 0 {
		t.Error("the parser still follows it")
	}
	p.Close()
}

func FuzzParser(f *testing.F) {
	for _, w := range writers {
		f.Add(w.format, w.calls(conversations[0].calls), 3)
	}
	f.Fuzz(func(t *testing.T, name, text string, size int) {
		if Named(name) == nil || !strings.Contains(text, "") || size < 0 {
			return
		}
		text = strings.ToValidUTF8(text, "")
		w := writer{format: name}
		o := Options{Reasoning: &Reasoner{"<think>", "</think>"}}
		whole, pieces := w.feed(t, w.parser(o), text, 0), w.feed(t, w.parser(o), text, 1+size%9)
		if !reflect.DeepEqual(whole, pieces) {
			t.Fatalf("at once %+v, in pieces %+v", whole, pieces)
		}
		if len(whole.text)+len(whole.reasoning) > len(text) {
			t.Fatalf("more text than was written: %+v", whole)
		}
	})
}

func BenchmarkStream(b *testing.B) {
	w := writers[0]
	text := []byte(strings.Repeat("some words of text, ", 50))
	for b.Loop() {
		p := w.parser(Options{})
		for i := 0; i+5 <= len(text); i += 5 {
			p.Write(text[i : i+5])
			p.Parts()
		}
		p.Finish(false)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(text)/5), "ns/token")
}

// A backslash before a character of several bytes escapes nothing, and leaves the
// character whole.
func TestEscapedCharacter(t *testing.T) {
	for name, answer := range map[string]string{
		"llama3": `<|python_tag|>look(a="\é\n\世")`,
		"lfm2":   `<|tool_call_start|>[look(a='\é\n\世')]<|tool_call_end|>`,
	} {
		p := Named(name).New(Options{Tools: []Tool{NewTool("look", nil)}, NewID: func(int) string { return "id" }})
		p.Write([]byte(answer))
		var got []byte
		for _, part := range p.Finish(false) {
			got = append(got, part.Text...)
		}
		if want := `{"a": "\\é\n\\世"}`; string(got) != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
