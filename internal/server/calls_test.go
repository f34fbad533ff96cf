package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/engine"
)

const (
	bookSchema = `{"type":"object","properties":{"city":{"type":"string","maxLength":6},"days":{"type":"integer","minimum":1,"maximum":9},"unit":{"enum":["C","F"]}},"required":["city","days"],"additionalProperties":false}`
	noneSchema = `{"type":"object","properties":{},"additionalProperties":false}`
	twoTools   = `[{"type":"function","function":{"name":"book","parameters":` + bookSchema + `}},{"type":"function","function":{"name":"none","parameters":` + noneSchema + `}}]`
)

// eager is a fixture whose model writes every letter equally often, and knows tools.
func eager(t *testing.T) *fixture {
	t.Helper()
	f := serve(t, &flat{}, func(_ *Config, e *engine.Config) { e.Context, e.Blocks = 1024, 512 })
	f.model.Chat = newTemplate(t, toolTemplate)
	return f
}

// validCall checks a call that a model made at random.
func validCall(t *testing.T, name, arguments any) {
	t.Helper()
	schema := map[any]string{"book": bookSchema, "none": noneSchema}[name]
	if schema == "" {
		t.Fatalf("there is no tool %v", name)
	}
	text, isText := arguments.(string)
	if !isText {
		raw, err := json.Marshal(arguments)
		if err != nil {
			t.Fatal(err)
		}
		text = string(raw)
	}
	valid(t, schema, text)
}

// TestRequiredCalls: a model that knows nothing makes valid calls when it must, on
// every protocol, within its limit of tokens.
func TestRequiredCalls(t *testing.T) {
	f := eager(t)
	const user = `"messages":[{"role":"user","content":"x"}]`
	for seed := range 3 {
		v := f.post(t, "/v1/chat/completions", fmt.Sprintf(`{%s,"max_tokens":150,"seed":%d,"tools":%s,"tool_choice":"required"}`, user, seed, twoTools)).get(t)
		calls := at(t, v, "choices", 0, "message", "tool_calls").([]any)
		for i := range calls {
			validCall(t, at(t, calls[i], "function", "name"), at(t, calls[i], "function", "arguments"))
		}
		if at(t, v, "choices", 0, "finish_reason") != "tool_calls" {
			t.Errorf("%v", v)
		}
		v = f.post(t, "/v1/chat/completions", fmt.Sprintf(`{%s,"max_tokens":150,"seed":%d,"parallel_tool_calls":false,"tools":%s,"tool_choice":{"type":"function","function":{"name":"book"}}}`, user, seed, twoTools)).get(t)
		if calls := at(t, v, "choices", 0, "message", "tool_calls").([]any); len(calls) != 1 || at(t, calls[0], "function", "name") != "book" {
			t.Errorf("%v", v)
		}
		anthropicTools := `[{"name":"book","input_schema":` + bookSchema + `},{"name":"none","input_schema":` + noneSchema + `}]`
		v = f.post(t, "/v1/messages", `{`+user+`,"max_tokens":150,"tools":`+anthropicTools+`,"tool_choice":{"type":"any"}}`).get(t)
		used := 0
		for _, b := range v["content"].([]any) {
			if at(t, b, "type") == "tool_use" {
				validCall(t, at(t, b, "name"), at(t, b, "input"))
				used++
			}
		}
		if used == 0 || v["stop_reason"] != "tool_use" {
			t.Errorf("%v", v)
		}
		flatTools := `[{"type":"function","name":"book","parameters":` + bookSchema + `},{"type":"function","name":"none","parameters":` + noneSchema + `}]`
		v = f.post(t, "/v1/responses", `{"input":"x","max_output_tokens":150,"tools":`+flatTools+`,"tool_choice":"required"}`).get(t)
		used = 0
		for _, o := range v["output"].([]any) {
			if at(t, o, "type") == "function_call" {
				validCall(t, at(t, o, "name"), at(t, o, "arguments"))
				used++
			}
		}
		if used == 0 || v["status"] != "completed" {
			t.Errorf("%v", v)
		}
	}
}

// TestCallOrForm: with tools and a form, an answer is a call or of the form.
func TestCallOrForm(t *testing.T) {
	f := eager(t)
	forms, calls := 0, 0
	check := func(text any, made []any, name, arguments []any) {
		t.Helper()
		for _, c := range made {
			validCall(t, at(t, c, name...), at(t, c, arguments...))
		}
		if calls += len(made); len(made) > 0 {
			return
		}
		forms++
		valid(t, personSchema, text.(string))
	}
	for seed := range 8 {
		m := at(t, f.post(t, "/v1/chat/completions", fmt.Sprintf(`{`+hello+`,"max_tokens":150,"seed":%d,"tools":%s,"response_format":{"type":"json_schema","json_schema":{"name":"p","schema":%s}}}`, seed, twoTools, personSchema)).get(t), "choices", 0, "message")
		made, _ := m.(map[string]any)["tool_calls"].([]any)
		check(m.(map[string]any)["content"], made, []any{"function", "name"}, []any{"function", "arguments"})
		m = at(t, f.post(t, "/api/chat", fmt.Sprintf(`{"model":"tiny","stream":false,"messages":[{"role":"user","content":"x"}],"options":{"num_predict":150,"seed":%d},"tools":%s,"format":%s}`, seed, twoTools, personSchema)).get(t), "message")
		made, _ = m.(map[string]any)["tool_calls"].([]any)
		check(m.(map[string]any)["content"], made, []any{"function", "name"}, []any{"function", "arguments"})
	}
	if forms == 0 || calls == 0 {
		t.Errorf("%d forms and %d calls", forms, calls)
	}
}

// TestCallsThatBegin: a model that begins a call with a tool or an argument that
// does not exist ends with one that does.
func TestCallsThatBegin(t *testing.T) {
	for text, want := range map[string]string{
		"Sure.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": 5}}\n</tool_call>\x00":     "weather",
		"Sure.\n<tool_call>\n{\"name\": \"whether\", \"arguments\": {\"city\": \"a\"}}\n</tool_call>\x00": "weather",
	} {
		f := withTools(t, text, func(_ *Config, e *engine.Config) { e.Context, e.Blocks = 1024, 512 })
		strict := strings.Replace(weatherTool, `"string"}}`, `"string","maxLength":4}},"additionalProperties":false`, 1)
		m, reason := whole(t, f, `{"messages":[{"role":"user","content":"hi"}],"max_tokens":300,"temperature":0,"parallel_tool_calls":false,"tools":[`+strict+`]}`)
		if len(m.ToolCalls) != 1 || m.ToolCalls[0].Function.Name != want || *m.Content != "Sure." || reason != "tool_calls" {
			t.Fatalf("%q: %+v, %s", text, m, reason)
		}
		valid(t, `{"type":"object","properties":{"city":{"type":"string","maxLength":4}},"additionalProperties":false}`, m.ToolCalls[0].Function.Arguments)
	}
}

// TestToolsThatCannotBeHeld: a schema that can't be served exactly is a warning, or
// with strict an error that names tool, keyword and place.
func TestToolsThatCannotBeHeld(t *testing.T) {
	f := withTools(t, bonn+"\x00")
	tool := strings.Replace(weatherTool, `{"type":"string"}`, `{"type":"string","pattern":"(a)\\1"}`, 1)
	ask := func(tool string) answer {
		return f.post(t, "/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"max_tokens":200,"tools":[`+tool+`]}`)
	}
	a := ask(tool)
	if w := a.header.Get("X-Penstock-Warning"); a.status != 200 || !strings.Contains(w, "tool weather") || !strings.Contains(w, "pattern") || !strings.Contains(a.body, `Bonn`) {
		t.Errorf("%d, %q: %s", a.status, w, a.body)
	}
	a = ask(strings.Replace(tool, `"name"`, `"strict":true,"name"`, 1))
	for _, want := range []string{"tools[0]", "weather", "pattern", "/properties/city"} {
		if a.status != 400 || !strings.Contains(a.body, want) {
			t.Errorf("%d, no %s: %s", a.status, want, a.body)
		}
	}
	if a := ask(weatherTool); a.header.Get("X-Penstock-Warning") != "" {
		t.Errorf("%v", a.header)
	}
	// What is kept compiled still warns.
	if a := ask(tool); a.header.Get("X-Penstock-Warning") == "" {
		t.Error("no warning the second time")
	}
}

// TestThinkingThenForm: a model may think before it answers in a form, but not for
// longer than it was given.
func TestThinkingThenForm(t *testing.T) {
	f := withTools(t, "<think>\nso "+strings.Repeat("so ", 40)+"</think>\n\n{\"a\": 1}\x00")
	m, reason := whole(t, f, `{"messages":[{"role":"user","content":"hi"}],"max_tokens":200,"response_format":{"type":"json_object"}}`)
	if !strings.HasPrefix(m.Reasoning, "so so") || *m.Content != `{"a": 1}` || reason != "stop" {
		t.Errorf("%+v, %s", m, reason)
	}
	v := f.post(t, "/v1/messages", `{"messages":[{"role":"user","content":"hi"}],"max_tokens":200,"thinking":{"type":"enabled","budget_tokens":8},"output_config":{"format":{"type":"json_schema","schema":`+personSchema+`}}}`).get(t)
	thought, _ := at(t, v, "content", 0, "thinking").(string)
	if len(thought) > 8 || thought == "" {
		t.Errorf("%v", v)
	}
	valid(t, personSchema, at(t, v, "content", 1, "text").(string))
}

// TestThoughts: requests of vLLM's and llama-server's clients say where thoughts go and
// how long they may be.
func TestThoughts(t *testing.T) {
	thought := strings.Repeat("so ", 10)
	f := withTools(t, "<think>\n"+thought+"\n</think>\n\nyes\x00")
	const ask = `{"messages":[{"role":"user","content":"hi"}],"max_tokens":200`
	for fields, ok := range map[string]func(text, reasoning string) bool{
		``:                              func(text, reasoning string) bool { return text == "yes" && len(reasoning) >= 29 },
		`,"include_reasoning":true`:     func(text, reasoning string) bool { return text == "yes" && len(reasoning) >= 29 },
		`,"include_reasoning":false`:    func(text, reasoning string) bool { return text == "yes" && reasoning == "" },
		`,"reasoning_format":"none"`:    func(text, reasoning string) bool { return strings.HasPrefix(text, "<think>\nso so") && reasoning == "" },
		`,"reasoning_format":"auto"`:    func(text, reasoning string) bool { return text == "yes" && len(reasoning) >= 29 },
		`,"thinking_budget_tokens":8`:   func(_, reasoning string) bool { return reasoning != "" && len(reasoning) <= 8 },
		`,"thinking_token_budget":8`:    func(_, reasoning string) bool { return reasoning != "" && len(reasoning) <= 8 },
		`,"thinking_token_budget":0`:    func(_, reasoning string) bool { return len(reasoning) <= 1 },
		`,"thinking_token_budget":-1`:   func(text, reasoning string) bool { return text == "yes" && len(reasoning) >= 29 },
		`,"thinking_token_budget":null`: func(text, reasoning string) bool { return text == "yes" && len(reasoning) >= 29 },
		`,"thinking_token_budget":8,"reasoning_format":"none"`: func(text, reasoning string) bool {
			return reasoning == "" && strings.Index(text, "</think>") > 0 && strings.Index(text, "</think>") < 20
		},
	} {
		m, _ := whole(t, f, ask+fields+`}`)
		if !ok(*m.Content, m.Reasoning) {
			t.Errorf("%s: %q after %q", fields, *m.Content, m.Reasoning)
		}
		if m, _, _ := collect(t, f, ask+fields+`,"stream":true}`); !ok(*m.Content, m.Reasoning) {
			t.Errorf("%s, streamed: %q after %q", fields, *m.Content, m.Reasoning)
		}
	}
	for fields, want := range map[string]string{
		`,"reasoning_format":"deepseek-legacy"`: "reasoning_format must be none, auto or deepseek",
		`,"thinking_token_budget":-2`:           "thinking_token_budget must be at least -1",
		`,"include_reasoning":"no"`:             "include_reasoning must be true or false, not a string",
	} {
		if a := f.post(t, "/v1/chat/completions", ask+fields+`}`); a.status != 400 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %s", fields, a.status, a.body)
		}
	}
}

// TestEndsThatArePutOff: answers that should not end do so where nothing else may
// follow.
func TestEndsThatArePutOff(t *testing.T) {
	f := eager(t)
	for _, c := range []struct{ fields, want string }{
		{`"guided_choice":["yes"],"ignore_eos":true`, "yes"},
		{`"guided_choice":["yes","yesterday"],"min_tokens":5`, "yesterday"},
		{`"guided_regex":"a{2,40}","ignore_eos":true`, strings.Repeat("a", 40)},
	} {
		v := f.post(t, "/v1/completions", `{"prompt":"x","max_tokens":60,`+c.fields+`}`).get(t)
		if at(t, v, "choices", 0, "text") != c.want || at(t, v, "choices", 0, "finish_reason") != "stop" {
			t.Errorf("%s: %v", c.fields, v)
		}
	}
	v := f.post(t, "/v1/chat/completions", `{`+hello+`,"max_tokens":60,"ignore_eos":true,"tools":`+twoTools+`}`).get(t)
	if at(t, v, "usage", "completion_tokens") != 60.0 {
		t.Errorf("%v", v)
	}
}

// TestToolsThatTheTemplateDoesNotShow: a model that is not told of its tools is refused
// by Ollama's route, as Ollama does, and warned of by the others.
func TestToolsThatTheTemplateDoesNotShow(t *testing.T) {
	f := newFixture(t, "ok\x00")
	a := f.post(t, "/api/chat", `{"model":"tiny","stream":false,`+hello+`,"tools":[`+weatherTool+`]}`)
	if a.status != 400 || !strings.Contains(a.body, `does not support tools`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := f.post(t, "/api/chat", `{"model":"tiny","stream":false,`+hello+`,"tools":[]}`); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for path, body := range map[string]string{
		"/v1/chat/completions": `{` + hello + `,"tools":[` + weatherTool + `]}`,
		"/v1/messages":         `{"max_tokens":9,` + hello + `,"tools":[{"name":"weather","input_schema":{"type":"object"}}]}`,
		"/v1/responses":        `{"input":"hi","tools":[{"type":"function","name":"weather","parameters":{"type":"object"}}]}`,
	} {
		a := f.post(t, path, body)
		if w := a.header.Get("X-Penstock-Warning"); a.status != 200 || !strings.Contains(w, "not told of the tools") {
			t.Errorf("%s: %d %q %s", path, a.status, w, a.body)
		}
	}
	a = f.post(t, "/v1/chat/completions", `{`+hello+`,"tool_choice":"none","tools":[`+weatherTool+`]}`)
	if w := a.header.Get("X-Penstock-Warning"); w != "" {
		t.Errorf("a model that may not call any: %q", w)
	}
}

// TestBudgetOfAModelThatCannotThink: agents send a budget to every model. It is not an
// error, and not passed over in silence.
func TestBudgetOfAModelThatCannotThink(t *testing.T) {
	f := newFixture(t, "ok\x00")
	for body, want := range map[string]string{
		`{"max_tokens":9,` + hello + `,"thinking":{"type":"enabled","budget_tokens":1024}}`: "cannot think",
		`{"max_tokens":9,` + hello + `,"thinking":{"type":"disabled"}}`:                     "",
	} {
		a := f.post(t, "/v1/messages", body)
		if w := a.header.Get("X-Penstock-Warning"); a.status != 200 || !strings.Contains(w, want) || want == "" && w != "" {
			t.Errorf("%s: %d, warning %q, want %q", body, a.status, w, want)
		}
	}
}

// TestFreeTextThatIsCut: a text that the limit of tokens cuts says so on every protocol,
// with tools as without.
func TestFreeTextThatIsCut(t *testing.T) {
	f := withTools(t, "a long story without an end")
	const user = `"temperature":0,"messages":[{"role":"user","content":"hi"}]`
	anthropicTools := `[{"name":"book","input_schema":` + bookSchema + `}]`
	flatTools := `[{"type":"function","name":"book","parameters":` + bookSchema + `}]`
	for _, c := range []struct {
		path, body, want string
		reason, text     []any
	}{
		{"/v1/chat/completions", `{` + user + `,"max_tokens":9,"tools":` + twoTools + `}`, "length",
			[]any{"choices", 0, "finish_reason"}, []any{"choices", 0, "message", "content"}},
		{"/v1/messages", `{` + user + `,"max_tokens":9,"tools":` + anthropicTools + `}`, "max_tokens",
			[]any{"stop_reason"}, []any{"content", 0, "text"}},
		{"/v1/responses", `{"temperature":0,"input":"hi","max_output_tokens":9,"tools":` + flatTools + `}`, "incomplete",
			[]any{"status"}, []any{"output", 0, "content", 0, "text"}},
		{"/api/chat", `{"model":"tiny","stream":false,` + user + `,"options":{"temperature":0,"num_predict":9},"tools":` + twoTools + `}`, "length",
			[]any{"done_reason"}, []any{"message", "content"}},
	} {
		v := f.post(t, c.path, c.body).get(t)
		if at(t, v, c.reason...) != c.want || at(t, v, c.text...) != "a long st" {
			t.Errorf("%s: %v", c.path, v)
		}
	}
}
