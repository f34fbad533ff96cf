package server

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// wellFormed are requests of all routes with a body, from which wrong ones are made.
var wellFormed = map[string]string{
	"/v1/chat/completions":      `{"model":"tiny","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"hi"}]}],"stream":false,"n":1,"max_tokens":3,"max_completion_tokens":3,"temperature":0.5,"top_p":0.9,"top_k":5,"min_p":0.1,"seed":1,"stop":["x"],"stop_token_ids":[5],"ignore_eos":false,"presence_penalty":0.1,"frequency_penalty":0.1,"repetition_penalty":1.1,"logit_bias":{"5":1},"logprobs":true,"top_logprobs":2,"priority":1,"chat_template_kwargs":{"a":1},"reasoning_effort":"low","add_generation_prompt":true,"tools":[],"response_format":{"type":"text"}}`,
	"/v1/completions":           `{"model":"tiny","prompt":"abc","stream":false,"n":1,"max_tokens":3,"temperature":0.5,"top_p":0.9,"top_k":5,"seed":1,"stop":"x","echo":true,"logprobs":2,"logit_bias":{"5":1},"suffix":"","best_of":1}`,
	"/generate":                 `{"prompt":"abc","max_tokens":3,"temperature":0.5,"top_p":0.9,"top_k":5,"repetition_penalty":1.1,"seed":1,"stop":["x"],"stream":false}`,
	"/generate_stream":          `{"prompt":"abc","max_tokens":3,"temperature":0.5,"top_p":0.9,"seed":1,"stop":"x"}`,
	"/encode":                   `{"text":"abc"}`,
	"/benchmark":                `{"requests":2,"concurrency":2,"max_tokens":2,"prompt":"x","temperature":0.7}`,
	"/completion":               `{"prompt":[5,"abc"],"n_predict":3,"temperature":0.5,"top_k":5,"top_p":0.9,"min_p":0.1,"repeat_penalty":1.1,"repeat_last_n":8,"seed":1,"stop":["x"],"stream":false,"n_probs":1,"logit_bias":[[5,1.5],[6,false]]}`,
	"/infill":                   `{"input_prefix":"a","input_suffix":"b","input_extra":[{"filename":"f","text":"x"}],"prompt":"c","n_predict":3,"stream":false}`,
	"/tokenize":                 `{"content":["a",5],"add_special":true,"parse_special":true,"with_pieces":true}`,
	"/detokenize":               `{"tokens":[5,6,7]}`,
	"/v1/messages":              `{"model":"tiny","max_tokens":3,"system":"s","messages":[{"role":"user","content":"hi"}],"stream":false,"temperature":0.5,"top_p":0.9,"top_k":5,"stop_sequences":["x"],"metadata":{"user_id":"u"}}`,
	"/v1/messages/count_tokens": `{"model":"tiny","system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":"hi"}],"tools":[],"tool_choice":{"type":"none"},"thinking":{"type":"disabled"}}`,
	"/v1/responses":             `{"model":"tiny","input":[{"role":"user","content":"hi"}],"instructions":"i","max_output_tokens":3,"temperature":0.5,"top_p":0.9,"presence_penalty":0.1,"frequency_penalty":0.1,"stream":false,"store":false,"tools":[],"tool_choice":"auto","parallel_tool_calls":true,"include":[],"text":{"format":{"type":"text"}},"reasoning":null,"metadata":{}}`,
	"/api/chat":                 `{"model":"tiny","messages":[{"role":"user","content":"hi"}],"stream":false,"options":{"num_predict":3,"temperature":0.5},"keep_alive":"5m","think":false,"logprobs":true,"top_logprobs":2,"tools":[]}`,
	"/api/generate":             `{"model":"tiny","prompt":"hi","system":"s","stream":false,"options":{"num_predict":3},"keep_alive":5,"raw":false,"logprobs":true,"top_logprobs":2}`,
	"/api/show":                 `{"model":"tiny"}`,
	"/v1/embeddings":            `{"model":"tiny","input":["abc","de"],"encoding_format":"base64","dimensions":64,"user":"u","add_special_tokens":true,"priority":1}`,
	"/embedding":                `{"model":"tiny","content":["abc",[5,"d"]],"embd_normalize":2}`,
	"/api/embed":                `{"model":"tiny","input":["abc","de"],"truncate":true,"dimensions":64,"options":{"num_ctx":100},"keep_alive":"5m"}`,
	"/api/embeddings":           `{"model":"tiny","prompt":"abc","options":{},"keep_alive":-1}`,
	"/rerank":                   `{"model":"tiny","query":"q","documents":["a",{"text":"b"}],"top_n":1,"return_documents":true,"priority":0,"truncate":false}`,
	"/v2/rerank":                `{"query":"q","texts":["a","b"],"return_text":true,"raw_scores":true,"truncate":true}`,
	"/score":                    `{"model":"tiny","text_1":"a","text_2":["b","c"],"priority":1}`,
	"/v1/score":                 `{"queries":["a","b"],"documents":["b","c"]}`,
	"/apply-template":           `{"messages":[{"role":"user","content":"x"}],"add_generation_prompt":true,"chat_template_kwargs":{}}`,
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

var rewrite = flag.Bool("rewrite", false, "write the statuses of malformed requests into testdata")

// mark is one character for a status that a malformed request may get.
func mark(status int) string {
	switch status {
	case 200:
		return "."
	case 400:
		return "4"
	case 404:
		return "n"
	}
	return fmt.Sprintf("<%d>", status)
}

// malformed collects what wrong requests to one route get: a line for each field
// with a character for each of wrongValues.
func malformed(t *testing.T, f *fixture, path, body string) []string {
	t.Helper()
	try := func(body string) int {
		t.Helper()
		start := time.Now()
		a := f.post(t, path, body)
		if a.status >= 400 && !json.Valid([]byte(a.body)) {
			t.Errorf("%s %.120s: the error is not JSON: %q", path, body, a.body)
		}
		if d := time.Since(start); d > patience {
			t.Errorf("%s %.120s: took %v", path, body, d)
		}
		return a.status
	}
	if a := f.post(t, path, body); a.status != 200 {
		t.Fatalf("%s: the request to start from is refused: %s", path, a.body)
	}
	for _, wrong := range wrongBodies {
		want := 400
		if path == "/benchmark" && (wrong == "" || strings.HasPrefix(wrong, `{"messages"`) || strings.HasPrefix(wrong, `{"Prompt"`)) {
			want = 200 // all of its fields have defaults, and others do not count
		}
		if path == "/v1/responses" && strings.HasPrefix(wrong, `{"`) && json.Valid([]byte(wrong)) && !strings.Contains(wrong, `"prompt"`) && len(wrong) < 50_000 {
			want = 200 // so has a response, whose input may be empty
		}
		if got := try(wrong); got != want {
			t.Errorf("%s %.120s: status %d, want %d", path, wrong, got, want)
		}
	}
	for i := 1; i < len(body); i += 17 { // cut off anywhere
		if got := try(body[:i]); got != 400 {
			t.Errorf("%s %.120s: status %d, want 400", path, body[:i], got)
		}
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &fields); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		line := path + " " + name + " "
		for _, v := range wrongValues {
			m := maps.Clone(fields)
			m[name] = json.RawMessage(v)
			b := []string{}
			for k, x := range m { // json.Marshal would refuse the numbers that are too large
				b = append(b, fmt.Sprintf("%q:%s", k, x))
			}
			slices.Sort(b)
			line += mark(try("{" + strings.Join(b, ",") + "}"))
		}
		lines = append(lines, line)
	}
	return lines
}

// Every malformed request gets the status that testdata/malformed.txt says, and
// leaves nothing behind. After a change that is meant to change statuses:
//
//	go test ./internal/server -run Malformed -rewrite
func TestMalformedRequestsAreRefused(t *testing.T) {
	noLeaks(t)
	f := withInfill(t, "abc\x00")
	const file = "testdata/malformed.txt"
	got := []string{"# Statuses by route and field, one character for each of wrongValues: . is 200, 4 is 400, n is 404."}
	for _, path := range slices.Sorted(maps.Keys(wellFormed)) {
		got = append(got, malformed(t, f, path, wellFormed[path])...)
	}
	text := strings.Join(got, "\n") + "\n"
	if strings.Contains(text, "<") {
		t.Errorf("a status that no malformed request may get:\n%s", text)
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	for i := range max(len(got), len(want)) {
		if g, w := line(got, i), line(want, i); g != w {
			t.Errorf("got  %s\nwant %s", g, w)
		}
	}
	f.settled(t)
	if a := f.post(t, "/v1/chat/completions", "{"+hello+"}"); a.status != 200 {
		t.Errorf("afterwards: %s", a.body)
	}
}

func line(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
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
	fx := withInfill(f, "abc\x00")
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
