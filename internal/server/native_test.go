package server

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestGenerate(t *testing.T) {
	f := newFixture(t, "Hi 京 STOP more")
	a := f.post(t, "/generate", `{"prompt":"abc","max_tokens":50,"stop":"STOP","temperature":0}`)
	if a.status != 200 {
		t.Fatal(a.body)
	}
	m := a.get(t)
	if m["success"] != true || at(t, m, "data", "text") != "Hi 京 " || at(t, m, "data", "max_tokens") != 50.0 || at(t, m, "data", "generated_tokens") != 11.0 {
		t.Errorf("got %v", m)
	}
	for _, field := range []string{"id", "response_time", "tokens_per_second"} {
		if at(t, m, "data", field) == nil {
			t.Errorf("no %s in %v", field, m)
		}
	}
}

func TestGenerateStream(t *testing.T) {
	f := newFixture(t, "Hi 京🙂\x00")
	for path, body := range map[string]string{"/generate_stream": `{"prompt":"abc"}`, "/generate": `{"prompt":"abc","stream":true}`} {
		a := f.post(t, path, body)
		all := decodeAll(t, events(t, a.body))
		text := ""
		for i, e := range all {
			text += e["token"].(string)
			if e["id"] != all[0]["id"] || e["done"] != (i == len(all)-1) {
				t.Errorf("got %v", e)
			}
		}
		last := all[len(all)-1]
		if text != "Hi 京🙂" || last["generated_tokens"] != 11.0 || last["token"] != "" {
			t.Errorf("%s: %q, %v", path, text, last)
		}
	}
}

func TestEncode(t *testing.T) {
	f := newFixture(t, "x")
	if got := fmt.Sprint(at(t, f.post(t, "/encode", `{"text":"<|im_start|>é"}`).get(t), "data")); !strings.HasPrefix(got, "map[length:3 tokens:[1 ") {
		t.Errorf("got %s", got)
	}
	if got := fmt.Sprint(at(t, f.post(t, "/encode", `{"text":""}`).get(t), "data")); got != "map[length:0 tokens:[]]" {
		t.Errorf("got %s", got)
	}
}

func TestBenchmark(t *testing.T) {
	f := newFixture(t, "abc\x00")
	for body, requests := range map[string]float64{"": 40, `{"requests":5,"concurrency":9,"max_tokens":7,"prompt":"x"}`: 5} {
		a := f.post(t, "/benchmark", body)
		if a.status != 200 {
			t.Fatal(a.body)
		}
		d := at(t, a.get(t), "data").(map[string]any)
		tokens := 50.0
		if body != "" {
			tokens = 7
		}
		if d["total_requests"] != requests || d["successful_requests"] != requests || d["failed_requests"] != 0.0 || d["avg_generated_tokens"] != tokens {
			t.Errorf("got %v", d)
		}
		for _, field := range []string{"avg_response_time", "min_response_time", "max_response_time", "avg_throughput", "avg_tokens_per_second", "total_time", "total_tokens_processed"} {
			if v, ok := d[field].(float64); !ok || v <= 0 {
				t.Errorf("%s is %v", field, d[field])
			}
		}
		if got, want := d["avg_throughput"].(float64), requests*tokens/d["total_time"].(float64); math.Abs(got/want-1) > 1e-6 {
			t.Errorf("avg_throughput %v, want %v generated tokens a second", got, want)
		}
	}
}

// The benchmark runs beside live traffic, which goes on meanwhile.
func TestBenchmarkBesideTraffic(t *testing.T) {
	f := serve(t, mockEngine(), roomy)
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		served := 0
		for {
			select {
			case <-stop:
				done <- served
				return
			default:
			}
			if a := f.post(t, "/generate", `{"prompt":"abc","max_tokens":5,"ignore_eos":true}`); a.status != 200 {
				t.Error(a.body)
			}
			served++
		}
	}()
	a := f.post(t, "/benchmark", `{"requests":200,"concurrency":16,"max_tokens":20,"prompt":"abc"}`)
	close(stop)
	if served := <-done; served == 0 {
		t.Error("nothing else was served")
	}
	d := at(t, a.get(t), "data").(map[string]any)
	if d["successful_requests"] != 200.0 || d["failed_requests"] != 0.0 || d["avg_generated_tokens"] != 20.0 {
		t.Errorf("got %v", d)
	}
}

func TestModelInfoAndIndex(t *testing.T) {
	f := newFixture(t, "x")
	d := at(t, f.do(t, "GET", "/model/info", "").get(t), "data").(map[string]any)
	for name, want := range map[string]any{
		"model_name": "org/tiny", "model_family": "llama", "model_type": "gguf", "model_path": "tiny.gguf", "hidden_size": 64.0, "num_layers": 2.0,
		"num_attention_heads": 4.0, "num_key_value_heads": 2.0, "vocab_size": 400.0, "max_sequence_length": 512.0, "intermediate_size": 96.0,
		"rope_theta": 10000.0, "quantization": map[string]any{"enabled": false, "type": "F32"},
	} {
		if !reflect.DeepEqual(d[name], want) {
			t.Errorf("%s is %v, want %v", name, d[name], want)
		}
	}
	f.model.Config.Quantization = "Q8_0"
	d = at(t, f.do(t, "GET", "/model/info", "").get(t), "data").(map[string]any)
	if at(t, d, "quantization", "enabled") != true || at(t, d, "quantization", "type") != "Q8_0" {
		t.Errorf("got %v", d["quantization"])
	}
	index := f.do(t, "GET", "/", "", "Accept", "*/*").get(t)
	if index["name"] != "penstock" || index["version"] != "test" || len(index["endpoints"].([]any)) < 15 {
		t.Errorf("got %v", index)
	}
	a := f.do(t, "GET", "/", "", "Accept", "text/html,application/xhtml+xml")
	if a.status != 302 || a.header.Get("Location") != "/ui/" {
		t.Errorf("a browser gets %d", a.status)
	}
}

func TestNativeErrors(t *testing.T) {
	f := newFixture(t, "abc")
	for _, c := range []struct {
		path, body, word string
	}{
		{"/generate", `{`, "JSON"},
		{"/generate", `{}`, "prompt"},
		{"/generate", `{"prompt":5}`, "prompt"},
		{"/generate", `{"prompt":"x","max_tokens":0}`, "max_tokens"},
		{"/generate", `{"prompt":"x","temperature":-0.1}`, "temperature"},
		{"/generate", `{"prompt":"x","top_p":2}`, "top_p"},
		{"/generate", `{"prompt":"x","top_k":-5}`, "top_k"},
		{"/generate", `{"prompt":"x","repetition_penalty":-1}`, "repetition_penalty"},
		{"/generate", `{"prompt":"x","stop":{}}`, "stop"},
		{"/generate", `{"prompt":"x","seed":"a"}`, "seed"},
		{"/generate", `{"prompt":"` + strings.Repeat("xyz ", 600) + `"}`, "exceeds the available context size"},
		{"/generate_stream", `{"prompt":"x","max_tokens":-1}`, "max_tokens"},
		{"/encode", `{}`, "text"},
		{"/encode", `{"text":[]}`, "text"},
		{"/benchmark", `{"requests":0}`, "requests"},
		{"/benchmark", `{"requests":99999999999999999999}`, "requests"},
		{"/benchmark", `{"concurrency":100000}`, "concurrency"},
		{"/benchmark", `{"max_tokens":1000000}`, "max_tokens"},
		{"/benchmark", `{"prompt":""}`, "prompt"},
		{"/benchmark", `{"concurrency":"x"}`, "concurrency"},
		{"/benchmark", `{"prompt":"` + strings.Repeat("xyz ", 600) + `"}`, "exceeds"},
	} {
		a := f.post(t, c.path, c.body)
		m := a.get(t)
		if message, _ := m["error"].(string); a.status != 400 || m["success"] != false || !strings.Contains(message, c.word) {
			t.Errorf("%s %.60s: status %d, %v", c.path, c.body, a.status, m)
		}
	}
}

func TestLlamaServer(t *testing.T) {
	f := newFixture(t, "Hi 京 STOP more")
	a := f.post(t, "/completion", `{"prompt":"abc","n_predict":50,"stop":["STOP",""],"return_tokens":true,"n_probs":2}`)
	m := a.get(t)
	if a.status != 200 || m["content"] != "Hi 京 " || m["stop"] != true || m["stop_type"] != "word" || m["stopping_word"] != "STOP" || m["tokens_predicted"] != 11.0 {
		t.Fatalf("got %v", m)
	}
	if len(m["tokens"].([]any)) != 11 || len(m["completion_probabilities"].([]any)) != 7 || at(t, m, "generation_settings", "temperature") != 0.8 || at(t, m, "timings", "predicted_n") != 11.0 {
		t.Errorf("got %v", m)
	}
	text := ""
	all := decodeAll(t, events(t, f.post(t, "/completion", `{"prompt":[4,"abc",5],"n_predict":8,"stream":true}`).body))
	for i, e := range all {
		text += e["content"].(string)
		if e["stop"] != (i == len(all)-1) {
			t.Errorf("got %v", e)
		}
	}
	if last := all[len(all)-1]; text != "Hi 京 S" || last["stop_type"] != "limit" || last["tokens_evaluated"] != 5.0 {
		t.Errorf("%q, %v", text, last)
	}
	f.script.say("a\x00")
	if m := f.post(t, "/completions", `{"prompt":"abc"}`).get(t); m["stop_type"] != "eos" || m["content"] != "a" {
		t.Errorf("got %v", m)
	}
}

func TestTokenRoutes(t *testing.T) {
	f := newFixture(t, "x")
	for body, want := range map[string]string{
		`{"content":"<|im_start|>"}`:                        "[1]",
		`{"content":[5,"<|im_end|>"]}`:                      "[5 2]",
		`{"content":""}`:                                    "[]",
		`{"content":"<|im_start|>","with_pieces":true}`:     "[map[id:1 piece:<|im_start|>]]",
		`{"content":[198],"with_pieces":true}`:              "[map[id:198 piece:[195]]]",
		`{"content":"a","parse_special":false}`:             "[100]",
		`{"content":"a","add_special":true,"ignored":[{}]}`: "[100]",
	} {
		if got := fmt.Sprint(f.post(t, "/tokenize", body).get(t)["tokens"]); got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
	if m := f.post(t, "/detokenize", `{"tokens":[1,100,101]}`).get(t); m["content"] != "<|im_start|>ab" {
		t.Errorf("got %v", m)
	}
	if m := f.post(t, "/apply-template", `{"messages":[{"role":"user","content":null}]}`).get(t); m["prompt"] != "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n" {
		t.Errorf("null content: %v", m["prompt"])
	}
	if a := f.post(t, "/apply-template", `{"messages":[{"role":"user","content":"x"}],"tools":{}}`); a.status != 400 || !strings.Contains(string(a.body), "tools must be an array") {
		t.Errorf("tools: %d %s", a.status, a.body)
	}
	if m := f.post(t, "/apply-template", "{"+hello+"}").get(t); m["prompt"] != "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n" {
		t.Errorf("got %v", m)
	}
	for path, body := range map[string]string{
		"/tokenize": `{"content":{}}`, "/detokenize": `{"tokens":[1e9]}`, "/apply-template": `{"messages":3}`, "/completion": `{"prompt":[[1,null]]}`,
	} {
		a := f.post(t, path, body)
		if e := at(t, a.get(t), "error").(map[string]any); a.status != 400 || e["code"] != 400.0 || e["type"] != "invalid_request_error" {
			t.Errorf("%s: status %d, %v", path, a.status, e)
		}
	}
}

func TestPropsAndSlots(t *testing.T) {
	f := newFixture(t, "x")
	m := f.do(t, "GET", "/props", "").get(t)
	if m["total_slots"] != 8.0 || at(t, m, "default_generation_settings", "n_ctx") != 512.0 || m["eos_token"] != "<|im_end|>" {
		t.Errorf("got %v", m)
	}
	if a := f.do(t, "GET", "/slots", ""); a.status != 200 || strings.Count(a.body, `"is_processing":false`) != 8 {
		t.Errorf("got %s", a.body)
	}
}
