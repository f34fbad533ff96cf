package server

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/sample"
)

// flat is an executor that likes all letters equally.
type flat struct{ logits []float32 }

func (f *flat) Vocab() int     { return testVocab }
func (f *flat) MaxRows() int   { return 256 }
func (f *flat) MaxLogits() int { return 64 }

func (f *flat) NotFinite() []int32 { return nil }

func (f *flat) Forward(b *batch.Batch) []float32 {
	f.logits = make([]float32, len(b.Logits)*testVocab)
	for i := range b.Logits {
		for c := byte('a'); c <= 'z'; c++ {
			f.logits[i*testVocab+byteToken+int(c)] = 30
		}
	}
	return f.logits
}

// texts are one answer of each route that generates text.
func texts(t *testing.T, f *fixture, fields string) map[string]string {
	t.Helper()
	got := map[string]string{}
	text := func(path, body string, at func(m map[string]any) any) {
		a := f.post(t, path, body)
		if a.status != 200 {
			t.Fatalf("%s %s: %s", path, body, a.body)
		}
		got[path], _ = at(a.get(t)).(string)
	}
	text("/v1/chat/completions", `{`+hello+`,"max_tokens":24`+fields+`}`, func(m map[string]any) any { return at(t, m, "choices", 0, "message", "content") })
	text("/v1/completions", `{"prompt":"x","max_tokens":24`+fields+`}`, func(m map[string]any) any { return at(t, m, "choices", 0, "text") })
	text("/completion", `{"prompt":"x","n_predict":24`+fields+`}`, func(m map[string]any) any { return m["content"] })
	text("/generate", `{"prompt":"x","max_tokens":24`+fields+`}`, func(m map[string]any) any { return at(t, m, "data", "text") })
	stream := f.post(t, "/generate_stream", `{"prompt":"x","max_tokens":24`+fields+`}`)
	for _, e := range decodeAll(t, events(t, stream.body)) {
		got["/generate_stream"] += fmt.Sprint(e["token"])
	}
	return got
}

// What a request leaves open is the model's own, on every route; what it names
// counts.
func TestDefaultsAreTheModels(t *testing.T) {
	f := serve(t, &flat{})
	for path, text := range texts(t, f, "") {
		if strings.Count(text, text[:1]) == len(text) {
			t.Errorf("%s: %q with a temperature of 0.8", path, text)
		}
	}
	f.model.Sampling = sample.Settings{Temperature: new(0.0)}
	for path, text := range texts(t, f, "") {
		if text != strings.Repeat("a", 24) {
			t.Errorf("%s: %q with the model's temperature of 0", path, text)
		}
	}
	for path, text := range texts(t, f, `,"temperature":1`) {
		if text == strings.Repeat("a", 24) {
			t.Errorf("%s: %q with a temperature of 1", path, text)
		}
	}
	f.model.Sampling = sample.Settings{TopK: new(20), TopP: new(0.8), RepeatPenalty: new(1.1), RepeatLastN: new(-1), Seed: new(int64(7))}
	props := f.do(t, "GET", "/props", "").get(t)
	slots := map[string]any{}
	if err := json.Unmarshal([]byte(`{"slots":`+f.do(t, "GET", "/slots", "").body+`}`), &slots); err != nil {
		t.Fatal(err)
	}
	for where, m := range map[string]any{"/props": at(t, props, "default_generation_settings", "params"), "/slots": at(t, slots, "slots", 0, "params")} {
		for name, want := range map[string]any{"temperature": 0.8, "top_k": 20.0, "top_p": 0.8, "min_p": 0.05, "repeat_penalty": 1.1, "repeat_last_n": -1.0, "seed": 7.0} {
			if got := at(t, m, name); got != want {
				t.Errorf("%s: %s is %v, want %v", where, name, got, want)
			}
		}
	}
	a, b := texts(t, f, ""), texts(t, f, "")
	for path := range a {
		if a[path] != b[path] {
			t.Errorf("%s: the server's seed gives %q and %q", path, a[path], b[path])
		}
	}
}

// distinct tells whether no letter comes twice.
func distinct(s string) bool {
	for i := range s {
		if strings.IndexByte(s[i+1:], s[i]) >= 0 {
			return false
		}
	}
	return true
}

// Each parameter that every route honours changes what comes out of every route.
func TestParametersWorkOnEveryRoute(t *testing.T) {
	f := serve(t, &flat{})
	letter := func(c byte) int { return byteToken + int(c) }
	for fields, want := range map[string]func(string) bool{
		fmt.Sprintf(`"allowed_token_ids":[%d,%d]`, letter('q'), letter('r')): func(s string) bool { return strings.Trim(s, "qr") == "" },
		`"bad_words":["a","b"],"temperature":0`:                              func(s string) bool { return s == strings.Repeat("c", 24) },
		`"bad_words":["aa"],"temperature":0`:                                 func(s string) bool { return s == strings.Repeat("ab", 12) },
		`"repeat_penalty":2,"repeat_last_n":-1,"temperature":0`:              func(s string) bool { return distinct(s[:14]) },
		`"repetition_penalty":2,"repeat_last_n":-1,"temperature":0`:          func(s string) bool { return distinct(s[:14]) },
		`"presence_penalty":2,"repeat_last_n":2,"temperature":0`:             func(s string) bool { return s == strings.Repeat("abc", 8) },
		`"repeat_penalty":2,"repeat_last_n":0,"temperature":0`:               func(s string) bool { return s == strings.Repeat("a", 24) },
		`"dry_multiplier":1,"dry_allowed_length":1,"temperature":0`:          func(s string) bool { return strings.HasPrefix(s, "aab") || strings.HasPrefix(s, "ab") },
		`"xtc_probability":1,"xtc_threshold":0.01,"temperature":0`:           func(s string) bool { return !strings.Contains(s, "a") },
		`"samplers":["top_k","temperature"],"top_k":1`:                       func(s string) bool { return s == strings.Repeat("a", 24) },
		`"samplers":"k","top_k":2,"temperature":0`:                           func(s string) bool { return strings.Trim(s, "ab") == "" && strings.Contains(s, "b") },
		`"top_n_sigma":1,"top_k":0,"top_p":1,"min_p":0,"temperature":2`:      func(s string) bool { return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == "" },
		`"typical_p":0.05,"top_k":0,"top_p":1`:                               func(s string) bool { return strings.Trim(s, "ab") == "" },
		fmt.Sprintf(`"logit_bias":{"%d":50},"temperature":0`, letter('z')):   func(s string) bool { return s == strings.Repeat("z", 24) },
		fmt.Sprintf(`"logit_bias":[[%d,false],["b",-5]],"temperature":0`, letter('a')): func(s string) bool {
			return s == strings.Repeat("c", 24)
		},
		fmt.Sprintf(`"stop_token_ids":[%d],"min_tokens":3,"temperature":0`, letter('a')): func(s string) bool { return s == "bbb" },
		`"stop":["b"],"bad_words":["aaa"],"min_tokens":9,"temperature":0`:                func(s string) bool { return s == "aabaabaabaa"[:11] },
	} {
		for path, text := range texts(t, f, ","+fields) {
			if !want(text) {
				t.Errorf("%s with %s: %q", path, fields, text)
			}
		}
	}
}

// What generation_settings shows can be sent back, and gives the same settings
// and the same text.
func TestSettingsRoundTrip(t *testing.T) {
	f := serve(t, &flat{})
	r := rand.New(rand.NewPCG(1, 2))
	for _, fields := range []string{
		``, `"seed":5`, `"seed":-1`, `"seed":4294967295`, `"repeat_last_n":-1`, `"repeat_last_n":0,"repeat_penalty":1.3`, `"stop":"zz","samplers":["dry","top_k"]`, `"samplers":[]`,
		`"dry_multiplier":0.7,"dry_base":1.6,"dry_allowed_length":4,"dry_penalty_last_n":12,"dry_sequence_breakers":["x"]`, `"dry_sequence_breakers":[]`,
		`"logit_bias":[[100,1.5],[101,false]],"bad_words":["qu"],"min_tokens":2,"stop_token_ids":[102]`, `"allowed_token_ids":[100,101]`,
		`"temperature":0.1,"top_k":-5,"top_p":0.3,"min_p":0.2,"typical_p":0.9,"top_n_sigma":2.5,"xtc_probability":0.2,"xtc_threshold":0.3,"dynatemp_range":0.05,"dynatemp_exponent":1.3,"min_keep":3`,
		`"n_probs":2,"ignore_eos":true,"cache_prompt":false,"t_max_predict_ms":60000,"return_tokens":true,"timings_per_token":true,"presence_penalty":0.3,"frequency_penalty":-0.4`,
		fmt.Sprintf(`"temperature":%v,"top_p":%v`, r.Float64(), r.Float64()),
	} {
		body := `{"prompt":"x","n_predict":12`
		if fields != "" {
			body += "," + fields
		}
		first := f.post(t, "/completion", body+"}").get(t)
		settings := at(t, first, "generation_settings").(map[string]any)
		for name, v := range settings {
			if v == nil {
				t.Errorf("%s: %s is null", fields, name)
			}
		}
		if seed := settings["seed"].(float64); seed >= 1<<32-1 {
			t.Errorf("%s: seed %v", fields, seed)
		}
		again := map[string]any{"prompt": "x"}
		for name, v := range settings {
			again[name] = v
		}
		b, _ := json.Marshal(again)
		second := f.post(t, "/completion", string(b))
		if second.status != 200 {
			t.Errorf("%s: the settings are refused: %s", fields, second.body)
			continue
		}
		if got := at(t, second.get(t), "generation_settings"); fmt.Sprint(got) != fmt.Sprint(settings) {
			t.Errorf("%s: sent\n%v, ran with\n%v", fields, settings, got)
		}
		if a, b := first["content"], second.get(t)["content"]; a != b {
			t.Errorf("%s: %q, then %q", fields, a, b)
		}
	}
	defaults := at(t, f.do(t, "GET", "/props", "").get(t), "default_generation_settings", "params").(map[string]any)
	if defaults["seed"] != 4294967295.0 || defaults["n_predict"] != -1.0 {
		t.Errorf("defaults %v", defaults)
	}
	defaults["prompt"], defaults["n_predict"] = "x", 4
	b, _ := json.Marshal(defaults)
	if a := f.post(t, "/completion", string(b)); a.status != 200 {
		t.Errorf("the defaults are refused: %s", a.body)
	}
}

func TestCompletionOfSeveralPrompts(t *testing.T) {
	f := newFixture(t, "abc\x00")
	a := f.post(t, "/completion", `{"prompt":["one",[5,6,"x"],[7]],"n_predict":2}`)
	var list []map[string]any
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list) != 3 {
		t.Fatalf("%v: %s", err, a.body)
	}
	for i, m := range list {
		if m["index"] != float64(i) || m["content"] != "ab" || m["stop"] != true {
			t.Errorf("answer %d is %v", i, m)
		}
	}
	if list[2]["tokens_evaluated"] != 1.0 {
		t.Errorf("got %v", list[2])
	}
	for _, one := range []string{`"one"`, `[5,6]`, `[5,"x"]`, `["one"]`, `[[5,6]]`, `[]`, `""`} {
		if m := f.post(t, "/completion", `{"prompt":`+one+`,"n_predict":2}`).get(t); m["content"] != "ab" {
			t.Errorf("%s: %v", one, m)
		}
	}
	ended := map[any]bool{}
	for _, e := range decodeAll(t, events(t, f.post(t, "/completion", `{"prompt":["one","two"],"n_predict":2,"stream":true}`).body)) {
		if e["stop"] == true {
			ended[e["index"]] = true
		}
	}
	if len(ended) != 2 {
		t.Errorf("streams %v ended", ended)
	}
	for _, bad := range []string{`[null]`, `[5,null]`, `null`, `{}`, `[[5,null]]`, `[[5],5]`, `[{}]`} {
		if a := f.post(t, "/completion", `{"prompt":`+bad+`}`); a.status != 400 || !strings.Contains(a.body, "prompt") {
			t.Errorf("%s: %d %s", bad, a.status, a.body)
		}
	}
}

func TestCachePrompt(t *testing.T) {
	f := serve(t, &flat{}, func(_ *Config, e *engineConfig) { e.PrefixCache = true })
	prompt := strings.Repeat("x", 100)
	run := func(fields string) float64 {
		m := f.post(t, "/completion", `{"prompt":"`+prompt+`","n_predict":2`+fields+`}`).get(t)
		return at(t, m, "timings", "cache_n").(float64)
	}
	run("")
	if n := run(""); n < 64 {
		t.Errorf("%v tokens came out of the cache", n)
	}
	if n := run(`,"cache_prompt":false`); n != 0 {
		t.Errorf("%v tokens came out of the cache with cache_prompt false", n)
	}
	if n := run(`,"cache_prompt":true`); n < 64 {
		t.Errorf("afterwards %v tokens came out of the cache", n)
	}
}

// Only requests with the same cache_salt share prefixes.
func TestCacheSalt(t *testing.T) {
	f := serve(t, &flat{}, func(_ *Config, e *engineConfig) { e.PrefixCache = true })
	prompt := strings.Repeat("x", 100)
	for i, step := range []struct {
		salt   string
		cached bool
	}{{`"a"`, false}, {`"b"`, false}, {`null`, false}, {`"b"`, true}, {`"a"`, true}, {`null`, true}} {
		m := f.post(t, "/v1/completions", `{"prompt":"`+prompt+`","max_tokens":2,"cache_salt":`+step.salt+`}`).get(t)
		if n := at(t, m, "usage", "prompt_tokens_details", "cached_tokens").(float64); (n >= 64) != step.cached {
			t.Errorf("request %d, salt %s: %v tokens came out of the cache", i, step.salt, n)
		}
	}
	for route, body := range map[string]string{
		"/v1/chat/completions": `"messages":[{"role":"user","content":"x"}]`,
		"/v1/responses":        `"input":"x"`,
	} {
		if a := f.post(t, route, `{"cache_salt":"",`+body+`}`); a.status != 400 || !strings.Contains(a.body, "cache_salt") {
			t.Errorf("%s: %d %s", route, a.status, a.body)
		}
	}
}

func TestCompletionExtras(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t, "ab\ncdefgh")
		m := f.post(t, "/completion", `{"prompt":"x","n_predict":3,"response_fields":["content","generation_settings/n_predict","timings/predicted_n","no/such","model/x"]}`).get(t)
		if len(m) != 3 || m["content"] != "ab\n" || m["generation_settings/n_predict"] != 3.0 || m["timings/predicted_n"] != 3.0 {
			t.Errorf("got %v", m)
		}
		list := decodeAll(t, events(t, f.post(t, "/completion", `{"prompt":"xyz","n_predict":5,"stream":true,"timings_per_token":true}`).body))
		for i, e := range list {
			if n := at(t, e, "timings", "predicted_n").(float64); n < float64(i) || n > 5 {
				t.Errorf("event %d: %v", i, e)
			}
		}
		f.script.delay.Store(int64(5 * time.Millisecond))
		m = f.post(t, "/completion", `{"prompt":"x","n_predict":100,"t_max_predict_ms":20}`).get(t)
		if n := m["tokens_predicted"].(float64); n < 3 || n > 60 || m["stop_type"] != "limit" {
			t.Errorf("%v tokens, %v", n, m["stop_type"])
		}
		f.script.say("abcdefgh")
		m = f.post(t, "/completion", `{"prompt":"x","n_predict":20,"t_max_predict_ms":20}`).get(t)
		if n := m["tokens_predicted"]; n != 20.0 {
			t.Errorf("without a line feed %v tokens", n)
		}
	})
}

// Names match exactly, and an error is about the field that is wrong.
func TestNamesMatchExactly(t *testing.T) {
	f := newFixture(t, "abc\x00")
	a := f.post(t, "/v1/chat/completions", `{`+hello+`,"N":2,"TEMPERATURE":9,"Max_Tokens":1}`)
	if m := a.get(t); a.status != 200 || len(m["choices"].([]any)) != 1 || at(t, m, "choices", 0, "message", "content") != "abc" {
		t.Errorf("got %s", a.body)
	}
	for path, cases := range map[string]map[string]string{
		"/v1/chat/completions": {
			hello + `,"reasoning_effort":"extreme"`: "reasoning_effort", hello + `,"echo":true`: "echo", hello + `,"length_penalty":2`: "length_penalty",
			hello + `,"stream":true,"stream_options":{"continuous_usage_stats":true}`: "stream_options.continuous_usage_stats",
			hello + `,"return_tokens_as_token_ids":true`:                              "return_tokens_as_token_ids", hello + `,"mirostat":1`: "mirostat",
			hello + `,"samplers":["mirostat"]`: "samplers", hello + `,"repeat_penalty":1.2,"repetition_penalty":1.3`: "repetition_penalty",
			hello + `,"allowed_token_ids":[]`: "allowed_token_ids", hello + `,"bad_words":[""]`: "bad_words",
		},
		"/v1/completions": {`"prompt":[null]`: "prompt", `"prompt":"x","best_of":0`: "best_of", `"prompt":"x","suffix":"y"`: "suffix"},
	} {
		for fields, param := range cases {
			a := f.post(t, path, "{"+fields+"}")
			if m := a.get(t); a.status != 400 || at(t, m, "error", "param") != param {
				t.Errorf("%s %s: %d %s", path, fields, a.status, a.body)
			}
		}
	}
	for path, body := range map[string]string{
		"/detokenize": `{"tokens":[5,null]}`, "/tokenize": `{"content":[null]}`, "/encode": `{"text":"a","text":"b"}`,
		"/generate": `{"prompt":"x","grammar":"root ::= x"}`, "/v1/messages": `{"model":"tiny","max_tokens":3,` + hello + `,"output_format":{"type":"json_schema"}}`,
	} {
		if a := f.post(t, path, body); a.status != 400 {
			t.Errorf("%s %s: %d %s", path, body, a.status, a.body)
		}
	}
	many := `"x1"` + strings.Repeat(`,"x"`, 127)
	if a := f.post(t, "/v1/completions", `{"prompt":"x","stop":[`+many+`]}`); a.status != 200 {
		t.Errorf("128 stop strings: %s", a.body)
	}
	if a := f.post(t, "/v1/completions", `{"prompt":"x","stop":[`+many+`,"y"]}`); a.status != 400 {
		t.Errorf("129 stop strings: %d", a.status)
	}
}

// No combination of samplers leaves no token without a clear error.
func TestNothingIsAllowed(t *testing.T) {
	f := serve(t, &flat{})
	a := f.post(t, "/completion", fmt.Sprintf(`{"prompt":"x","allowed_token_ids":[%d],"bad_words":["a"]}`, byteToken+'a'))
	if a.status != 400 || !strings.Contains(a.body, "allowed_token_ids") {
		t.Errorf("%d %s", a.status, a.body)
	}
}
