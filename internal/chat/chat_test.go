package chat

import (
	"errors"
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

func render(t *testing.T, tmpl *Template, messages string) string {
	t.Helper()
	m, err := ParseMessages([]byte(messages))
	if err != nil {
		t.Fatal(err)
	}
	text, err := tmpl.Render(m, Options{GenerationPrompt: true})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestFallbackIsChatML(t *testing.T) {
	tmpl := load(t, "")
	got := render(t, tmpl, `[{"role":"user","content":"hi"}]`)
	if want := "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"; got != want || !tmpl.Fallback() {
		t.Errorf("got %q", got)
	}
}

func TestPartsAreJoinedForTemplatesOfStrings(t *testing.T) {
	got := render(t, load(t, "chatml"), `[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`)
	if !strings.Contains(got, "user\na\nb<|im_end|>") {
		t.Errorf("got %q", got)
	}
}

func TestStringsBecomePartsForTemplatesOfParts(t *testing.T) {
	tmpl, err := New(`{% for m in messages %}{{ m.role }}:{% for p in m.content %}{{ p.text }}{% endfor %};{% endfor %}`, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := render(t, tmpl, `[{"role":"user","content":"hello"},{"role":"assistant","content":[{"type":"text","text":"x"}]}]`); got != "user:hello;assistant:x;" {
		t.Errorf("got %q", got)
	}
}

func TestDeveloperIsSystemWhereTheTemplateKnowsNone(t *testing.T) {
	if got := render(t, load(t, ""), `[{"role":"developer","content":"d"},{"role":"user","content":"u"}]`); !strings.HasPrefix(got, "<|im_start|>system\nd") {
		t.Errorf("got %q", got)
	}
	tmpl, err := New(`{% for m in messages %}{{ m.role }} {% endfor %}{# developer #}`, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := render(t, tmpl, `[{"role":"developer","content":"d"}]`); got != "developer " {
		t.Errorf("got %q", got)
	}
}

func TestToolCallArgumentsBecomeAMapping(t *testing.T) {
	got := render(t, load(t, "thinking"), `[{"role":"user","content":"u"},{"role":"assistant","content":null,"tool_calls":[{"type":"function","function":{"name":"f","arguments":"{\"b\": 1.0, \"a\":[2]}"}}]},{"role":"tool","content":"r"}]`)
	if !strings.Contains(got, `"arguments": {"b": 1.0, "a": [2]}`) {
		t.Errorf("got %q", got)
	}
}

func TestExtraVariables(t *testing.T) {
	extra, err := ParseExtra([]byte(`{"enable_thinking": false}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := load(t, "thinking").Render([]Message{NewMessage("user", "u")}, Options{GenerationPrompt: true, Extra: extra})
	if err != nil || !strings.HasSuffix(got, "<think>\n\n</think>\n\n") {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range []string{`[]`, `{"messages": 1}`, `{"a":`} {
		if _, err := ParseExtra([]byte(bad)); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestRefusalsKeepTheTemplatesWords(t *testing.T) {
	m, err := ParseMessages([]byte(`[{"role":"assistant","content":"first"}]`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = load(t, "turns").Render(m, Options{})
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
	_, err = tmpl.Render([]Message{NewMessage("user", "x")}, Options{})
	if tmpl.Problem() == nil || !errors.Is(err, ErrRefused) {
		t.Errorf("got %v, problem %v", err, tmpl.Problem())
	}
}

func TestWrongMessages(t *testing.T) {
	for messages, field := range map[string]string{
		`{`:                                 "messages",
		`{}`:                                "messages",
		`[]`:                                "messages",
		`[1]`:                               "messages[0]",
		`[{"content":"x"}]`:                 "messages[0].role",
		`[{"role":7,"content":"x"}]`:        "messages[0].role",
		`[{"role":"king","content":""}]`:    "messages[0].role",
		`[{"role":"user"}]`:                 "messages[0].content",
		`[{"role":"user","content":null}]`:  "messages[0].content",
		`[{"role":"user","content":5}]`:     "messages[0].content",
		`[{"role":"user","content":["x"]}]`: "messages[0].content[0]",
		`[{"role":"user","content":[{"type":"image_url"}]}]`:                  "messages[0].content[0].type",
		`[{"role":"user","content":[{"type":"text","text":1}]}]`:              "messages[0].content[0].text",
		`[{"role":"user","content":"x"},{"role":"assistant","tool_calls":1}]`: "messages[1].tool_calls",
		`[{"role":"assistant","tool_calls":[1]}]`:                             "messages[0].tool_calls[0]",
		`[{"role":"assistant","tool_calls":[{}]}]`:                            "messages[0].tool_calls[0].function",
		`[{"role":"user","content":"x"}] []`:                                  "messages",
		"[" + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "]":     "messages",
	} {
		_, err := ParseMessages([]byte(messages))
		var f *FieldError
		if !errors.As(err, &f) || f.Field != field {
			t.Errorf("%.60s: got %v, want an error about %s", messages, err, field)
		}
	}
}
