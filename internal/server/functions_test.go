package server

import (
	"strings"
	"testing"
	"time"
)

// Functions are the older name of tools, and their answer has its older form.
func TestFunctions(t *testing.T) {
	const weather = `{"name":"weather","description":"d","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}`
	const ask = `{"messages":[{"role":"user","content":"hi"}],"max_tokens":300,"functions":[` + weather + `]`
	f := withTools(t, aCall+aCall+"\x00")
	v := f.post(t, "/v1/chat/completions", ask+`}`).get(t)
	m := at(t, v, "choices", 0, "message").(map[string]any)
	if at(t, m, "function_call", "name") != "weather" || at(t, m, "function_call", "arguments") != `{"city": "Köln"}` || m["tool_calls"] != nil || at(t, v, "choices", 0, "finish_reason") != "function_call" {
		t.Errorf("%v", v)
	}

	name, arguments, reason := "", "", ""
	for _, e := range decodeAll(t, events(t, f.post(t, "/v1/chat/completions", ask+`,"stream":true}`).body)) {
		choice := at(t, e, "choices", 0).(map[string]any)
		delta := choice["delta"].(map[string]any)
		if delta["tool_calls"] != nil {
			t.Errorf("%v", e)
		}
		if call, ok := delta["function_call"].(map[string]any); ok {
			if n, ok := call["name"].(string); ok {
				name += n
			}
			arguments += call["arguments"].(string)
		}
		if r, ok := choice["finish_reason"].(string); ok {
			reason = r
		}
	}
	if name != "weather" || arguments != `{"city": "Köln"}` || reason != "function_call" {
		t.Errorf("streamed: %s(%s), %s", name, arguments, reason)
	}

	// The prompt is that of the same request with tools.
	prompt := func(body string) any { return f.post(t, "/v1/chat/completions/render", body).get(t)["prompt"] }
	tools := strings.Replace(ask, `"functions":[`+weather+`]`, `"tools":[`+weatherTool+`]`, 1)
	if a, b := prompt(ask+`}`), prompt(tools+`}`); a != b || !strings.Contains(a.(string), "weather") {
		t.Errorf("%q, with tools %q", a, b)
	}
	named := withTools(t, "I look.\x00").post(t, "/v1/chat/completions", ask+`,"function_call":{"name":"weather"},"temperature":0}`).get(t)
	if at(t, named, "choices", 0, "message", "function_call", "name") != "weather" { // though the model wanted to say something
		t.Errorf("%v", named)
	}
	if a := prompt(ask + `,"function_call":"none"}`); strings.Contains(a.(string), "weather") {
		t.Errorf("none: %q", a)
	}
	// So is that of a conversation with an earlier call.
	const call = `{"name":"weather","arguments":"{\"city\":\"Bonn\"}"}`
	earlier := func(member string) any {
		return prompt(`{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,` + member + `},{"role":"function","name":"weather","content":"rain"}]}`)
	}
	if a, b := earlier(`"function_call":`+call), earlier(`"tool_calls":[{"id":"1","type":"function","function":`+call+`}]`); a != b || !strings.Contains(a.(string), "Bonn") || !strings.Contains(a.(string), "rain") {
		t.Errorf("%q, with tool_calls %q", a, b)
	}

	for body, want := range map[string]string{
		ask + `,"function_call":"maybe"}`:                                                  "function_call must be none, auto",
		ask + `,"function_call":{"name":"missing"}}`:                                       "none of the tools",
		ask + `,"tools":[` + weatherTool + `]}`:                                            "functions cannot be used together with tools",
		strings.Replace(ask, weather, `{}`, 1) + `}`:                                       "functions[0] must be an object with a name",
		strings.Replace(ask, weather, `1`, 1) + `}`:                                        "functions[0] must be an object with a name",
		strings.Replace(ask, `[`+weather+`]`, `1`, 1) + `}`:                                "functions must be an array",
		`{"messages":[{"role":"user","content":"hi"}],"function_call":{"name":"weather"}}`: "there are no functions",
	} {
		if a := f.post(t, "/v1/chat/completions", body); a.status != 400 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
}

// Rendering gives the tokens that a request would begin with, and runs nothing.
func TestRender(t *testing.T) {
	f := newFixture(t, "abc\x00")
	const messages = `"messages":[{"role":"user","content":"hi there"}]`
	v := f.post(t, "/v1/chat/completions/render", "{"+messages+"}").get(t)
	want := f.post(t, "/apply-template", "{"+messages+"}").get(t)["prompt"]
	ids := v["token_ids"].([]any)
	if v["prompt"] != want || v["model"] != "org/tiny" || v["request_id"] == "" {
		t.Errorf("%v, want %q", v, want)
	}
	used := f.post(t, "/v1/chat/completions", "{"+messages+"}").get(t)
	if n := at(t, used, "usage", "prompt_tokens"); n != float64(len(ids)) {
		t.Errorf("%d tokens, of which %v are used", len(ids), n)
	}
	steps := f.script.steps.Load()
	a := f.post(t, "/v1/completions/render", `{"prompt":["abc",""]}`)
	if a.status != 200 || !strings.HasPrefix(a.body, "[") || strings.Count(a.body, `"token_ids":[`) != 2 || !strings.Contains(a.body, `"prompt":"abc"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := f.post(t, "/v1/completions/render", `{"prompt":[]}`); a.status != 400 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := f.post(t, "/v1/chat/completions/render", `{"messages":[]}`); a.status != 400 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if f.script.steps.Load() != steps {
		t.Error("rendering runs the model")
	}
}

// A chat's stream, too, tells how far its prompt is.
func TestReturnProgressOfChats(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t, "abc\x00", func(_ *Config, e *engineConfig) { e.StepBudget = 64 })
		slow(10*time.Millisecond, f)
		body := `{"messages":[{"role":"user","content":"` + strings.Repeat("x", 300) + `"}],"stream":true,"return_progress":true,"stream_options":{"include_usage":true}}`
		text, total, news := "", 0.0, []float64{}
		for _, e := range decodeAll(t, events(t, f.post(t, "/v1/chat/completions", body).body)) {
			if p, ok := e["prompt_progress"].(map[string]any); ok {
				if text != "" || p["time_ms"].(float64) != 10*float64(len(news)) {
					t.Errorf("%v", e)
				}
				total, news = p["total"].(float64), append(news, p["processed"].(float64))
			}
			if list := e["choices"].([]any); len(list) > 0 {
				piece, _ := at(t, e, "choices", 0, "delta").(map[string]any)["content"].(string)
				text += piece
			}
		}
		if text != "abc" || len(news) < 4 || news[len(news)-1] != total {
			t.Errorf("%q, processed %v of %v", text, news, total)
		}
		for i := 1; i < len(news); i++ {
			if news[i] <= news[i-1] {
				t.Errorf("processed %v", news)
			}
		}
	})
}

// TestNullIsNoField: clients write out what they leave open as null.
func TestNullIsNoField(t *testing.T) {
	f := newFixture(t, "ok\x00")
	const functions = `"functions":[{"name":"weather","parameters":{"type":"object"}}]`
	for path, bodies := range map[string][]string{
		"/v1/chat/completions": {`{` + hello + `,"functions":null,"function_call":null}`, `{` + hello + `,` + functions + `,"tools":null,"tool_choice":null}`},
		"/v1/messages":         {`{"max_tokens":9,` + hello + `,"output_format":null,"output_config":{"format":{"type":"text"}}}`},
		"/tokenize":            {`{"content":"x","messages":null,"prompt":null}`},
	} {
		for _, body := range bodies {
			if a := f.post(t, path, body); a.status != 200 {
				t.Errorf("%s %s: %d %s", path, body, a.status, a.body)
			}
		}
	}
}
