package server

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// wellFormed are requests of all routes with a body, from which wrong ones are made.
var wellFormed = map[string]string{
	"/v1/chat/completions": `{"model":"tiny","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"hi"}]}],"stream":false,"n":1,"max_tokens":3,"max_completion_tokens":3,"temperature":0.5,"top_p":0.9,"top_k":5,"min_p":0.1,"seed":1,"stop":["x"],"stop_token_ids":[5],"ignore_eos":false,"presence_penalty":0.1,"frequency_penalty":0.1,"repetition_penalty":1.1,"logit_bias":{"5":1},"logprobs":true,"top_logprobs":2,"priority":1,"chat_template_kwargs":{"a":1},"reasoning_effort":"low","add_generation_prompt":true,"tools":[],"response_format":{"type":"text"}}`,
	"/v1/completions":      `{"model":"tiny","prompt":"abc","stream":false,"n":1,"max_tokens":3,"temperature":0.5,"top_p":0.9,"top_k":5,"seed":1,"stop":"x","echo":true,"logprobs":2,"logit_bias":{"5":1},"suffix":"","best_of":1}`,
	"/generate":            `{"prompt":"abc","max_tokens":3,"temperature":0.5,"top_p":0.9,"top_k":5,"repetition_penalty":1.1,"seed":1,"stop":["x"],"stream":false}`,
	"/generate_stream":     `{"prompt":"abc","max_tokens":3,"temperature":0.5,"top_p":0.9,"seed":1,"stop":"x"}`,
	"/encode":              `{"text":"abc"}`,
	"/benchmark":           `{"requests":2,"concurrency":2,"max_tokens":2,"prompt":"x","temperature":0.7}`,
	"/completion":          `{"prompt":[5,"abc"],"n_predict":3,"temperature":0.5,"top_k":5,"top_p":0.9,"min_p":0.1,"repeat_penalty":1.1,"repeat_last_n":8,"seed":1,"stop":["x"],"stream":false,"n_probs":1,"logit_bias":[[5,1.5],[6,false]]}`,
	"/tokenize":            `{"content":["a",5],"add_special":true,"parse_special":true,"with_pieces":true}`,
	"/detokenize":          `{"tokens":[5,6,7]}`,
	"/apply-template":      `{"messages":[{"role":"user","content":"x"}],"add_generation_prompt":true,"chat_template_kwargs":{}}`,
}

var wrongValues = []string{
	`null`, `true`, `""`, `"x"`, `0`, `-1`, `1.5`, `1e400`, `-1e400`, `99999999999999999999`, `9223372036854775807`, `-9223372036854775808`, `2147483648`,
	`[]`, `{}`, `[[]]`, `[{}]`, `[null]`, `["",""]`, `{"":""}`, `{"a":{"b":[1,{"c":null}]}}`, `"\u0000"`, `"\ud800"`, `[1e9]`, `[-1]`, `{"0":1e300}`,
	`"` + strings.Repeat("long ", 2000) + `"`, `[` + strings.TrimSuffix(strings.Repeat(`"a",`, 5000), ",") + `]`,
}

// wrongBodies are not even what a request looks like.
var wrongBodies = []string{
	``, ` `, `null`, `true`, `5`, `"text"`, `[]`, `{`, `{"`, `{"a"`, `{"a":`, `{"prompt":"x"`, `{"prompt":"x",}`, `{'prompt':'x'}`, `{"prompt":"x"}{"prompt":"y"}`,
	`{"prompt":"x"} trailing`, "\x00\x01\x02", "\xff\xfe{}", `{"prompt":"` + "\xff\xfe" + `"}`, `{"prompt":"x\u"}`, "{\"prompt\":\"a\nb\"}",
	strings.Repeat(`[`, 100000), strings.Repeat(`{"a":`, 20000) + `1` + strings.Repeat(`}`, 20000),
	`{"messages":` + strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000) + `}`,
	`prompt=x&max_tokens=5`, `<xml/>`, `{"prompt":"x","prompt":5}`, `{"Prompt":5}`,
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	noLeaks(t)
	f := newFixture(t, "abc\x00")
	count := 0
	try := func(path, body string) {
		t.Helper()
		count++
		start := time.Now()
		a := f.post(t, path, body)
		if a.status >= 500 || a.status < 200 {
			t.Errorf("%s %.120s: status %d: %s", path, body, a.status, a.body)
		}
		if a.status >= 400 && !json.Valid([]byte(a.body)) {
			t.Errorf("%s %.120s: the error is not JSON: %q", path, body, a.body)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s %.120s: took %v", path, body, d)
		}
	}
	for path, body := range wellFormed {
		if a := f.post(t, path, body); a.status != 200 {
			t.Fatalf("%s: the request to start from is refused: %s", path, a.body)
		}
		for _, wrong := range wrongBodies {
			try(path, wrong)
		}
		for i := range len(body) { // cut off anywhere
			if i%17 == 0 {
				try(path, body[:i])
			}
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &fields); err != nil {
			t.Fatal(err)
		}
		for name := range fields {
			for _, v := range wrongValues {
				m := map[string]json.RawMessage{}
				for k, x := range fields {
					m[k] = x
				}
				m[name] = json.RawMessage(v)
				b := []string{}
				for k, x := range m { // json.Marshal would refuse the numbers that are too large
					b = append(b, fmt.Sprintf("%q:%s", k, x))
				}
				slices.Sort(b)
				try(path, "{"+strings.Join(b, ",")+"}")
			}
		}
	}
	t.Logf("%d malformed requests", count)
	if count < 500 {
		t.Errorf("only %d requests", count)
	}
	f.settled(t)
	if a := f.post(t, "/v1/chat/completions", "{"+hello+"}"); a.status != 200 {
		t.Errorf("afterwards: %s", a.body)
	}
}

// FuzzRequests throws bytes at all routes.
func FuzzRequests(f *testing.F) {
	paths := make([]string, 0, len(wellFormed))
	for path := range wellFormed {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for i, path := range paths {
		f.Add(i, []byte(wellFormed[path]))
	}
	for _, b := range wrongBodies {
		f.Add(rand.IntN(len(paths)), []byte(b))
	}
	fx := newFixture(f, "abc\x00")
	f.Fuzz(func(t *testing.T, which int, body []byte) {
		path := paths[uint(which)%uint(len(paths))]
		if path == "/benchmark" && len(body) > 0 && strings.Contains(string(body), "requests") {
			return // it may ask for much work
		}
		if a := fx.post(t, path, string(body)); a.status >= 500 {
			t.Errorf("%s: status %d: %s", path, a.status, a.body)
		}
	})
}
