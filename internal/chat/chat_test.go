package chat

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/tinymodel"
)

func load(t *testing.T, name string) *Template {
	t.Helper()
	source := ""
	if name != "" {
		b, err := os.ReadFile("jinja/testdata/templates/" + name + ".jinja")
		if err != nil {
			t.Fatal(err)
		}
		source = string(b)
	}
	tmpl, err := New(source, "<s>", "</s>")
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func render(t *testing.T, tmpl *Template, messages ...Message) string {
	t.Helper()
	p, err := tmpl.Render(t.Context(), messages, Options{GenerationPrompt: true})
	if err != nil {
		t.Fatal(err)
	}
	return p.Text
}

func TestFallbackIsChatML(t *testing.T) {
	tmpl := load(t, "")
	got := render(t, tmpl, NewMessage("user", "hi"))
	if want := "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestPartsAreJoinedForTemplatesOfStrings(t *testing.T) {
	got := render(t, load(t, "chatml"), Message{Role: "user", Parts: []Part{{Text, "a"}, {Text, "b"}}})
	if !strings.Contains(got, "user\na\nb<|im_end|>") {
		t.Errorf("got %q", got)
	}
}

func TestStringsBecomePartsForTemplatesOfParts(t *testing.T) {
	tmpl, err := New(`{% for m in messages %}{{ m.role }}:{% for p in m.content %}{{ p.text }}{% endfor %};{% endfor %}`, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := render(t, tmpl, NewMessage("user", "hello"), NewMessage("assistant", "x")); got != "user:hello;assistant:x;" {
		t.Errorf("got %q", got)
	}
}

func TestDeveloperIsSystemWhereTheTemplateKnowsNone(t *testing.T) {
	if got := render(t, load(t, ""), NewMessage("developer", "d"), NewMessage("user", "u")); !strings.HasPrefix(got, "<|im_start|>system\nd") {
		t.Errorf("got %q", got)
	}
	tmpl, err := New(`{% for m in messages %}{{ m.role }} {{ m.content }}{% endfor %}{# developer #}`, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := render(t, tmpl, NewMessage("developer", "d")); got != "developer d" {
		t.Errorf("got %q", got)
	}
}

func TestToolCallArgumentsBecomeAMapping(t *testing.T) {
	got := render(t, load(t, "thinking"), NewMessage("user", "u"),
		Message{Role: "assistant", Calls: []Call{{Name: "f", Arguments: `{"b": 1.0, "a":[2]}`}}}, NewMessage("tool", "r"))
	if !strings.Contains(got, `"arguments": {"b": 1.0, "a": [2]}`) {
		t.Errorf("got %q", got)
	}
}

func TestVariables(t *testing.T) {
	vars, err := ParseVariables([]byte(`{"enable_thinking": false}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := load(t, "thinking").Render(t.Context(), []Message{NewMessage("user", "u")}, Options{GenerationPrompt: true, Variables: vars})
	if err != nil || !strings.HasSuffix(got.Text, "<think>\n\n</think>\n\n") {
		t.Errorf("got %q, %v", got.Text, err)
	}
	many := "{"
	for i := range maxVariables {
		many += fmt.Sprintf(`"v%d":1,`, i)
	}
	for bad, want := range map[string]string{
		`[]`:              "chat_template_kwargs must be an object",
		`{"messages": 1}`: "chat_template_kwargs must not contain messages",
		`{"a":`:           "chat_template_kwargs is not valid JSON: not valid JSON at byte 5",
		many + `"z":1}`:   "chat_template_kwargs must not have more than 256 entries",
	} {
		if _, err := ParseVariables([]byte(bad)); err == nil || err.Error() != want {
			t.Errorf("%.40s: got %v, want %s", bad, err, want)
		}
	}
}

func TestTools(t *testing.T) {
	tools, err := ParseTools([]byte(`[{"type":"function","function":{"name":"f"}}]`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := load(t, "thinking").Render(t.Context(), []Message{NewMessage("user", "u")}, Options{Tools: tools})
	if want := `{"type": "function", "function": {"name": "f"}}`; err != nil || !strings.Contains(got.Text, want) {
		t.Errorf("got %q, %v", got.Text, err)
	}
	for bad, want := range map[string]string{
		`{}`:     "tools must be an array",
		`[{},1]`: "tools[1] must be an object",
		`[`:      "tools is not valid JSON: not valid JSON at byte 1",
	} {
		if _, err := ParseTools([]byte(bad)); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", bad, err, want)
		}
	}
}

// TestReasoningHasTheTemplatesName: templates disagree on what the field is called.
func TestReasoningHasTheTemplatesName(t *testing.T) {
	for _, field := range []string{"reasoning_content", "thinking", "reasoning"} {
		tmpl, err := New("{% for m in messages %}{{ m.content }}{{ m."+field+" }}{% endfor %}", "", "")
		if err != nil {
			t.Fatal(err)
		}
		if got := render(t, tmpl, Message{Role: "assistant", Reasoning: "why"}); got != "why" {
			t.Errorf("%s: got %q", field, got)
		}
	}
}

func TestRenderingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := load(t, "chatml").Render(ctx, []Message{NewMessage("user", "u")}, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestRefusalsKeepTheTemplatesWords(t *testing.T) {
	_, err := load(t, "turns").Render(t.Context(), []Message{NewMessage("assistant", "first")}, Options{})
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "Roles must alternate") {
		t.Errorf("got %v", err)
	}
}

func TestModelWithBrokenTemplateLoads(t *testing.T) {
	file, err := tinymodel.Open(tinymodel.Options{Template: "{% if %}"})
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tmpl.Render(t.Context(), []Message{NewMessage("user", "x")}, Options{})
	if tmpl.Problem() == nil || !errors.Is(err, ErrRefused) {
		t.Errorf("got %v, problem %v", err, tmpl.Problem())
	}
}

// TestContinued: a prompt that is to be continued ends where the last message does,
// with the white space at its end where the template keeps that, and not at the same
// word in a mark that the template writes after it.
func TestContinued(t *testing.T) {
	const keeps = `{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}`
	trims := strings.Replace(keeps, "m.content", "m.content | trim", 1)
	for _, c := range []struct{ template, text, want string }{
		{keeps, "one two", "one two"},
		{keeps, "one two ", "one two "},
		{keeps, "a list:\n\n", "a list:\n\n"},
		{keeps, "im", "im"},
		{trims, "one two ", "one two"},
		{trims, "one\n", "one"},
	} {
		tmpl, err := New(c.template, "", "")
		if err != nil {
			t.Fatal(err)
		}
		p, err := tmpl.Render(t.Context(), []Message{NewMessage("user", "u"), NewMessage("assistant", c.text)}, Options{Continue: true})
		if want := "<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n" + c.want; err != nil || p.Text != want {
			t.Errorf("%q: %q, %v, want %q", c.text, p.Text, err, want)
		}
	}
}
