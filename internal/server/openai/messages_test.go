package openai

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/chat"
)

func TestMessages(t *testing.T) {
	text := func(s ...string) (parts []chat.Part) {
		for _, s := range s {
			parts = append(parts, chat.Part{Kind: chat.Text, Text: s})
		}
		return parts
	}
	for messages, want := range map[string]chat.Message{
		`{"role":"user","content":"x","name":"n"}`:                                                  {Role: "user", Parts: text("x"), Name: "n"},
		`{"role":"user","content":null}`:                                                            {Role: "user"},
		`{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}`:         {Role: "user", Parts: text("a", "b")},
		`{"role":"tool","content":"x","tool_call_id":"c"}`:                                          {Role: "tool", Parts: text("x"), CallID: "c"},
		`{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]}`:                        {Role: "assistant", Parts: text("no")},
		`{"role":"assistant","content":"x","reasoning_content":"r"}`:                                {Role: "assistant", Parts: text("x"), Reasoning: "r"},
		`{"role":"assistant","content":"x","reasoning":"r","tool_calls":null}`:                      {Role: "assistant", Parts: text("x"), Reasoning: "r"},
		`{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]}`:   {Role: "assistant", Calls: []chat.Call{{ID: "c", Name: "f", Arguments: "{}"}}},
		`{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"b":1,"a":2.0}}}]}`: {Role: "assistant", Calls: []chat.Call{{Name: "f", Arguments: `{"b":1,"a":2.0}`}}},
	} {
		got, err := ParseMessages([]byte("[" + messages + "]"))
		if err != nil || !reflect.DeepEqual(got, []chat.Message{want}) {
			t.Errorf("%s: got %+v, %v", messages, got, err)
		}
	}
}

// TestFurtherFieldsReachTheTemplate: some templates know fields that the
// protocol does not.
func TestFurtherFieldsReachTheTemplate(t *testing.T) {
	tmpl, err := chat.New(`{% for m in messages %}{{ m.tool_plan.a }}{% endfor %}`, "", "")
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseMessages([]byte(`[{"role":"user","content":"x","tool_plan":{"a":"b"}}]`))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := tmpl.Render(t.Context(), m, chat.Options{}); err != nil || p.Text != "b" {
		t.Errorf("got %q, %v", p.Text, err)
	}
}

func TestWrongMessages(t *testing.T) {
	const content = "must be a string or an array of text parts"
	const role = "must be one of system, developer, user, assistant, tool, function"
	for messages, want := range map[string]string{
		`{`:                                  "messages is not valid JSON",
		`[{"role":"user","content":"x"}] []`: "messages is not valid JSON",
		`{}`:                                 "messages must be an array",
		`null`:                               "messages must be an array",
		`[]`:                                 "messages must not be empty",
		`[1]`:                                "messages[0] must be an object",
		`[{"content":"x"}]`:                  "messages[0].role " + role,
		`[{"role":7,"content":"x"}]`:         "messages[0].role must be a string",
		`[{"role":null,"content":"x"}]`:      "messages[0].role must be a string",
		`[{"role":"king","content":""}]`:     "messages[0].role " + role,
		`[{"Role":"user","content":""}]`:     "messages[0].role " + role,
		`[{"role":"user"}]`:                  "messages[0].content " + content,
		`[{"role":"assistant"}]`:             "messages[0].content " + content,
		`[{"role":"user","content":5}]`:      "messages[0].content " + content,
		`[{"role":"user","content":"a","content":"b"}]`:                                                    `messages[0] has the field "content" twice`,
		`[{"role":"user","content":["x"]}]`:                                                                "messages[0].content[0] must be an object",
		`[{"role":"user","content":[{"type":"image_url"}]}]`:                                               "messages[0].content[0].type must be text: this model takes no other input",
		`[{"role":"user","content":[{"text":"a"}]}]`:                                                       "messages[0].content[0].type must be text: this model takes no other input",
		`[{"role":"user","content":[{"type":"text","text":1}]}]`:                                           "messages[0].content[0].text must be a string",
		`[{"role":"user","content":[{"type":"text"}]}]`:                                                    "messages[0].content[0].text must be a string",
		`[{"role":"user","content":"x","name":1}]`:                                                         "messages[0].name must be a string",
		`[{"role":"user","content":"x"},{"role":"assistant","tool_calls":1}]`:                              "messages[1].tool_calls must be an array",
		`[{"role":"assistant","tool_calls":[1]}]`:                                                          "messages[0].tool_calls[0] must be an object",
		`[{"role":"assistant","tool_calls":[{}]}]`:                                                         "messages[0].tool_calls[0].function must be an object",
		`[{"role":"assistant","tool_calls":[{"function":{}}]}]`:                                            "messages[0].tool_calls[0].function.name must be a string that is not empty",
		`[{"role":"assistant","tool_calls":[{"type":"x"}]}]`:                                               "messages[0].tool_calls[0].type must be function",
		"[" + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "]":                                  "messages[0] must be an object",
		`[{"role":"user","content":"","x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "}]": "messages[0].x is not valid JSON: JSON nested too deeply at byte 201",
	} {
		_, err := ParseMessages([]byte(messages))
		var f *chat.FieldError
		if !errors.As(err, &f) || f.Error() != want {
			t.Errorf("%.60s: got %v\nwant %s", messages, err, want)
		}
	}
}
