package server

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// While a long prompt is computed, a stream tells how far it is.
func TestReturnProgress(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t, "abc\x00", func(_ *Config, e *engineConfig) { e.PrefixCache, e.StepBudget = true, 64 })
		f.script.delay.Store(int64(10 * time.Millisecond))
		body := `{"prompt":"` + strings.Repeat("x", 300) + `","n_predict":3,"stream":true,"return_progress":true}`
		watch := func() (processed []float64, cache float64) {
			text := ""
			for _, e := range decodeAll(t, events(t, f.post(t, "/completion", body).body)) {
				text += e["content"].(string)
				if e["prompt_progress"] == nil {
					continue
				}
				if text != "" || e["stop"] != false || at(t, e, "prompt_progress", "time_ms").(float64) < 0 {
					t.Errorf("%v", e)
				}
				processed = append(processed, at(t, e, "prompt_progress", "processed").(float64))
				cache = at(t, e, "prompt_progress", "cache").(float64)
				if at(t, e, "prompt_progress", "total") != at(t, e, "tokens_evaluated") {
					t.Errorf("%v", e)
				}
			}
			if text != "abc" {
				t.Errorf("text %q", text)
			}
			return processed, cache
		}
		whole, cache := watch()
		total := float64(len(f.model.Tokenizer.Encode(strings.Repeat("x", 300), true, true)))
		if n := len(whole); n < 2 || whole[n-1] != total || !slices.IsSorted(whole) || cache != 0 {
			t.Errorf("processed %v of %v, %v cached", whole, total, cache)
		}
		again, cache := watch()
		if cache < 16 || again[0] < cache || again[len(again)-1] != total {
			t.Errorf("with the cache: processed %v of %v, %v cached", again, total, cache)
		}
		if a := f.post(t, "/v1/completions", `{"prompt":"x","return_progress":true}`); a.status != 400 || !strings.Contains(a.body, "return_progress") {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

// Timings of each message are of the prompt, too.
func TestTimingsPerToken(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t, "abc\x00")
		f.script.delay.Store(int64(2 * time.Millisecond))
		for _, e := range decodeAll(t, events(t, f.post(t, "/completion", `{"prompt":"xyz","n_predict":3,"stream":true,"timings_per_token":true}`).body)) {
			if n, ms := at(t, e, "timings", "prompt_n").(float64), at(t, e, "timings", "prompt_ms").(float64); n < 1 || ms < 2 || ms > 5000 {
				t.Errorf("%v tokens of prompt in %v ms", n, ms)
			}
		}
	})
}

// A slot shows how far the request in it has come, and its settings.
func TestSlots(t *testing.T) {
	f := newFixture(t, "abcdefgh", func(_ *Config, e *engineConfig) { e.MaxBatch = 2 })
	f.script.delay.Store(int64(50 * time.Millisecond))
	ts := f.listen(t)
	slots := func() []map[string]any {
		var list []map[string]any
		if err := json.Unmarshal([]byte(f.do(t, "GET", "/slots", "").body), &list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	idle := slots()
	if len(idle) != 2 || idle[0]["is_processing"] != false || idle[0]["id_task"] != -1.0 || at(t, idle[0], "next_token", "n_decoded") != 0.0 {
		t.Errorf("%v", idle)
	}
	r := postTo(t, ts.Client(), ts.URL+"/completion", `{"prompt":"xyz","n_predict":400,"stream":true,"temperature":0.25,"stop":["secret"]}`)
	defer r.Body.Close()
	one := make([]byte, 1)
	if _, err := r.Body.Read(one); err != nil {
		t.Fatal(err)
	}
	list := slots()
	s := list[0]
	decoded, remain := at(t, s, "next_token", "n_decoded").(float64), at(t, s, "next_token", "n_remain").(float64)
	if s["is_processing"] != true || s["id_task"].(float64) < 1 || decoded < 1 || decoded+remain != 400 || s["n_past"].(float64) < 1+decoded || at(t, s, "params", "temperature") != 0.25 {
		t.Errorf("%v", s)
	}
	if stop := at(t, s, "params", "stop").([]any); len(stop) != 0 {
		t.Errorf("another client's stop strings are shown: %v", stop)
	}
	if list[1]["is_processing"] != false {
		t.Errorf("%v", list[1])
	}
	if a := f.do(t, "GET", "/slots?fail_on_no_slot=1", ""); a.status != 200 {
		t.Errorf("one of two slots is busy: %d", a.status)
	}
	second := postTo(t, ts.Client(), ts.URL+"/completion", `{"prompt":"xyz","n_predict":400,"stream":true}`)
	defer second.Body.Close()
	if _, err := second.Body.Read(one); err != nil {
		t.Fatal(err)
	}
	if a := f.do(t, "GET", "/slots?fail_on_no_slot=1", ""); a.status != 503 || !strings.Contains(a.body, "no slot available") {
		t.Errorf("both slots are busy: %d %s", a.status, a.body)
	}
}

func TestPropsTellWhatTheTemplateCan(t *testing.T) {
	caps := func(f *fixture) string {
		return fmt.Sprint(f.do(t, "GET", "/props", "").get(t)["chat_template_caps"])
	}
	const plain = "map[supports_parallel_tool_calls:false supports_preserve_reasoning:false supports_string_content:true supports_system_role:true supports_tool_calls:false supports_tool_responses:true supports_tools:false supports_typed_content:false]"
	if got := caps(newFixture(t, "x\x00")); got != plain {
		t.Errorf("got %s", got)
	}
	if got := caps(withTools(t, "x\x00")); !strings.Contains(got, "supports_tools:true") {
		t.Errorf("got %s", got)
	}
}

func TestSmallRoutes(t *testing.T) {
	f := newFixture(t, "ok\x00")
	if a := f.do(t, "GET", "/lora-adapters", ""); a.status != 200 || a.body != "[]" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if m := f.post(t, "/chat/completions", `{`+hello+`}`).get(t); at(t, m, "choices", 0, "message", "content") != "ok" {
		t.Errorf("%v", m)
	}
	if m := f.do(t, "GET", "/models", "").get(t); at(t, m, "data", 0, "id") != "org/tiny" {
		t.Errorf("%v", m)
	}
	f.Server.app.Models.StartDraining()
	if a := f.do(t, "GET", "/health", ""); a.status != 503 || at(t, a.get(t), "error", "code") != 503.0 || at(t, a.get(t), "error", "type") != "unavailable_error" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestPromptObjects: a prompt may be an object with its text, alone and among others.
func TestPromptObjects(t *testing.T) {
	f := newFixture(t, "ok\x00")
	plain := f.post(t, "/completion", `{"prompt":"abc","n_predict":2}`).get(t)
	if v := f.post(t, "/completion", `{"prompt":{"prompt_string":"abc","multimodal_data":[]},"n_predict":2}`).get(t); v["content"] != "ok" || v["prompt"] != plain["prompt"] {
		t.Errorf("%v", v)
	}
	a := f.post(t, "/completion", `{"prompt":[{"prompt_string":"abc"},"x",[100,"b"]],"n_predict":2}`)
	if a.status != 200 || strings.Count(a.body, `"content":"ok"`) != 3 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for prompt, want := range map[string]string{
		`{"prompt_string":"abc","multimodal_data":["aGk="]}`: "prompt.multimodal_data must be empty",
		`["x",{"prompt_string":5}]`:                          "prompt[1].prompt_string must be a string, not a number",
		`{}`:                                                 "prompt.prompt_string is required",
	} {
		if a := f.post(t, "/completion", `{"prompt":`+prompt+`}`); a.status != 400 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %s", prompt, a.status, a.body)
		}
	}
}

// TestBiasOfTexts: llama-server's clients may name a token by its text, as a key, too.
func TestBiasOfTexts(t *testing.T) {
	f := newFixture(t, "abcabc")
	for _, bias := range []string{`{"z":50}`, `[["z",50]]`, `[["zz",50]]`, `{"zz":50}`} {
		if v := f.post(t, "/completion", `{"prompt":"x","n_predict":3,"temperature":0,"logit_bias":`+bias+`}`).get(t); v["content"] != "zzz" {
			t.Errorf("%s: %v", bias, v)
		}
	}
}

// vLLM's form of /tokenize has the prompt or a conversation under other names.
func TestTokenizeAsVLLM(t *testing.T) {
	f := newFixture(t, "x\x00")
	ids := func(text string) string { return fmt.Sprint(f.model.Tokenizer.Encode(text, true, true)) }
	same := func(m map[string]any, text string) {
		t.Helper()
		if got := fmt.Sprint(m["tokens"]); got != ids(text) || m["count"] != float64(len(m["tokens"].([]any))) || m["max_model_len"] != 512.0 {
			t.Errorf("got %v, want %s", m, ids(text))
		}
	}
	same(f.post(t, "/tokenize", `{"prompt":"hello"}`).get(t), "hello")
	same(f.post(t, "/tokenize", `{"model":"tiny","messages":[{"role":"user","content":"u"}]}`).get(t), "<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n")
	same(f.post(t, "/tokenize", `{"messages":[{"role":"user","content":"u"}],"add_generation_prompt":false}`).get(t), "<|im_start|>user\nu<|im_end|>\n")
	m := f.post(t, "/tokenize", `{"prompt":"<|im_start|>é","return_token_strs":true}`).get(t)
	if strs := m["token_strs"].([]any); len(strs) < 2 || strs[0] != "<|im_start|>" {
		t.Errorf("%v", m)
	}
	if m := f.post(t, "/tokenize", `{"prompt":"x"}`).get(t); m["token_strs"] != nil {
		t.Errorf("%v", m)
	}
	if m := f.post(t, "/detokenize", `{"tokens":[1,100,101]}`).get(t); m["prompt"] != "<|im_start|>ab" || m["content"] != m["prompt"] {
		t.Errorf("%v", m)
	}
	for body, text := range map[string]string{
		`{"prompt":"x","content":"y"}`:                              "content is llama-server's form",
		`{"prompt":"x","messages":[{"role":"user","content":"u"}]}`: "prompt cannot be used together with messages",
		`{"prompt":5}`:                   "prompt must be a string",
		`{"messages":[{"role":"user"}]}`: "messages[0].content",
		`{"messages":[]}`:                "messages must not be empty",
		`{"messages":[{"role":"user","content":"u"}],"add_special_tokens":true}`:     "add_special_tokens must be false",
		`{"messages":[{"role":"user","content":"u"}],"continue_final_message":true}`: "must end with a message of the assistant",
		`{"messages":[{"role":"user","content":"u"}],"chat_template_kwargs":[]}`:     "chat_template_kwargs must be an object",
		`{}`: "content must be a text",
	} {
		if a := f.post(t, "/tokenize", body); a.status != 400 || !strings.Contains(a.body, text) {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
}

// With post_sampling_probs tokens come with the probabilities that they were
// drawn with, under names of their own.
func TestPostSamplingProbs(t *testing.T) {
	f := newFixture(t, "abc") // the next token has a logit of 30, all others of 0
	ask := func(fields string) map[string]any {
		a := f.post(t, "/completion", `{"prompt":"x","n_predict":1,"n_probs":5,"post_sampling_probs":true,`+fields+`}`)
		if a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		m := a.get(t)
		if at(t, m, "generation_settings", "post_sampling_probs") != true {
			t.Errorf("%v", m["generation_settings"])
		}
		return at(t, m, "completion_probabilities", 0).(map[string]any)
	}
	for name, c := range map[string]struct {
		fields string
		probs  []float64
	}{
		"greedy":      {`"temperature":0`, []float64{1}},
		"one left":    {`"temperature":15,"top_k":1`, []float64{1}},
		"two left":    {`"temperature":15,"top_k":2,"logit_bias":[[101,15]],"samplers":["top_k","temperature"]`, []float64{0.731059, 0.268941}},
		"three equal": {`"temperature":15,"top_k":3,"logit_bias":[[100,false],[101,1],[102,1],[103,1]],"samplers":["top_k","temperature"]`, []float64{1. / 3, 1. / 3, 1. / 3}},
	} {
		p := ask(c.fields)
		top := p["top_probs"].([]any)
		if p["logprob"] != nil || p["top_logprobs"] != nil || len(top) != len(c.probs) {
			t.Fatalf("%s: %v", name, p)
		}
		for i, one := range top {
			if got := at(t, one, "prob").(float64); math.Abs(got-c.probs[i]) > 1e-5 {
				t.Errorf("%s: probability %d is %v, want %v", name, i, got, c.probs[i])
			}
			if at(t, one, "id") == p["id"] && at(t, one, "prob") != p["prob"] {
				t.Errorf("%s: %v", name, p)
			}
		}
	}
	streamed := decodeAll(t, events(t, f.post(t, "/completion", `{"prompt":"x","n_predict":2,"n_probs":2,"post_sampling_probs":true,"temperature":0,"stream":true}`).body))
	if p := at(t, streamed[0], "completion_probabilities", 0, "prob"); p != 1.0 {
		t.Errorf("streamed: %v", streamed[0])
	}
	if a := f.post(t, "/v1/completions", `{"prompt":"x","post_sampling_probs":true}`); a.status != 400 || !strings.Contains(a.body, "post_sampling_probs") {
		t.Errorf("%d %s", a.status, a.body)
	}
}
