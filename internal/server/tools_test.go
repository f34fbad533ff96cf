package server

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/chat"
)

// toolTemplate shows tools and calls as Qwen3's template does, and marks
// reasoning.
const toolTemplate = `{% if tools %}{% for tool in tools %}{{ tool | tojson }}{% endfor %}{% endif %}` +
	`{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}` +
	`{% for c in m.tool_calls or [] %}<tool_call>
{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`

const weatherTool = `{"type":"function","function":{"name":"weather","description":"d","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}`

// withTools is a fixture whose model knows tools.
func withTools(t *testing.T, text string, options ...option) *fixture {
	t.Helper()
	f := newFixture(t, text, options...)
	f.model.Chat = newTemplate(t, toolTemplate)
	return f
}

func newTemplate(t *testing.T, source string) *chat.Template {
	t.Helper()
	tmpl, err := chat.New(source, "", "")
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

const aCall = "<think>\nhm\n</think>\n\nI look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Köln\"}}\n</tool_call>"

// collect puts the events of a chat stream together.
func collect(t *testing.T, f *fixture, body string) (m api.ChatMessage, reason string, first []api.ToolCallDelta) {
	t.Helper()
	a := f.post(t, "/v1/chat/completions", body)
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	text := ""
	for _, e := range events(t, string(a.body)) {
		if e == "[DONE]" {
			break
		}
		var chunk api.ChatChunk
		if err := json.Unmarshal([]byte(e), &chunk); err != nil {
			t.Fatal(err)
		}
		for _, c := range chunk.Choices {
			if c.Delta.Content != nil {
				text += *c.Delta.Content
			}
			m.Reasoning += c.Delta.Reasoning
			for _, d := range c.Delta.ToolCalls {
				if d.ID != "" {
					first = append(first, d)
					m.ToolCalls = append(m.ToolCalls, d.ToolCall)
					continue
				}
				m.ToolCalls[d.Index].Function.Arguments += d.Function.Arguments
			}
			if c.FinishReason != nil {
				reason = *c.FinishReason
			}
		}
	}
	m.Content = &text
	return m, reason, first
}

func whole(t *testing.T, f *fixture, body string) (api.ChatMessage, string) {
	t.Helper()
	a := f.post(t, "/v1/chat/completions", body)
	var c api.ChatCompletion
	if err := json.Unmarshal([]byte(a.body), &c); err != nil || a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	return c.Choices[0].Message, *c.Choices[0].FinishReason
}

func TestToolCalls(t *testing.T) {
	const ask = `{"messages":[{"role":"user","content":"hi"}],"max_tokens":300,"tools":[` + weatherTool + `]`
	f := withTools(t, aCall+"\x00")
	streamed, reason, first := collect(t, f, ask+`,"stream":true}`)
	m, wholeReason := whole(t, f, ask+`}`)
	for name, got := range map[string]api.ChatMessage{"streamed": streamed, "whole": m} {
		if got.Content == nil || *got.Content != "I look." || got.Reasoning != "hm" || len(got.ToolCalls) != 1 {
			t.Fatalf("%s: %+v", name, got)
		}
		call := got.ToolCalls[0]
		if call.ID == "" || call.Type != "function" || call.Function.Name != "weather" || call.Function.Arguments != `{"city": "Köln"}` {
			t.Errorf("%s: %+v", name, call)
		}
	}
	if reason != "tool_calls" || wholeReason != "tool_calls" || len(first) != 1 {
		t.Errorf("finish reasons %s and %s, %d beginnings", reason, wholeReason, len(first))
	}
}

const bonn = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Bonn\"}}\n</tool_call>"

func TestToolChoice(t *testing.T) {
	const ask = `{"messages":[{"role":"user","content":"hi"}],"max_tokens":300,"tools":[` + weatherTool + `]`
	t.Run("none", func(t *testing.T) {
		m, reason := whole(t, withTools(t, aCall+"\x00"), ask+`,"tool_choice":"none"}`)
		if len(m.ToolCalls) != 0 || reason != "stop" || !strings.Contains(*m.Content, "<tool_call>") {
			t.Errorf("%+v, %s", m, reason)
		}
	})
	for name, choice := range map[string]string{"required": `"required"`, "named": `{"type":"function","function":{"name":"weather"}}`} {
		t.Run(name, func(t *testing.T) {
			m, reason := whole(t, withTools(t, bonn+"\x00"), ask+`,"tool_choice":`+choice+`}`)
			if len(m.ToolCalls) != 1 || m.ToolCalls[0].Function.Arguments != `{"city": "Bonn"}` || m.Content != nil || reason != "tool_calls" {
				t.Errorf("%+v, %s", m, reason)
			}
		})
	}
	t.Run("allowed tools", func(t *testing.T) {
		other := strings.Replace(weatherTool, "weather", "other", 1)
		ask := strings.Replace(ask, weatherTool, other+","+weatherTool, 1)
		const choice = `{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"weather"}}]}}`
		m, reason := whole(t, withTools(t, bonn+"\x00"), ask+`,"tool_choice":`+choice+`}`)
		if len(m.ToolCalls) != 1 || m.ToolCalls[0].Function.Name != "weather" || reason != "tool_calls" {
			t.Errorf("%+v, %s", m, reason)
		}
	})
	t.Run("one call", func(t *testing.T) {
		f := withTools(t, aCall+aCall+"\x00")
		if m, _ := whole(t, f, ask+`}`); len(m.ToolCalls) != 2 {
			t.Errorf("%+v", m)
		}
		if m, reason := whole(t, f, ask+`,"parallel_tool_calls":false}`); len(m.ToolCalls) != 1 || reason != "tool_calls" {
			t.Errorf("%+v, %s", m, reason)
		}
	})
	for body, want := range map[string]string{
		`,"tool_choice":"maybe"}`: "tool_choice must be",
		`,"tool_choice":{"type":"function","function":{"name":"missing"}}}`:      "none of the tools",
		`,"tools":[{"type":"web_search"}]}`:                                      "tools[0].type must be function",
		`,"tools":[` + weatherTool + `,` + weatherTool + `]}`:                    "two tools called",
		`,"tools":[],"tool_choice":"required"}`:                                  "there are no tools",
		`,"tools":[{"type":"function","function":{"name":"f","parameters":1}}]}`: "parameters must be a JSON Schema",
	} {
		f := withTools(t, aCall)
		a := f.post(t, "/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}]`+body)
		if strings.Contains(body, "missing") || strings.Contains(body, "maybe") {
			a = f.post(t, "/v1/chat/completions", ask+body)
		}
		if a.status != 400 || !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
}

// TestContinue has the assistant's last message continued.
func TestContinue(t *testing.T) {
	f := withTools(t, "def\x00")
	m, _ := whole(t, f, `{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"abc"}],"continue_final_message":true,"max_tokens":9}`)
	if *m.Content != "def" {
		t.Errorf("%+v", m)
	}
	a := f.post(t, "/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"continue_final_message":true}`)
	if a.status != 400 || !strings.Contains(string(a.body), "message of the assistant") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestTokensBeforeAStop: the tokens of an answer are all in it, also those that
// came when there was no text to give out, as the first letters of a stop string.
func TestTokensBeforeAStop(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t, "Hi STOP more")
		slow(time.Millisecond, f)
		for range 5 {
			v := f.post(t, "/completion", `{"prompt":"abc","n_predict":50,"stop":["STOP"],"return_tokens":true}`).get(t)
			if n := len(v["tokens"].([]any)); float64(n) != v["tokens_predicted"] {
				t.Fatalf("%d tokens, %v predicted", n, v["tokens_predicted"])
			}
		}
	})
}
