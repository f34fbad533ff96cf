package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/engine"
)

const responsesTool = `{"type":"function","name":"weather","description":"d","parameters":{"type":"object","properties":{"city":{"type":"string"}}},"strict":false}`

// required are the fields that the Open Responses schema requires of a response.
var required = strings.Fields(`id object created_at completed_at status incomplete_details model previous_response_id instructions output error tools
	tool_choice truncation parallel_tool_calls text top_p presence_penalty frequency_penalty top_logprobs temperature reasoning user usage
	max_output_tokens max_tool_calls store background service_tier metadata safety_identifier prompt_cache_key`)

func checkResponse(t *testing.T, v map[string]any) {
	t.Helper()
	for _, field := range required {
		if _, ok := v[field]; !ok {
			t.Errorf("the response has no %s", field)
		}
	}
	if v["object"] != "response" {
		t.Errorf("%v", v)
	}
}

func TestResponse(t *testing.T) {
	f := withTools(t, aCall+"\x00")
	v := f.post(t, "/v1/responses", `{"model":"tiny","input":"hi","instructions":"be brief","max_output_tokens":300,"tools":[`+responsesTool+`],"include":["reasoning.encrypted_content"]}`).get(t)
	checkResponse(t, v)
	if v["temperature"] != 0.8 || v["top_p"] != 0.95 { // not the nearest float32
		t.Errorf("temperature %v, top_p %v", v["temperature"], v["top_p"])
	}
	if v["status"] != "completed" || v["completed_at"] == nil || v["incomplete_details"] != nil {
		t.Errorf("%v", v)
	}
	for i, want := range []string{"reasoning", "message", "function_call"} {
		if got := at(t, v, "output", i, "type"); got != want {
			t.Fatalf("item %d is %v, want %s", i, got, want)
		}
	}
	if at(t, v, "output", 0, "content", 0, "text") != "hm" || at(t, v, "output", 0, "encrypted_content") == "" ||
		at(t, v, "output", 1, "content", 0, "text") != "I look." || at(t, v, "output", 2, "arguments") != `{"city": "Köln"}` || at(t, v, "output", 2, "call_id") == "" {
		t.Errorf("%v", v["output"])
	}
	if u := at(t, v, "usage"); at(t, u, "total_tokens").(float64) != at(t, u, "input_tokens").(float64)+at(t, u, "output_tokens").(float64) ||
		at(t, u, "output_tokens_details", "reasoning_tokens").(float64) <= 0 {
		t.Errorf("%v", u)
	}
}

// TestResponseEchoesNumbers: the response shows 0.7 as 0.7.
func TestResponseEchoesNumbers(t *testing.T) {
	f := newFixture(t, "ok\x00")
	v := f.post(t, "/v1/responses", `{"input":"hi","temperature":0.7,"top_p":0.9,"presence_penalty":0.1,"frequency_penalty":0.3}`).get(t)
	for field, want := range map[string]float64{"temperature": 0.7, "top_p": 0.9, "presence_penalty": 0.1, "frequency_penalty": 0.3} {
		if v[field] != want {
			t.Errorf("%s is %v, want %v", field, v[field], want)
		}
	}
}

func TestResponseStream(t *testing.T) {
	f := withTools(t, aCall+"\x00")
	a := f.post(t, "/v1/responses", `{"input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}],"stream":true,"tools":[`+responsesTool+`]}`)
	names, data := named(t, a.body)
	want := strings.Fields(`response.created response.in_progress
		response.output_item.added response.content_part.added response.reasoning_text.delta response.reasoning_text.done response.content_part.done response.output_item.done
		response.output_item.added response.content_part.added response.output_text.delta response.output_text.done response.content_part.done response.output_item.done
		response.output_item.added response.function_call_arguments.delta response.function_call_arguments.done response.output_item.done response.completed`)
	if got := slices.Compact(slices.Clone(names)); !slices.Equal(got, want) {
		t.Fatalf("events %v, want %v", got, want)
	}
	deltas, items := map[string]string{}, []any{}
	for i, d := range data {
		if d["sequence_number"] != float64(i) {
			t.Errorf("event %d has the sequence number %v", i, d["sequence_number"])
		}
		if s, ok := d["delta"].(string); ok {
			deltas[names[i]] += s
		}
		if index, ok := d["output_index"]; ok && index != float64(len(items)) {
			t.Errorf("%s has the output index %v, want %d", names[i], index, len(items))
		}
		if names[i] == "response.output_item.done" {
			items = append(items, d["item"])
		}
	}
	if deltas["response.output_text.delta"] != "I look." || deltas["response.reasoning_text.delta"] != "hm" || deltas["response.function_call_arguments.delta"] != `{"city": "Köln"}` {
		t.Errorf("%q", deltas)
	}
	last := data[len(data)-1]["response"].(map[string]any)
	checkResponse(t, last)
	one, _ := json.Marshal(items)
	two, _ := json.Marshal(last["output"])
	if string(one) != string(two) {
		t.Errorf("items %s\noutput %s", one, two)
	}
	for _, i := range []int{0, 1} {
		checkResponse(t, data[i]["response"].(map[string]any))
		if at(t, data[i], "response", "status") != "in_progress" {
			t.Errorf("%v", data[i])
		}
	}
}

// TestResponsesAreKept: the next request refers to the last, which can be read
// and forgotten, but not by others.
func TestResponsesAreKept(t *testing.T) {
	f := withTools(t, "blue", func(_ *Config, e *engine.Config) { e.PrefixCache = true })
	ask := func(fields string) map[string]any {
		t.Helper()
		return f.post(t, "/v1/responses", `{"max_output_tokens":4,`+fields+`}`).get(t)
	}
	first := ask(`"input":"` + strings.Repeat("what colour is it? ", 5) + `"`)
	id := first["id"].(string)
	if first["status"] != "incomplete" || at(t, first, "incomplete_details", "reason") != "max_output_tokens" {
		t.Errorf("%v", first)
	}
	second := ask(`"input":"and now?","previous_response_id":"` + id + `"`)
	if second["previous_response_id"] != id || at(t, second, "usage", "input_tokens").(float64) < at(t, first, "usage", "input_tokens").(float64)+10 ||
		at(t, second, "usage", "input_tokens_details", "cached_tokens").(float64) < 64 {
		t.Errorf("%v", second["usage"])
	}
	if got := f.do(t, "GET", "/v1/responses/"+id, "").get(t); got["id"] != id || at(t, got, "output", 0, "content", 0, "text") != "blue" {
		t.Errorf("%v", got)
	}
	if a := f.do(t, "DELETE", "/v1/responses/"+id, ""); a.status != 200 || a.get(t)["deleted"] != true {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := f.do(t, "GET", "/v1/responses/"+id, ""); a.status != 404 {
		t.Errorf("%d %s", a.status, a.body)
	}
	a := f.post(t, "/v1/responses", `{"input":"x","previous_response_id":"`+id+`"}`)
	if a.status != 400 || at(t, a.get(t), "error", "code") != "previous_response_not_found" {
		t.Errorf("%d %s", a.status, a.body)
	}
	unkept := ask(`"input":"x","store":false`)["id"].(string)
	if a := f.do(t, "GET", "/v1/responses/"+unkept, ""); a.status != 404 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestModelsHaveACatalogue: Codex cannot read a list of models without the field.
func TestModelsHaveACatalogue(t *testing.T) {
	v := newFixture(t, "ok\x00").do(t, "GET", "/v1/models?client_version=0.150.0", "").get(t)
	if list, ok := v["models"].([]any); !ok || len(list) != 0 || at(t, v, "data", 0, "id") != "org/tiny" {
		t.Errorf("%v", v)
	}
}

// TestResponsesAgent has what Codex sends: tools that only OpenAI runs, a custom
// tool with a grammar, developer messages after the user's, and items of every kind.
func TestResponsesAgent(t *testing.T) {
	f := withTools(t, "<tool_call>\n{\"name\": \"apply_patch\", \"arguments\": {\"input\": \"*** Begin\\n+x\"}}\n</tool_call>\x00", func(_ *Config, e *engine.Config) { e.Context, e.Blocks = 4096, 1024 })
	const tools = `[` + responsesTool + `,{"type":"custom","name":"apply_patch","description":"d","format":{"type":"grammar","syntax":"lark","definition":"start: x"}},` +
		`{"type":"web_search"},{"type":"image_generation"},{"type":"namespace","name":"n","tools":[]},{"type":"tool_search"}]`
	const input = `[{"type":"message","role":"developer","content":[{"type":"input_text","text":"d"}]},{"type":"message","role":"user","content":"u"},{"role":"developer","content":"late"},` +
		`{"type":"reasoning","summary":[],"content":[],"encrypted_content":"AAAA"},{"type":"reasoning","summary":[{"type":"summary_text","text":"s"}],"content":null},` +
		`{"type":"function_call","call_id":"c1","name":"weather","arguments":"{\"city\":\"Bonn\"}"},{"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"rain"}]},` +
		`{"type":"custom_tool_call","call_id":"c2","name":"apply_patch","input":"+y"},{"type":"custom_tool_call_output","call_id":"c2","output":"ok"},{"type":"web_search_call","id":"w","status":"completed"}]`
	fields := `"input":` + input + `,"tools":` + tools + `,"tool_choice":"auto","parallel_tool_calls":false,"reasoning":{"effort":"medium","summary":"auto"},"store":false,"include":["reasoning.encrypted_content"],"prompt_cache_key":"k"`
	v := f.post(t, "/v1/responses", `{`+fields+`}`).get(t)
	if at(t, v, "output", 0, "type") != "custom_tool_call" || at(t, v, "output", 0, "input") != "*** Begin\n+x" {
		t.Errorf("%v", v)
	}
	names, data := named(t, f.post(t, "/v1/responses", `{"stream":true,`+fields+`}`).body)
	at := slices.Index(names, "response.custom_tool_call_input.done")
	if at < 0 || data[at]["input"] != "*** Begin\n+x" || names[at-1] != "response.custom_tool_call_input.delta" {
		t.Errorf("%v", names)
	}
	for _, probe := range []string{`{"input":"","max_output_tokens":1}`, `{"input":[],"max_output_tokens":1,"tools":[],"tool_choice":"auto"}`, `{"max_output_tokens":1}`} {
		if a := f.post(t, "/v1/responses", probe); a.status != 200 {
			t.Errorf("%s: %d %s", probe, a.status, a.body)
		}
	}
	n := f.post(t, "/v1/responses/input_tokens", `{`+fields+`}`).get(t)
	if n["object"] != "response.input_tokens" || n["input_tokens"].(float64) < 50 {
		t.Errorf("%v", n)
	}
}

func TestResponsesToolChoice(t *testing.T) {
	f := withTools(t, bonn+"\x00")
	for _, choice := range []string{`"required"`, `{"type":"function","name":"weather"}`, `{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"weather"}]}`} {
		v := f.post(t, "/v1/responses", `{"input":"hi","tools":[`+responsesTool+`],"tool_choice":`+choice+`}`).get(t)
		if at(t, v, "output", 0, "type") != "function_call" || at(t, v, "output", 0, "arguments") != `{"city": "Bonn"}` {
			t.Errorf("%s: %v", choice, v)
		}
	}
}

// TestResponsesAreNotStreamedAgain: a client that asks for the events of a response would
// wait for them in vain.
func TestResponsesAreNotStreamedAgain(t *testing.T) {
	f := newFixture(t, "ok")
	id := at(t, f.post(t, "/v1/responses", `{"input":"hi","max_output_tokens":1}`).get(t), "id").(string)
	for query, status := range map[string]int{"": 200, "?stream=false": 200, "?stream=true": 400, "?stream=1": 400, "?stream=x": 400} {
		if a := f.do(t, "GET", "/v1/responses/"+id+query, ""); a.status != status || status == 400 && !strings.Contains(a.body, `"param":"stream"`) {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
}

func TestResponsesErrors(t *testing.T) {
	f := withTools(t, "ok\x00")
	for body, want := range map[string]string{
		`{"input":5}`: "input must be a string or an array",
		`{"input":[{"role":"tool","content":"x"}]}`:                                      "input[0].role",
		`{"input":[{"role":"user","content":[{"type":"input_image","image_url":"x"}]}]}`: "input[0].content[0].type is \\\"input_image\\\"",
		`{"input":[{"type":"function_call_output","call_id":"zz","output":"x"}]}`:        "no earlier call",
		`{"input":[{"type":"item_reference","id":"x"}]}`:                                 "previous_response_id",
		`{"input":[{"type":"strange"}]}`:                                                 "does not know",
		`{"input":"x","text":{"format":{"type":"xml"}}}`:                                 "text.format.type must be",
		`{"input":"x","truncation":"auto"}`:                                              "truncation is not supported",
		`{"input":"x","background":true}`:                                                "background is not supported",
		`{"input":"x","reasoning":{"effort":"huge"}}`:                                    "reasoning.effort must be one of",
		`{"input":"x","include":["message.output_text.logprobs"]}`:                       "logprobs",
		`{"input":"x","include":["weather"]}`:                                            "include has",
		`{"input":"x","max_output_tokens":0}`:                                            "max_output_tokens must be at least 1",
		`{"input":"x","tools":[` + responsesTool + `],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"image_generation"},{"type":"function","name":"wether"}]}}`: `tool_choice allows \"wether\"`,
		`{"input":"x","tool_choice":"perhaps"}`:                                   "tool_choice must be",
		`{"input":"x","tools":[{"type":"function"}]}`:                             "tools[0].name",
		`{"input":"x","tools":[{"type":"function","name":"f","parameters":"x"}]}`: "tools[0].parameters must be a JSON Schema, which is an object",
		`{"input":"x","previous_response_id":"resp_none"}`:                        "there is no response",
	} {
		a := f.post(t, "/v1/responses", body)
		if a.status != 400 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
}

// TestResponsesStore: what is kept is bounded by number.
func TestResponsesStore(t *testing.T) {
	f := withTools(t, "ok\x00")
	var ids []string
	for i := range maxResponses + 2 {
		ids = append(ids, f.post(t, "/v1/responses", fmt.Sprintf(`{"input":"%d","max_output_tokens":1}`, i)).get(t)["id"].(string))
	}
	for i, want := range map[int]int{0: 404, 1: 404, 2: 200, maxResponses + 1: 200} {
		if a := f.do(t, "GET", "/v1/responses/"+ids[i], ""); a.status != want {
			t.Errorf("response %d: %d, want %d", i, a.status, want)
		}
	}
}

// A stream that has no text sends the items that the whole answer has.
func TestEmptyResponses(t *testing.T) {
	for name, c := range map[string]struct {
		says  string
		most  int
		types []string
	}{
		"nothing":            {"\x00", 50, []string{"message"}},
		"only reasoning":     {"<think>\nhm\n</think>\n\n\x00", 50, []string{"reasoning", "message"}},
		"cut in its thought": {"<think>\nhm hm hm hm hm hm hm", 15, []string{"reasoning", "message"}},
	} {
		f := withTools(t, c.says)
		body := fmt.Sprintf(`{"input":"hi","max_output_tokens":%d`, c.most)
		kinds := func(response any) (list []string) {
			for _, item := range at(t, response, "output").([]any) {
				m := item.(map[string]any)
				list = append(list, fmt.Sprint(m["type"], m["status"], m["content"]))
			}
			return list
		}
		plain := kinds(f.post(t, "/v1/responses", body+"}").get(t))
		_, data := named(t, f.post(t, "/v1/responses", body+`,"stream":true}`).body)
		last := data[len(data)-1]
		if streamed := kinds(last["response"]); !slices.Equal(streamed, plain) || len(plain) != len(c.types) {
			t.Errorf("%s: streamed %q, whole %q", name, streamed, plain)
		}
		added, done := 0, 0
		for _, e := range data {
			switch e["type"] {
			case "response.output_item.added":
				if at(t, e, "item", "type") != c.types[added] || e["output_index"] != float64(added) {
					t.Errorf("%s: %v", name, e)
				}
				added++
			case "response.output_item.done":
				done++
			}
		}
		if added != len(c.types) || done != added {
			t.Errorf("%s: %d items were added, %d done", name, added, done)
		}
	}
}
