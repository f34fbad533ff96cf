package server

import (
	"encoding/json"
	"strings"
	"testing"
)

// lines reads an answer of JSON lines.
func lines(t *testing.T, body string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(body) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, v)
	}
	return all
}

func TestOllamaChat(t *testing.T) {
	f := withTools(t, aCall+"\x00")
	const ask = `{"model":"tiny:latest","messages":[{"role":"user","content":"hi"}],"options":{"num_predict":300},"tools":[` + weatherTool + `]`
	v := f.post(t, "/api/chat", ask+`,"stream":false}`).get(t)
	if at(t, v, "message", "content") != "I look." || at(t, v, "message", "thinking") != "hm" || at(t, v, "message", "tool_calls", 0, "function", "arguments", "city") != "Köln" ||
		v["done"] != true || v["done_reason"] != "stop" || v["model"] != "tiny:latest" {
		t.Errorf("%v", v)
	}
	for _, field := range []string{"total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration", "created_at"} {
		if _, ok := v[field]; !ok {
			t.Errorf("no %s", field)
		}
	}
	a := f.post(t, "/api/chat", ask+`}`)
	if a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%v", a.header)
	}
	all := lines(t, a.body)
	var text, thinking string
	calls := 0
	for i, l := range all {
		m := l["message"].(map[string]any)
		text += m["content"].(string)
		if s, ok := m["thinking"].(string); ok {
			thinking += s
		}
		if list, ok := m["tool_calls"].([]any); ok {
			calls += len(list)
			if at(t, l, "message", "tool_calls", 0, "function", "arguments", "city") != "Köln" {
				t.Errorf("%v", l)
			}
		}
		if l["done"] != (i == len(all)-1) {
			t.Errorf("line %d of %d: %v", i, len(all), l)
		}
	}
	if text != "I look." || thinking != "hm" || calls != 1 || all[len(all)-1]["eval_count"] == nil {
		t.Errorf("%q, %q, %d calls", text, thinking, calls)
	}
}

// TestOllamaToolResult sends the result of a call back, which has no id in this
// protocol.
func TestOllamaToolResult(t *testing.T) {
	f := withTools(t, "rain\x00")
	v := f.post(t, "/api/chat", `{"model":"tiny","stream":false,"messages":[{"role":"user","content":"hi"},`+
		`{"role":"assistant","content":"","tool_calls":[{"function":{"name":"weather","arguments":{"city":"Bonn"}}}]},{"role":"tool","tool_name":"weather","content":"rain"}]}`).get(t)
	if at(t, v, "message", "content") != "rain" {
		t.Errorf("%v", v)
	}
}

func TestOllamaGenerate(t *testing.T) {
	f := newFixture(t, "abcdefgh")
	var text string
	all := lines(t, f.post(t, "/api/generate", `{"model":"tiny","prompt":"hi","system":"s","options":{"num_predict":6,"temperature":0,"stop":["f"],"num_gpu":3,"num_thread":2}}`).body)
	for _, l := range all {
		text += l["response"].(string)
	}
	last := all[len(all)-1]
	if text != "abcde" || last["done_reason"] != "stop" || len(last["context"].([]any)) < 10 {
		t.Errorf("%q, %v", text, last)
	}
	v := f.post(t, "/api/generate", `{"model":"tiny","prompt":"hi","raw":true,"stream":false,"options":{"num_predict":3}}`).get(t)
	if v["response"] != "abc" || v["done_reason"] != "length" || v["prompt_eval_count"].(float64) > 4 || v["context"] != nil {
		t.Errorf("%v", v)
	}
	all = lines(t, f.post(t, "/api/generate", `{"model":"tiny","prompt":"hi","raw":true,"system":"","context":[],"think":false,"options":{"num_predict":3}}`).body)
	if last := all[len(all)-1]; last["done_reason"] != "length" || last["context"] != nil {
		t.Errorf("%v", last)
	}
	if v := f.post(t, "/api/generate", `{"model":"tiny"}`).get(t); v["done_reason"] != "load" || v["done"] != true {
		t.Errorf("%v", v)
	}
	if a := f.post(t, "/api/chat", `{"model":"tiny","messages":[],"keep_alive":0}`); a.status != 409 || !strings.Contains(a.body, "stays loaded") {
		t.Errorf("the server's own model is unloaded by a client: %d %s", a.status, a.body)
	}
}

// TestOllamaLogprobs: streamed and not, each token of the text has its own.
func TestOllamaLogprobs(t *testing.T) {
	f := newFixture(t, "abcdef\x00")
	for path, prompt := range map[string]string{"/api/chat": `"messages":[{"role":"user","content":"hi"}]`, "/api/generate": `"prompt":"hi"`} {
		ask := `{"model":"tiny",` + prompt + `,"logprobs":true,"top_logprobs":2,"options":{"stop":["ef"]}`
		for _, body := range []string{ask + `}`, ask + `,"stream":false}`} {
			text := ""
			for _, l := range lines(t, f.post(t, path, body).body) {
				list, _ := l["logprobs"].([]any)
				for i := range list {
					text += at(t, list[i], "token").(string)
					if n := len(at(t, list[i], "top_logprobs").([]any)); n != 2 || at(t, list[i], "logprob").(float64) > 0 {
						t.Errorf("%s: %v", path, list[i])
					}
				}
			}
			if text != "abcd" {
				t.Errorf("%s %s: log-probabilities of %q", path, body, text)
			}
		}
		if a := f.post(t, path, `{"model":"tiny",`+prompt+`,"top_logprobs":2}`); a.status != 400 || !strings.Contains(a.body, "logprobs is true") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

func TestOllamaModels(t *testing.T) {
	f := withTools(t, "ok\x00")
	if v := f.do(t, "GET", "/api/tags", "").get(t); at(t, v, "models", 1, "name") != "tiny" || at(t, v, "models", 0, "details") == nil {
		t.Errorf("%v", v)
	}
	if v := f.do(t, "GET", "/api/ps", "").get(t); len(v["models"].([]any)) != 1 || at(t, v, "models", 0, "name") != "org/tiny" || at(t, v, "models", 0, "expires_at") == nil {
		t.Errorf("%v", v)
	}
	v := f.post(t, "/api/show", `{"model":"tiny"}`).get(t)
	if at(t, v, "model_info", "llama.context_length").(float64) != 512 || !strings.Contains(v["parameters"].(string), "temperature") ||
		at(t, v, "capabilities", 1) != "tools" || at(t, v, "capabilities", 2) != "thinking" || v["template"] != toolTemplate {
		t.Errorf("%v", v)
	}
	if v := f.do(t, "GET", "/api/version", "").get(t); v["version"] != "test" {
		t.Errorf("%v", v)
	}
}

func TestOllamaErrors(t *testing.T) {
	f := newFixture(t, "ok\x00")
	for _, c := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"POST", "/api/chat", `{"messages":[{"role":"user","content":"x"}]}`, 400, "model is required"},
		{"POST", "/api/chat", `{"model":"other","messages":[{"role":"user","content":"x"}]}`, 404, "does not exist"},
		{"POST", "/api/chat", `{"model":"tiny","messages":[{"role":"robot","content":"x"}]}`, 400, "messages[0].role"},
		{"POST", "/api/chat", `{"model":"tiny","messages":[{"role":"user","content":"x","images":["aa"]}]}`, 400, "messages[0].images"},
		{"POST", "/api/chat", `{"model":"tiny","messages":[{"role":"user","content":"x"}],"think":true}`, 400, "does not support thinking"},
		{"POST", "/api/chat", `{"model":"tiny","messages":[{"role":"user","content":"x"}],"options":{"mirostat":2}}`, 400, "mirostat"},
		{"POST", "/api/chat", `{"model":"tiny","messages":[{"role":"user","content":"x"}],"options":{"num_ctx":99999}}`, 400, "num_ctx is 99999"},
		{"POST", "/api/chat", `{"model":"tiny","messages":[{"role":"user","content":"x"}],"format":"xml"}`, 400, "format must be"},
		{"POST", "/api/generate", `{"model":"tiny","prompt":"x","suffix":"y"}`, 400, "suffix cannot be used: this model has no tokens for filling in the middle"},
		{"POST", "/api/create", `{"model":"x"}`, 501, "penstock quantize"},
		{"POST", "/api/create", `{"model":"x","stream":true}`, 501, "penstock quantize"},
		{"POST", "/api/blobs/sha256:00", ``, 501, "models are not made here"},
		{"POST", "/api/push", `{"model":"x"}`, 501, "publishes no models"},
		{"POST", "/api/copy", `{"source":"x","destination":"y"}`, 403, "needs an API key"},
		{"POST", "/api/pull", `{"model":"smollm2"}`, 403, "needs an API key"},
		{"DELETE", "/api/delete", `{"model":"smollm2"}`, 403, "needs an API key"},
		{"GET", "/api/nothing", ``, 404, "no such route"},
	} {
		a := f.do(t, c.method, c.path, c.body)
		text, _ := a.get(t)["error"].(string)
		if a.status != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, a.status, a.body)
		}
	}
}

// TestOllamaContinues: a last message of the assistant is the beginning of the answer.
func TestOllamaContinues(t *testing.T) {
	f := withTools(t, "def\x00")
	tokens := func(last string) float64 {
		t.Helper()
		v := f.post(t, "/api/chat", `{"model":"tiny","stream":false,"messages":[{"role":"user","content":"hi"}`+last+`]}`).get(t)
		if at(t, v, "message", "content") != "def" {
			t.Errorf("%v", v)
		}
		return v["prompt_eval_count"].(float64)
	}
	answered, continued, closed := tokens(""), tokens(`,{"role":"assistant","content":"abc"}`), tokens(`,{"role":"assistant","content":"abc"},{"role":"user","content":""}`)
	if continued <= answered || continued >= closed-10 {
		t.Errorf("prompts of %v, %v and %v tokens", answered, continued, closed)
	}
}
