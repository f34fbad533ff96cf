package answer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/penstock-llm/penstock/internal/grammar"
	"github.com/penstock-llm/penstock/internal/grammar/schema"
)

// The tools of these tests: with many kinds of arguments, and with none.
const bookSchema = `{"type":"object","properties":{
	"city":{"type":"string","minLength":1,"maxLength":12},
	"unit":{"enum":["metric","imperial"]},
	"days":{"type":"integer","minimum":1,"maximum":14},
	"exact":{"type":"boolean"},
	"near":{"type":["string","null"],"maxLength":4},
	"tags":{"type":"array","items":{"type":"string","maxLength":3},"maxItems":2},
	"at":{"type":"object","properties":{"lat":{"type":"number","minimum":-90,"maximum":90},"label":{"type":"string","maxLength":5}},"required":["lat"],"additionalProperties":false}
},"required":["city","days","at"],"additionalProperties":false}`

const noneSchema = `{"type":"object","properties":{},"additionalProperties":false}`

func bookTools() []Tool {
	return []Tool{NewTool("book", []byte(bookSchema)), NewTool("book_all", []byte(noneSchema)), NewTool("Get_2", []byte(`{"properties":{"q":{"type":"string","maxLength":6}},"required":["q"],"additionalProperties":false,"type":"object"}`))}
}

// marks are the texts that some families have as control tokens.
var marks = []string{
	"<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|call|>", "<|constrain|>", "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>",
	"<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>", "<|tool_call>", "<tool_call|>", `<|"|>`, "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "<|python_tag|>", "<|tool_call_start|>",
	"<|tool_call_end|>", "<|START_ACTION|>", "<|END_ACTION|>", "<|tool_call_begin|>", "<|tool_calls_section_begin|>",
}

// spell writes control tokens as the grammars of these tests have them.
func spell(text string) string {
	for i, m := range marks {
		text = strings.ReplaceAll(text, m, "\xff"+string([]byte{byte(i)}))
	}
	return text
}

// letters are the tokens of random answers: bytes, control tokens, and the end.
func letters() (*grammar.Vocabulary, int32) {
	var pieces [][]byte
	for b := range 256 {
		pieces = append(pieces, []byte{byte(b)})
	}
	pieces[0xff] = nil
	for i := range marks {
		pieces = append(pieces, []byte{0xff, byte(i)})
	}
	end := int32(len(pieces))
	return grammar.NewVocabulary(append(pieces, nil), []int32{end}), end
}

// random writes an answer of a grammar of at most so many tokens, which begins with
// a given text, and returns what it is; ok says that it has ended itself.
func random(t *testing.T, g *grammar.Grammar, rnd *rand.Rand, begin string, left int) (answer []byte, ok bool) {
	t.Helper()
	v, end := letters()
	m := g.Matcher(v)
	answer = []byte(spell(begin))
	if err := m.AcceptBytes(answer); err != nil {
		t.Fatalf("%q: %v", begin, err)
	}
	for ; left > 0; left-- {
		bits, err := m.Allowed(left)
		if err != nil {
			t.Fatal(err)
		}
		var may []int32
		for id := range end + 1 {
			plain := id < 0x80 || id >= 256
			if bits[id/64]>>(id%64)&1 != 0 && (plain || rnd.IntN(8) == 0) {
				may = append(may, id)
			}
		}
		for id := int32(0x80); id < 256 && len(may) == 0; id++ {
			if bits[id/64]>>(id%64)&1 != 0 {
				may = append(may, id)
			}
		}
		if len(may) == 0 {
			t.Fatalf("nothing may follow %q", answer)
		}
		id := may[rnd.IntN(len(may))]
		if err := m.Accept(id); err != nil {
			t.Fatal(err)
		}
		if id == end {
			return answer, true
		}
		if id < 256 {
			answer = append(answer, byte(id))
		} else {
			answer = append(answer, 0xff, byte(id-256))
		}
	}
	return answer, false
}

// readBack parses an answer whose control tokens are spelled.
func readBack(t *testing.T, f *Format, o Options, answer []byte) *parsed {
	t.Helper()
	o.Exact = true
	o.Control = func(m string) bool { return slices.Contains(marks, m) }
	o.NewID = func(n int) string { return fmt.Sprint("call_", n) }
	p := f.New(o)
	got := &parsed{}
	for len(answer) > 0 {
		n := bytes.IndexByte(answer, 0xff)
		if n < 0 {
			n = len(answer)
		}
		p.Write(answer[:n])
		if answer = answer[n:]; len(answer) > 0 {
			p.Control(marks[answer[1]])
			answer = answer[2:]
		}
		got.add(t, p.Parts())
	}
	got.add(t, p.Finish(false))
	return got
}

func validator(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", parsed); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// validCalls checks that calls are of the tools, with arguments of their schemas.
func validCalls(t *testing.T, calls []aCall, tools []Tool, answer []byte) {
	t.Helper()
	for _, c := range calls {
		i := slices.IndexFunc(tools, func(x Tool) bool { return x.Name == c.name })
		if i < 0 {
			t.Fatalf("%q calls %q", answer, c.name)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(c.args))
		if err != nil {
			t.Fatalf("%q: arguments %q: %v", answer, c.args, err)
		}
		if err := validator(t, tools[i].Parameters).Validate(v); err != nil {
			t.Fatalf("%q: arguments %q: %v", answer, c.args, err)
		}
	}
}

// TestRandomCalls has every format written at random under its grammar, and reads
// it back: there are calls, of the tools, with valid arguments, and nothing else.
func TestRandomCalls(t *testing.T) {
	for _, f := range formats {
		t.Run(f.Name, func(t *testing.T) {
			tools := bookTools()
			for _, one := range []bool{false, true} {
				g, loose, err := f.Grammar(Shape{Tools: tools, Required: true, One: one, Spell: spell})
				if err != nil || len(loose) > 0 {
					t.Fatal(err, loose)
				}
				for seed := range uint64(5) {
					answer, ok := random(t, g, rand.New(rand.NewPCG(seed, 1)), "", 400)
					if !ok {
						t.Fatalf("%q does not end", answer)
					}
					got := readBack(t, f, Options{Tools: tools}, answer)
					if len(got.calls) == 0 || one && len(got.calls) > 1 || strings.TrimSpace(got.text) != "" {
						t.Fatalf("%q has %d calls and the text %q", answer, len(got.calls), got.text)
					}
					validCalls(t, got.calls, tools, answer)
				}
			}
		})
	}
}

// TestCallsInText: text is free, and a call as models write it may come, but none
// with arguments of the wrong kind.
func TestCallsInText(t *testing.T) {
	tools := []Tool{NewTool("get_weather", weatherSchema)}
	for _, w := range writers {
		f := Named(w.format)
		g, loose, err := f.Grammar(Shape{Tools: tools, Spell: spell})
		if err != nil || len(loose) > 0 {
			t.Fatal(err, loose)
		}
		write := func(before string, calls ...aCall) string {
			switch {
			case before != "":
				before = w.before + before + w.between
			case w.format == "functionary":
				return strings.TrimPrefix(w.calls(calls), ">>>")
			case w.format == "harmony":
				return strings.TrimPrefix(w.calls(calls), "<|start|>assistant")
			}
			return before + w.calls(calls)
		}
		good := aCall{"get_weather", `{"city": "Bonn", "days": 3}`}
		texts := []string{write("", good)}
		if !w.bare {
			texts = append(texts, write("Is {it} <x> [1]?", good))
		}
		if !w.onlyOne {
			texts = append(texts, write("", good, good))
		}
		for _, text := range texts {
			if !g.Match([]byte(spell(text))) {
				t.Errorf("%s: %q is refused", w.format, text)
			}
			bad := []byte(spell(strings.Replace(text, "3", "true", 1)))
			m := g.Matcher(nil)
			if err := m.AcceptBytes(bad); err == nil {
				t.Errorf("%s: %q is accepted", w.format, bad)
			}
		}
		if f.frame == nil && !g.Match([]byte(`So {"name": 1} is "free", get_weather(too): <b>`+"\n```json\n[{}]\n```")) {
			t.Errorf("%s: text is refused", w.format)
		}
	}
}

func TestRandomForms(t *testing.T) {
	form := func(b *grammar.Builder) (grammar.Node, error) {
		return schema.Add(b, []byte(`{"type":"array","items":{"type":"integer"},"maxItems":4}`), schema.Limits{})
	}
	for _, f := range formats {
		tools := bookTools()
		g, loose, err := f.Grammar(Shape{Tools: tools, Form: form, Spell: spell})
		if err != nil || len(loose) > 0 {
			t.Fatal(f.Name, err, loose)
		}
		texts, calls := 0, 0
		for seed := range uint64(6) {
			answer, ok := random(t, g, rand.New(rand.NewPCG(seed, 2)), "", 400)
			if !ok {
				t.Fatalf("%s: %q does not end", f.Name, answer)
			}
			got := readBack(t, f, Options{Tools: tools}, answer)
			validCalls(t, got.calls, tools, answer)
			if len(got.calls) > 0 {
				calls++
				continue
			}
			texts++
			var list []int64
			if err := json.Unmarshal([]byte(got.text), &list); err != nil && !strings.Contains(err.Error(), "int64") {
				t.Fatalf("%s: %q: %v", f.Name, answer, err)
			}
		}
		if texts == 0 || calls == 0 {
			t.Errorf("%s: %d texts and %d answers with calls", f.Name, texts, calls)
		}
	}
}

// TestMessages: answers in messages are taken apart without tools, too.
func TestMessages(t *testing.T) {
	f := Named("harmony")
	text := "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes."
	got := readBack(t, f, Options{}, []byte(spell(text)))
	if got.reasoning != "Hm." || got.text != "Yes." || len(got.calls) > 0 {
		t.Errorf("%+v", got)
	}
	g, _, err := f.Grammar(Shape{Spell: spell})
	if err != nil {
		t.Fatal(err)
	}
	if !g.Match([]byte(spell(text))) || g.Match([]byte(spell("Yes."))) {
		t.Error("the grammar is another one")
	}
}

// TestReasoningAroundCalls: reasoning is free, whatever is in it, and a forced call
// comes behind it.
func TestReasoningAroundCalls(t *testing.T) {
	s := Shape{Tools: bookTools(), Reasoning: &Reasoner{"<think>", "</think>"}, Spell: spell}
	call := "<tool_call>\n{\"name\": \"book_all\", \"arguments\": {}}\n</tool_call>"
	thought := "<think>\nI may write <tool_call>{5} here.\n</think>\n\n"
	for _, c := range []struct {
		text               string
		auto, must, within bool // accepted: as it is; with a call required; behind the opening mark
	}{
		{call, true, true, true},
		{thought + call, true, true, true},
		{thought + "So.\n" + call + " Then.", true, false, true},
		{thought, true, false, true},
		{strings.TrimPrefix(thought, "<think>") + "<tool_call>\n{", false, false, false},
		{strings.TrimPrefix(thought, "<think>") + call, false, false, true},
		{"<think>\nstill", true, false, true},
		{"So. " + thought + call, true, false, true},
		{thought + "<tool_call>\n{5}", false, false, false},
	} {
		for want, shape := range map[*bool]Shape{&c.auto: s, &c.must: required(s), &c.within: within(s)} {
			g, _, err := Named("hermes").Grammar(shape)
			if err != nil {
				t.Fatal(err)
			}
			if got := g.Match([]byte(c.text)); got != *want {
				t.Errorf("%q, required %v, in reasoning %v: %v", c.text, shape.Required, shape.InReasoning, got)
			}
		}
	}
}

func required(s Shape) Shape { s.Required = true; return s }

func within(s Shape) Shape { s.InReasoning = true; return s }

func TestStrictTools(t *testing.T) {
	odd := NewTool("odd", []byte(`{"type":"object","properties":{"a":{"pattern":"(b)\\1","type":"string"}}}`))
	tools := append(bookTools(), odd)
	g, loose, err := Named("hermes").Grammar(Shape{Tools: tools, Required: true, One: true, Spell: spell})
	if err != nil || len(loose) != 1 || loose[0].Tool != "odd" || !strings.Contains(loose[0].Error(), "pattern") {
		t.Fatal(err, loose)
	}
	for text, want := range map[string]bool{
		`{"name": "odd", "arguments": {"a": "bb"}}`:   true,
		`{"name": "odd", "arguments": {"x": [1]}}`:    true,
		`{"name": "book_all", "arguments": {"x": 1}}`: false,
	} {
		if got := g.Match([]byte("<tool_call>\n" + text + "\n</tool_call>")); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	tools[3].Strict = true
	var failed *ToolError
	if _, _, err := Named("hermes").Grammar(Shape{Tools: tools, Spell: spell}); !errors.As(err, &failed) || failed.Tool != "odd" {
		t.Errorf("%v", err)
	}
}

// TestDocumented: docs/api.md says of every format what calls are held to.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| Formats | Arguments | Held to |")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, f := range formats {
		if name := strings.TrimSuffix(f.Name, "-tool-calls"); !strings.Contains(table, "`"+name+"`") {
			t.Errorf("%s is not there", f.Name)
		}
	}
}

// plainly writes a text of a layout without white space and with its last
// alternatives.
func plainly(text string) string {
	for {
		at := strings.Index(text, "⟨")
		if at < 0 {
			return strings.NewReplacer("~", "", "$N", "1", "$ID", "abcdefghi").Replace(text)
		}
		all, rest := alternation(text[at:])
		text = text[:at] + all[len(all)-1] + rest
	}
}

// TestRandomAnswers: whatever a model writes behind the beginning of a call, in any
// of its format's layouts, there is a call, and all calls are valid.
func TestRandomAnswers(t *testing.T) {
	tools := bookTools()
	for _, f := range formats {
		g, _, err := f.Grammar(Shape{Tools: tools, Spell: spell})
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range f.layouts {
			for j, c := range l.calls {
				name, after, _ := strings.Cut(c, "$NAME")
				begin := plainly(l.open + name)
				if l.soft {
					begin += "book" + plainly(after[:strings.IndexAny(after, "~⟨$")])
				}
				if !l.start && f.frame == nil {
					begin = "So [1]: " + begin
				}
				answer, _ := random(t, g, rand.New(rand.NewPCG(uint64(i), uint64(j))), begin, 300)
				got := readBack(t, f, Options{Tools: tools}, answer)
				if len(got.calls) == 0 {
					t.Errorf("%s: no call in %q", f.Name, answer)
				}
				validCalls(t, got.calls, tools, answer)
			}
		}
	}
}
