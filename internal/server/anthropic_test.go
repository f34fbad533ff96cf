package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/engine"
)

const anthropicTool = `{"name":"weather","description":"d","input_schema":{"type":"object","properties":{"city":{"type":"string"}}},"cache_control":{"type":"ephemeral"}}`

// named returns the names of a stream's events, pings left out, and their data.
func named(t *testing.T, body string) (names []string, data []map[string]any) {
	t.Helper()
	for _, block := range strings.Split(strings.TrimSpace(body), "\n\n") {
		name, raw, ok := strings.Cut(strings.TrimPrefix(block, "event: "), "\ndata: ")
		if !ok {
			t.Fatalf("no event: %q", block)
		}
		var v map[string]any
		if err := json.Unmarshal([]byte(raw), &v); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if v["type"] != name {
			t.Errorf("event %s has the type %v", name, v["type"])
		}
		names, data = append(names, name), append(data, v)
	}
	return names, data
}

func TestAnthropicMessage(t *testing.T) {
	f := withTools(t, aCall+"\x00")
	const ask = `{"model":"tiny","max_tokens":300,"messages":[{"role":"user","content":"hi"}],"tools":[` + anthropicTool + `],"metadata":{"user_id":"x"}`
	a := f.post(t, "/v1/messages?beta=true", ask+`}`)
	v := a.get(t)
	if a.status != 200 || a.header.Get("Request-Id") == "" {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	if at(t, v, "type") != "message" || at(t, v, "role") != "assistant" || at(t, v, "model") != "tiny" || at(t, v, "stop_reason") != "tool_use" || v["stop_sequence"] != nil {
		t.Errorf("%s", a.body)
	}
	for i, want := range []string{"thinking", "text", "tool_use"} {
		if got := at(t, v, "content", i, "type"); got != want {
			t.Errorf("block %d is %v, want %s", i, got, want)
		}
	}
	if at(t, v, "content", 0, "thinking") != "hm" || at(t, v, "content", 0, "signature") == "" || at(t, v, "content", 1, "text") != "I look." || at(t, v, "content", 2, "input", "city") != "Köln" {
		t.Errorf("%s", a.body)
	}
	usage := at(t, v, "usage").(map[string]any)
	if usage["input_tokens"].(float64) <= 0 || usage["output_tokens"].(float64) <= 0 || usage["cache_read_input_tokens"] == nil {
		t.Errorf("usage %v", usage)
	}
}

func TestAnthropicStream(t *testing.T) {
	f := withTools(t, aCall+"\x00")
	a := f.post(t, "/v1/messages", `{"model":"tiny","max_tokens":300,"stream":true,"messages":[{"role":"user","content":"hi"}],"tools":[`+anthropicTool+`]}`)
	names, data := named(t, string(a.body))
	order := slices.Compact(slices.Clone(names))
	block := []string{"content_block_start", "content_block_delta", "content_block_stop"}
	want := slices.Concat([]string{"message_start"}, block, block, block, []string{"message_delta", "message_stop"})
	if !slices.Equal(order, want) {
		t.Fatalf("events %v, want %v", order, want)
	}
	texts, index := map[string]string{}, -1.0
	for i, d := range data {
		switch names[i] {
		case "content_block_start":
			index++
			fallthrough
		case "content_block_stop":
			if d["index"] != index {
				t.Errorf("%s with index %v, want %v", names[i], d["index"], index)
			}
		case "content_block_delta":
			delta := d["delta"].(map[string]any)
			for _, key := range []string{"text", "thinking", "partial_json", "signature"} {
				if s, ok := delta[key].(string); ok {
					texts[key] += s
				}
			}
		}
	}
	if texts["text"] != "I look." || texts["thinking"] != "hm" || texts["partial_json"] != `{"city": "Köln"}` || texts["signature"] == "" {
		t.Errorf("%q", texts)
	}
	last := data[len(data)-2]
	if at(t, last, "delta", "stop_reason") != "tool_use" || at(t, last, "usage", "output_tokens").(float64) <= 0 {
		t.Errorf("%v", last)
	}
}

func TestAnthropicStopReasons(t *testing.T) {
	for name, c := range map[string]struct{ text, fields, reason, sequence, answer string }{
		"end_turn":      {"abc\x00", `"max_tokens":9`, "end_turn", "", "abc"},
		"max_tokens":    {"abcdefgh", `"max_tokens":4`, "max_tokens", "", "abcd"},
		"stop_sequence": {"abcdefgh\x00", `"max_tokens":9,"stop_sequences":["de"]`, "stop_sequence", "de", "abc"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, c.text)
			v := f.post(t, "/v1/messages", `{"messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]}],`+c.fields+`}`).get(t)
			sequence, _ := v["stop_sequence"].(string)
			if v["stop_reason"] != c.reason || sequence != c.sequence || at(t, v, "content", 0, "text") != c.answer {
				t.Errorf("%v", v)
			}
		})
	}
}

// TestAnthropicTurns has the turns of an agent: each answer is sent back with the
// results of its calls, and the prompt of one turn begins with that of the last.
func TestAnthropicTurns(t *testing.T) {
	f := withTools(t, "ok", func(_ *Config, e *engine.Config) { e.PrefixCache = true })
	system := func(cch string) string {
		return `"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2; cch=` + cch + `;"},{"type":"text","text":"Be brief. ` + strings.Repeat("Do this. ", 20) + `"}]`
	}
	first := `{"role":"user","content":"weather?"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"I look."},{"type":"tool_use","id":"a1","name":"weather","input":{"city":"Bonn"}}]},` +
		`{"role":"user","content":[{"type":"tool_result","tool_use_id":"a1","content":[{"type":"text","text":"rain"}]},{"type":"text","text":"and?"}]}`
	second := first + `,{"role":"assistant","content":"Rain."},{"role":"system","content":"Now be long."},{"role":"user","content":"more"}`
	cached := 0.0
	for i, messages := range []string{first, second} {
		v := f.post(t, "/v1/messages", fmt.Sprintf(`{"max_tokens":9,%s,"messages":[%s],"tools":[%s]}`, system(fmt.Sprint("a", i)), messages, anthropicTool)).get(t)
		cached = at(t, v, "usage", "cache_read_input_tokens").(float64)
	}
	if cached < 300 {
		t.Errorf("the second turn finds %v tokens in the cache", cached)
	}
}

// TestSystemStaysInPlace: instructions between the turns are not moved to the
// front, whether or not the template shows them.
func TestSystemStaysInPlace(t *testing.T) {
	messages := []chat.Message{chat.NewMessage("system", "S"), chat.NewMessage("user", "A"), chat.NewMessage("assistant", "B"), chat.NewMessage("system", "NOW"), chat.NewMessage("user", "C")}
	for name, c := range map[string]struct{ template, want string }{
		"shown":     {toolTemplate, "<|im_start|>system\nNOW<|im_end|>\n"},
		"not shown": {`{% for m in messages %}{% if m.role != 'system' or loop.first %}[{{ m.role }}]{{ m.content }}{% endif %}{% endfor %}`, "[user]<system-reminder>\nNOW\n</system-reminder>\nC"},
		"refused":   {`{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('no') }}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}`, "[user]<system-reminder>\nNOW\n</system-reminder>\nC"},
	} {
		tmpl, err := chat.New(c.template, "", "")
		if err != nil {
			t.Fatal(err)
		}
		p, err := tmpl.Render(t.Context(), messages, chat.Options{})
		if err != nil || !strings.Contains(p.Text, c.want) || strings.Index(p.Text, "NOW") < strings.Index(p.Text, "B") {
			t.Errorf("%s: %v\n%q", name, err, p.Text)
		}
	}
}

func TestAnthropicPrefill(t *testing.T) {
	f := withTools(t, "def\x00")
	v := f.post(t, "/v1/messages", `{"max_tokens":9,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"abc"}]}`).get(t)
	if at(t, v, "content", 0, "text") != "def" {
		t.Errorf("%v", v)
	}
}

func TestAnthropicToolChoice(t *testing.T) {
	f := withTools(t, bonn+"\x00")
	v := f.post(t, "/v1/messages", `{"max_tokens":90,"messages":[{"role":"user","content":"hi"}],"tools":[`+anthropicTool+`],"tool_choice":{"type":"tool","name":"weather"}}`).get(t)
	if at(t, v, "content", 0, "input", "city") != "Bonn" {
		t.Errorf("%v", v)
	}
}

// TestThinkingBudget: a model that would think for ever has to end.
func TestThinkingBudget(t *testing.T) {
	f := withTools(t, "<think>"+strings.Repeat("x", 400))
	v := f.post(t, "/v1/messages", `{"max_tokens":60,"messages":[{"role":"user","content":"hi"}],"thinking":{"type":"enabled","budget_tokens":20}}`).get(t)
	if thought := at(t, v, "content", 0, "thinking").(string); thought != strings.Repeat("x", 20) {
		t.Errorf("%q, %v", thought, v)
	}
	if text := at(t, v, "content", 1, "text").(string); !strings.HasPrefix(text, "x") {
		t.Errorf("%q", text)
	}
}

func TestAnthropicCount(t *testing.T) {
	f := withTools(t, "ok\x00")
	const body = `"messages":[{"role":"user","content":"hi"}],"tools":[` + anthropicTool + `]`
	n := f.post(t, "/v1/messages/count_tokens?beta=true", `{"model":"tiny",`+body+`}`).get(t)["input_tokens"]
	v := f.post(t, "/v1/messages", `{"max_tokens":3,`+body+`}`).get(t)
	if n == nil || n != at(t, v, "usage", "input_tokens").(float64)+at(t, v, "usage", "cache_read_input_tokens").(float64) {
		t.Errorf("counted %v, used %v", n, v["usage"])
	}
}

func TestAnthropicErrors(t *testing.T) {
	f := withTools(t, "ok\x00")
	hello := `"messages":[{"role":"user","content":"hi"}]`
	for _, c := range []struct {
		body   string
		status int
		kind   string
		text   string
	}{
		{`{` + hello + `}`, 400, "invalid_request_error", "max_tokens is required"},
		{`{"max_tokens":0,` + hello + `}`, 400, "invalid_request_error", "max_tokens must be at least 1"},
		{`{"max_tokens":9}`, 400, "invalid_request_error", "messages must be an array"},
		{`{"max_tokens":9,"messages":[{"role":"user","content":[]}]}`, 400, "invalid_request_error", "messages[0].content must not be empty"},
		{`{"max_tokens":9,"messages":[{"role":"user","content":null}]}`, 400, "invalid_request_error", "messages[0].content must not be empty"},
		{`{"max_tokens":9,"messages":[{"role":"tool","content":"x"}]}`, 400, "invalid_request_error", "messages[0].role"},
		{`{"max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{}}]}]}`, 400, "invalid_request_error", "messages[0].content[0].type is image"},
		{`{"max_tokens":9,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"zz"}]}]}`, 400, "invalid_request_error", "no earlier tool_use"},
		{`{"max_tokens":9,` + hello + `,"tools":[{"type":"web_search_20250305","name":"web_search"}]}`, 400, "invalid_request_error", "tools[0].type"},
		{`{"max_tokens":9,` + hello + `,"tool_choice":{"type":"any"}}`, 400, "invalid_request_error", "there are no tools"},
		{`{"max_tokens":9,` + hello + `,"thinking":{"type":"perhaps"}}`, 400, "invalid_request_error", "thinking.type"},
		{`{"max_tokens":9,"model":"claude",` + hello + `}`, 404, "not_found_error", "does not exist"},
		{`{"max_tokens":9,"messages":[{"role":"user","content":"` + strings.Repeat("long ", 3000) + `"}]}`, 400, "invalid_request_error", "prompt is too long: "},
	} {
		a := f.post(t, "/v1/messages", c.body)
		v := a.get(t)
		if a.status != c.status || v["type"] != "error" || at(t, v, "error", "type") != c.kind || !strings.Contains(at(t, v, "error", "message").(string), c.text) {
			t.Errorf("%.120s: %d %s", c.body, a.status, a.body)
		}
	}
	if a := f.do(t, "GET", "/v1/messages", ""); a.status != 405 || a.get(t)["type"] != "error" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestAnthropicOverloaded: a full queue has a status of its own here.
func TestAnthropicOverloaded(t *testing.T) {
	f := newFixture(t, strings.Repeat("x", 300), func(_ *Config, e *engine.Config) { e.MaxBatch, e.MaxQueue = 1, 1 })
	f.script.delay.Store(int64(3e6))
	const body = `{"max_tokens":200,"messages":[{"role":"user","content":"hi"}]}`
	statuses := make(chan int, 4)
	for range 4 {
		go func() { statuses <- f.post(t, "/v1/messages", body).status }()
	}
	got := map[int]int{}
	for range 4 {
		got[<-statuses]++
	}
	if got[529] == 0 || got[200] == 0 || got[200]+got[529] != 4 {
		t.Errorf("statuses %v", got)
	}
}

// The model is told which of its tools failed.
func TestAnthropicFailedTool(t *testing.T) {
	f := withTools(t, "x\x00")
	tokens := func(fields string) any {
		a := f.post(t, "/v1/messages", `{"max_tokens":5,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"a1","name":"weather","input":{}}]},`+
			`{"role":"user","content":[{"type":"tool_result","tool_use_id":"a1"`+fields+`}]}]}`)
		if a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return at(t, a.get(t), "usage", "input_tokens")
	}
	for content, text := range map[string]string{`,"content":"no such city"`: "no such city", `,"content":[{"type":"text","text":"no such city"}]`: "no such city", `,"content":""`: "", "": ""} {
		failed, told := tokens(`,"is_error":true`+content), tokens(`,"content":"The tool failed: `+text+`"`)
		if failed != told || failed == tokens(content) {
			t.Errorf("%s: %v tokens, want %v", content, failed, told)
		}
	}
}
