package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/penstock-llm/penstock/internal/cpu"
)

const hello = `"messages":[{"role":"user","content":"hi"}]`

// streamed runs a request twice, streamed and not, and returns both texts and
// finish reasons of each choice; it checks everything that the stream promises.
func streamed(t *testing.T, f *fixture, path, fields string) (plain, stream map[int]string) {
	t.Helper()
	one := f.post(t, path, "{"+fields+"}")
	if one.status != 200 {
		t.Fatalf("status %d: %s", one.status, one.body)
	}
	plain, stream = map[int]string{}, map[int]string{}
	whole := one.get(t)
	chatty := strings.Contains(path, "chat")
	for _, c := range whole["choices"].([]any) {
		i := int(at(t, c, "index").(float64))
		if chatty {
			plain[i] = at(t, c, "message", "content").(string)
		} else {
			plain[i] = at(t, c, "text").(string)
		}
		plain[i] += "|" + at(t, c, "finish_reason").(string)
	}
	many := f.post(t, path, "{"+fields+`,"stream":true,"stream_options":{"include_usage":true}}`)
	if many.status != 200 || many.header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, type %q: %s", many.status, many.header.Get("Content-Type"), many.body)
	}
	list := events(t, many.body)
	if list[len(list)-1] != "[DONE]" {
		t.Errorf("the stream does not end with [DONE]")
	}
	all := decodeAll(t, list)
	opened, finished := map[int]bool{}, map[int]bool{}
	for k, e := range all {
		if e["id"] != all[0]["id"] || e["created"] != all[0]["created"] || e["model"] != whole["model"] {
			t.Errorf("the envelope changes: %v", e)
		}
		choices := e["choices"].([]any)
		if k == len(all)-1 {
			if len(choices) != 0 || fmt.Sprint(e["usage"]) != fmt.Sprint(whole["usage"]) {
				t.Errorf("usage %v, want %v", e, whole["usage"])
			}
			continue
		}
		if v, there := e["usage"]; v != nil || !there {
			t.Errorf("usage is %v before the end, want null", v)
		}
		c := choices[0]
		i := int(at(t, c, "index").(float64))
		text := ""
		if chatty {
			delta := at(t, c, "delta").(map[string]any)
			if !opened[i] && (delta["role"] != "assistant" || delta["content"] != "") {
				t.Errorf("the first delta is %v", delta)
			}
			opened[i] = true
			text, _ = delta["content"].(string)
		} else {
			text = at(t, c, "text").(string)
		}
		if !utf8.ValidString(text) {
			t.Errorf("half a character: %q", text)
		}
		if finished[i] {
			t.Errorf("an event after the finish: %v", c)
		}
		stream[i] += text
		if reason, ok := at(t, c, "finish_reason").(string); ok {
			finished[i] = true
			stream[i] += "|" + reason
		}
	}
	if fmt.Sprint(plain) != fmt.Sprint(stream) {
		t.Errorf("streamed %v, not streamed %v", stream, plain)
	}
	return plain, stream
}

func TestStreamsEqualAnswers(t *testing.T) {
	for name, c := range map[string]struct{ script, fields, want string }{
		"length":                {"Hello, world! ", `"max_tokens":20`, "Hello, world! Hello,|length"},
		"end of answer":         {"Bye.\x00", `"max_tokens":100`, "Bye.|stop"},
		"ignored end":           {"Bye.\x00", `"max_tokens":12,"ignore_eos":true`, "Bye.Bye.By|length"},
		"characters":            {"北京🙂é\x00", `"max_tokens":100`, "北京🙂é|stop"},
		"cut character":         {"北京", `"max_tokens":4`, "北\ufffd|length"},
		"not UTF-8":             {"a\xff\xfeb\x00", `"max_tokens":100`, "a\ufffd\ufffdb|stop"},
		"stop string":           {"one STOP two", `"max_tokens":100,"stop":"STOP"`, "one |stop"},
		"stop string list":      {"one STOP two", `"max_tokens":100,"stop":["two","STOP"]`, "one |stop"},
		"near misses":           {"ST STO SSTOP!", `"max_tokens":100,"stop":"STOP"`, "ST STO S|stop"},
		"held back at the end":  {"abcST", `"max_tokens":5,"stop":"STOP"`, "abcST|length"},
		"held and end":          {"abcST\x00", `"max_tokens":50,"stop":"STOP"`, "abcST|stop"},
		"first of several":      {"xxabyy", `"max_tokens":50,"stop":["ab","xab"]`, "x|stop"},
		"stop at once":          {"STOP", `"max_tokens":50,"stop":"STOP"`, "|stop"},
		"stop of many bytes":    {"a京b", `"max_tokens":50,"stop":"京"`, "a|stop"},
		"included":              {"one STOP two", `"max_tokens":100,"stop":"STOP","include_stop_str_in_output":true`, "one STOP|stop"},
		"empty stop":            {"abc\x00", `"max_tokens":100,"stop":""`, "abc|stop"},
		"no stops":              {"abc\x00", `"max_tokens":100,"stop":[]`, "abc|stop"},
		"null everywhere":       {"abc\x00", `"max_tokens":9,"stop":null,"n":null,"seed":null,"temperature":null,"logit_bias":null,"tools":null`, "abc|stop"},
		"stop token":            {"abcdef", fmt.Sprintf(`"max_tokens":100,"stop_token_ids":[%d]`, byteToken+'d'), "abc|stop"},
		"temperature":           {"abc\x00", `"max_tokens":100,"temperature":0,"top_p":0,"top_k":-1,"min_p":0.1`, "abc|stop"},
		"escapes":               {"\"\\\n\t\x01<&>\u2028\x00", `"max_tokens":100`, "\"\\\n\t\x01<&>\u2028|stop"},
		"inert fields":          {"abc\x00", `"max_tokens":9,"tools":[],"tool_choice":"none","response_format":{"type": "text"},"best_of":1,"user":"me","whatever":{"a":1}`, "abc|stop"},
		"completion limit":      {"abcdef", `"max_completion_tokens":3,"max_tokens":3`, "abc|length"},
		"alias":                 {"abc\x00", `"model":"tiny","max_tokens":9`, "abc|stop"},
		"bias":                  {"abcabc", fmt.Sprintf(`"max_tokens":3,"temperature":0,"logit_bias":{"%d":-100,"%d":50}`, byteToken+'a', byteToken+'z'), "zzz|length"},
		"control token is mute": {"a\x00b", `"max_tokens":3,"ignore_eos":true`, "ab|length"},
		"control token shown":   {"a\x00b", `"max_tokens":3,"ignore_eos":true,"skip_special_tokens":false`, "a<|im_end|>b|length"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, c.script)
			for path, prompt := range map[string]string{"/v1/chat/completions": hello, "/v1/completions": `"prompt":"hi"`} {
				plain, _ := streamed(t, f, path, prompt+","+c.fields)
				if len(plain) != 1 || plain[0] != c.want {
					t.Errorf("%s: got %v, want %q", path, plain, c.want)
				}
			}
		})
	}
}

func TestSeveralChoices(t *testing.T) {
	f := newFixture(t, "abc STOP\x00")
	plain, _ := streamed(t, f, "/v1/chat/completions", hello+`,"n":3,"stop":"STOP"`)
	if len(plain) != 3 || plain[0] != "abc |stop" || plain[2] != "abc |stop" {
		t.Errorf("got %v", plain)
	}
	plain, _ = streamed(t, f, "/v1/completions", `"prompt":["a","b"],"n":2,"max_tokens":2`)
	if len(plain) != 4 || plain[3] != "ab|length" {
		t.Errorf("got %v", plain)
	}
}

func TestPromptForms(t *testing.T) {
	f := newFixture(t, "x\x00")
	for prompt, tokens := range map[string]float64{
		`"abc"`:           3,
		`["abc"]`:         3,
		`["ab","abc"]`:    5,
		`[5,6,7,8]`:       4,
		`[[5,6],[7,8,9]]`: 5,
		`""`:              1,
	} {
		a := f.post(t, "/v1/completions", `{"max_tokens":4,"prompt":`+prompt+`}`)
		if a.status != 200 {
			t.Errorf("%s: %s", prompt, a.body)
			continue
		}
		if got := at(t, a.get(t), "usage", "prompt_tokens"); got != tokens && !strings.Contains(prompt, "ab") {
			t.Errorf("%s: %v prompt tokens, want %v", prompt, got, tokens)
		}
	}
}

func TestUsage(t *testing.T) {
	f := newFixture(t, "abcdefgh\x00")
	for fields, want := range map[string]float64{
		`"max_tokens":5`:                 5,
		`"max_tokens":50`:                9, // the token that ends the answer counts
		`"max_tokens":50,"stop":["def"]`: 6, // as far as the stop string goes
		`"max_tokens":5,"n":2`:           10,
	} {
		body := f.post(t, "/v1/chat/completions", "{"+hello+`,"stream":false,`+fields+"}").get(t)
		if got := at(t, body, "usage", "completion_tokens"); got != want {
			t.Errorf("%s: %v completion tokens, want %v", fields, got, want)
		}
		u := at(t, body, "usage").(map[string]any)
		if u["total_tokens"] != u["prompt_tokens"].(float64)+u["completion_tokens"].(float64) {
			t.Errorf("usage does not add up: %v", u)
		}
		if at(t, u, "prompt_tokens_details", "cached_tokens") == nil {
			t.Errorf("no cached_tokens: %v", u)
		}
	}
}

func TestStreamWithoutUsageHasNone(t *testing.T) {
	f := newFixture(t, "abc\x00")
	a := f.post(t, "/v1/chat/completions", "{"+hello+`,"stream":true}`)
	if strings.Contains(a.body, "usage") {
		t.Errorf("usage in %s", a.body)
	}
}

func TestChatLogprobs(t *testing.T) {
	f := newFixture(t, "ab STOP")
	for _, stream := range []string{"false", "true"} {
		a := f.post(t, "/v1/chat/completions", "{"+hello+`,"logprobs":true,"top_logprobs":2,"stop":"STOP","stream":`+stream+`}`)
		var tokens []string
		collect := func(choice any) {
			l, _ := at(t, choice, "logprobs").(map[string]any)
			if l == nil {
				return
			}
			for _, one := range l["content"].([]any) {
				m := one.(map[string]any)
				tokens = append(tokens, m["token"].(string))
				if len(m["top_logprobs"].([]any)) != 2 || m["logprob"].(float64) > 0 || len(m["bytes"].([]any)) == 0 {
					t.Errorf("got %v", m)
				}
				if top := at(t, m, "top_logprobs", 0); at(t, top, "token") != m["token"] || at(t, top, "logprob") != m["logprob"] {
					t.Errorf("the likeliest token of %v was not chosen", m)
				}
			}
		}
		if stream == "true" {
			for _, e := range decodeAll(t, events(t, a.body)) {
				collect(at(t, e, "choices", 0))
			}
		} else {
			collect(at(t, a.get(t), "choices", 0))
		}
		if got := strings.Join(tokens, ","); got != "a,b, " {
			t.Errorf("stream %s: tokens %q", stream, got)
		}
	}
}

func TestCompletionEchoAndLogprobs(t *testing.T) {
	f := newFixture(t, "..é!xyz") // with the prompt's probabilities wanted, the script begins with the prompt
	a := f.post(t, "/v1/completions", `{"prompt":[100,101,102],"max_tokens":4,"echo":true,"logprobs":1}`)
	if a.status != 200 {
		t.Fatal(a.body)
	}
	c := at(t, a.get(t), "choices", 0)
	text := at(t, c, "text").(string)
	if text != "abcé!x" {
		t.Errorf("text %q", text)
	}
	l := at(t, c, "logprobs").(map[string]any)
	if got := fmt.Sprint(l["text_offset"]); got != "[0 1 2 3 3 4 5]" {
		t.Errorf("offsets %s", got)
	}
	if p := l["token_logprobs"].([]any); len(p) != 7 || p[0] != nil || p[1] == nil {
		t.Errorf("token_logprobs %v", p)
	}
	if len(l["tokens"].([]any)) != 7 || len(l["top_logprobs"].([]any)) != 7 {
		t.Errorf("got %v", l)
	}
	// The prompt alone, as evaluation harnesses ask for it.
	a = f.post(t, "/v1/completions", `{"prompt":[100,101,102],"max_tokens":0,"echo":true,"logprobs":1}`)
	if got := fmt.Sprint(at(t, a.get(t), "choices", 0, "logprobs", "tokens")); got != "[a b c]" {
		t.Errorf("got %s", got)
	}
	plain, _ := streamed(t, f, "/v1/completions", `"prompt":"abc","max_tokens":4,"echo":true`)
	if plain[0] != "abc..é|length" {
		t.Errorf("got %v", plain)
	}
	streamed(t, f, "/v1/completions", `"prompt":"abc","max_tokens":4,"echo":true,"logprobs":3`)
}

// Offsets are in characters, whatever the tokens are, and the same streamed.
func TestOffsetsAreInCharacters(t *testing.T) {
	f := newFixture(t, "....京é!🙂")
	e1, e2 := byteToken+0xc3, byteToken+0xa9 // é in two tokens
	fields := fmt.Sprintf(`"prompt":[%d,%d,100,%d,%d],"max_tokens":10,"echo":true,"logprobs":1`, e1, e2, e1, e2)
	c := at(t, f.post(t, "/v1/completions", "{"+fields+"}").get(t), "choices", 0)
	// With the prompt's probabilities wanted, the script begins with the prompt.
	want := "[0 0 1 2 2 3 3 3 4 4 5 6 6 6 6]"
	if got := fmt.Sprint(at(t, c, "logprobs", "text_offset")); at(t, c, "text") != "éaé京é!🙂" || got != want {
		t.Errorf("text %q, offsets %s, want %s", at(t, c, "text"), got, want)
	}
	var offsets []any
	for _, e := range decodeAll(t, events(t, f.post(t, "/v1/completions", "{"+fields+`,"stream":true}`).body)) {
		if l, ok := at(t, e, "choices", 0, "logprobs").(map[string]any); ok {
			offsets = append(offsets, l["text_offset"].([]any)...)
		}
	}
	if got := fmt.Sprint(offsets); got != want {
		t.Errorf("streamed: offsets %s, want %s", got, want)
	}
}

// stop_reason is the stop string or token that the request named, and nothing
// where the answer ended by itself.
func TestStopReason(t *testing.T) {
	stop := byteToken + 'd'
	for name, c := range map[string]struct {
		script, fields string
		want           any
	}{
		"string":        {"abcdef", `"stop":["cd","x"]`, "cd"},
		"token":         {"abcdef", fmt.Sprintf(`"stop_token_ids":[%d]`, stop), float64(stop)},
		"end of answer": {"abc\x00", `"stop":["x"]`, nil},
		"end, named":    {"abc\x00", `"stop_token_ids":[2]`, nil},
		"end, ignored":  {"abc\x00", `"stop_token_ids":[2],"ignore_eos":true`, 2.0},
		"length":        {"abcdef", `"max_tokens":2`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, c.script)
			for path, prompt := range map[string]string{"/v1/chat/completions": hello, "/v1/completions": `"prompt":"hi"`} {
				body := prompt + "," + c.fields
				if got := at(t, f.post(t, path, "{"+body+"}").get(t), "choices", 0).(map[string]any)["stop_reason"]; got != c.want {
					t.Errorf("%s: %v, want %v", path, got, c.want)
				}
				all := decodeAll(t, events(t, f.post(t, path, "{"+body+`,"stream":true}`).body))
				last := at(t, all[len(all)-1], "choices", 0).(map[string]any)
				if got := last["stop_reason"]; got != c.want || last["finish_reason"] == nil {
					t.Errorf("%s streamed: %v, want %v: %v", path, got, c.want, last)
				}
			}
		})
	}
}

func TestModels(t *testing.T) {
	f := newFixture(t, "x")
	list := f.do(t, "GET", "/v1/models", "").get(t)
	if at(t, list, "data", 0, "id") != "org/tiny" || at(t, list, "data", 0, "max_model_len") != 512.0 {
		t.Errorf("got %v", list)
	}
	if at(t, list, "data", 1, "id") != "tiny" || at(t, list, "data", 1, "root") != "org/tiny" || len(list["data"].([]any)) != 2 {
		t.Errorf("the alias is not listed: %v", list)
	}
	if m := f.do(t, "GET", "/v1/models/tiny", "").get(t); m["id"] != "tiny" {
		t.Errorf("got %v", m)
	}
	// Anthropic's clients read other fields.
	if at(t, list, "data", 1, "type") != "model" || at(t, list, "data", 1, "display_name") != "tiny" || at(t, list, "data", 1, "created_at") != "2023-11-14T22:13:20Z" ||
		list["has_more"] != false || list["first_id"] != "org/tiny" || list["last_id"] != "tiny" {
		t.Errorf("got %v", list)
	}
	for path, body := range streams {
		if !strings.HasPrefix(path, "/generate") {
			m := f.post(t, path, `{"model":"tiny",`+strings.Replace(fmt.Sprintf(body, "x"), "true", "false", 1)+"}").get(t)
			if m["model"] != "tiny" {
				t.Errorf("%s answers as %v, asked as tiny", path, m["model"])
			}
		}
		a := f.post(t, path, `{"model":"gpt-4",`+fmt.Sprintf(body, "x")+"}")
		if a.status != 404 || !strings.Contains(a.body, "org/tiny, tiny") {
			t.Errorf("%s: an unknown model: status %d, %s", path, a.status, a.body)
		}
	}
	for path, status := range map[string]int{"/v1/models/org/tiny": 200, "/v1/models/tiny": 200, "/v1/models/other": 404, "/v1/models/": 404} {
		if a := f.do(t, "GET", path, ""); a.status != status {
			t.Errorf("%s: status %d: %s", path, a.status, a.body)
		}
	}
}

func TestOpenAIErrors(t *testing.T) {
	f := newFixture(t, "abc\x00")
	long := strings.Repeat(`x y `, 600)
	for _, c := range []struct {
		path, body  string
		status      int
		kind, param string
		code        any
	}{
		{"chat/completions", `{`, 400, "invalid_request_error", "", nil},
		{"chat/completions", ``, 400, "invalid_request_error", "", nil},
		{"chat/completions", `[]`, 400, "invalid_request_error", "", nil},
		{"chat/completions", `{}`, 400, "invalid_request_error", "messages", nil},
		{"chat/completions", `{"messages":[]}`, 400, "invalid_request_error", "messages", nil},
		{"chat/completions", `{"messages":[{"role":"user","content":1}]}`, 400, "invalid_request_error", "messages[0].content", nil},
		{"chat/completions", `{` + hello + `,"model":"gpt-4"}`, 404, "not_found_error", "model", "model_not_found"},
		{"chat/completions", `{` + hello + `,"model":7}`, 400, "invalid_request_error", "model", nil},
		{"chat/completions", `{` + hello + `,"temperature":"hot"}`, 400, "invalid_request_error", "temperature", nil},
		{"chat/completions", `{` + hello + `,"temperature":-1}`, 400, "invalid_request_error", "temperature", nil},
		{"chat/completions", `{` + hello + `,"temperature":2.1}`, 400, "invalid_request_error", "temperature", nil},
		{"chat/completions", `{` + hello + `,"top_p":1.1}`, 400, "invalid_request_error", "top_p", nil},
		{"chat/completions", `{` + hello + `,"top_k":-2}`, 400, "invalid_request_error", "top_k", nil},
		{"chat/completions", `{` + hello + `,"min_p":-0.1}`, 400, "invalid_request_error", "min_p", nil},
		{"chat/completions", `{` + hello + `,"max_tokens":0}`, 400, "invalid_request_error", "max_tokens", nil},
		{"chat/completions", `{` + hello + `,"max_tokens":1.5}`, 400, "invalid_request_error", "max_tokens", nil},
		{"chat/completions", `{` + hello + `,"max_completion_tokens":-1}`, 400, "invalid_request_error", "max_completion_tokens", nil},
		{"chat/completions", `{` + hello + `,"n":0}`, 400, "invalid_request_error", "n", nil},
		{"chat/completions", `{` + hello + `,"n":1000}`, 400, "invalid_request_error", "n", nil},
		{"chat/completions", `{` + hello + `,"stop":5}`, 400, "invalid_request_error", "stop", nil},
		{"chat/completions", `{` + hello + `,"stop":["a",""]}`, 400, "invalid_request_error", "stop", nil},
		{"chat/completions", `{` + hello + `,"stop_token_ids":[99999]}`, 400, "invalid_request_error", "stop_token_ids", nil},
		{"chat/completions", `{` + hello + `,"logit_bias":{"x":1}}`, 400, "invalid_request_error", "logit_bias", nil},
		{"chat/completions", `{` + hello + `,"logit_bias":{"400":1}}`, 400, "invalid_request_error", "logit_bias", nil},
		{"chat/completions", `{` + hello + `,"logit_bias":{"4":101}}`, 400, "invalid_request_error", "logit_bias", nil},
		{"chat/completions", `{` + hello + `,"presence_penalty":3}`, 400, "invalid_request_error", "presence_penalty", nil},
		{"chat/completions", `{` + hello + `,"frequency_penalty":-3}`, 400, "invalid_request_error", "frequency_penalty", nil},
		{"chat/completions", `{` + hello + `,"repetition_penalty":0}`, 400, "invalid_request_error", "repetition_penalty", nil},
		{"chat/completions", `{` + hello + `,"logprobs":3}`, 400, "invalid_request_error", "logprobs", nil},
		{"chat/completions", `{` + hello + `,"top_logprobs":3}`, 400, "invalid_request_error", "top_logprobs", nil},
		{"chat/completions", `{` + hello + `,"logprobs":true,"top_logprobs":21}`, 400, "invalid_request_error", "top_logprobs", nil},
		{"chat/completions", `{` + hello + `,"stream":"yes"}`, 400, "invalid_request_error", "stream", nil},
		{"chat/completions", `{` + hello + `,"stream_options":{"include_usage":true}}`, 400, "invalid_request_error", "stream_options", nil},
		{"chat/completions", `{` + hello + `,"tools":[{"type":"function"}]}`, 400, "invalid_request_error", "tools[0].function", nil},
		{"chat/completions", `{` + hello + `,"tool_choice":"required"}`, 400, "invalid_request_error", "tool_choice", nil},
		{"chat/completions", `{` + hello + `,"response_format":{"type":"xml"}}`, 400, "invalid_request_error", "response_format", nil},
		{"chat/completions", `{` + hello + `,"guided_regex":"(a"}`, 400, "invalid_request_error", "guided_regex", nil},
		{"chat/completions", `{` + hello + `,"chat_template_kwargs":[]}`, 400, "invalid_request_error", "chat_template_kwargs", nil},
		{"chat/completions", `{"messages":[{"role":"user","content":"` + long + `"}]}`, 400, "exceed_context_size_error", "", "context_length_exceeded"},
		{"chat/completions", `{"messages":[{"role":"user","content":"x"},{"role":"tool","content":"y"}]}`, 400, "invalid_request_error", "messages[1].tool_call_id", nil},
		{"chat/completions", `{"messages":[{"role":"tool","content":"y","tool_call_id":""}]}`, 400, "invalid_request_error", "messages[0].tool_call_id", nil},
		{"completions", `{}`, 400, "invalid_request_error", "prompt", nil},
		{"completions", `{"prompt":null}`, 400, "invalid_request_error", "prompt", nil},
		{"completions", `{"prompt":[]}`, 400, "invalid_request_error", "prompt", nil},
		{"completions", `{"prompt":{}}`, 400, "invalid_request_error", "prompt", nil},
		{"completions", `{"prompt":5}`, 400, "invalid_request_error", "prompt", nil},
		{"completions", `{"prompt":["a",5]}`, 400, "invalid_request_error", "prompt", nil},
		{"completions", `{"prompt":[1,"a"]}`, 400, "invalid_request_error", "prompt", nil},
		{"completions", `{"prompt":[400]}`, 400, "invalid_request_error", "prompt", nil},
		{"completions", `{"prompt":[-1]}`, 400, "invalid_request_error", "prompt", nil},
		{"completions", `{"prompt":[[1],[]]}`, 400, "invalid_request_error", "prompt[1]", nil},
		{"completions", `{"prompt":"x","logprobs":21}`, 400, "invalid_request_error", "logprobs", nil},
		{"completions", `{"prompt":"x","logprobs":true}`, 400, "invalid_request_error", "logprobs", nil},
		{"completions", `{"prompt":"x","suffix":"y"}`, 400, "invalid_request_error", "suffix", "unsupported_parameter"},
		{"completions", `{"prompt":"x","best_of":1,"n":2}`, 400, "invalid_request_error", "best_of", nil},
		{"completions", `{"prompt":"x","best_of":0}`, 400, "invalid_request_error", "best_of", nil},
		{"completions", `{"prompt":"x","best_of":129}`, 400, "invalid_request_error", "best_of", nil},
		{"completions", `{"prompt":["x","y"],"best_of":65}`, 400, "invalid_request_error", "best_of", nil},
		{"completions", `{"prompt":"x","best_of":2,"stream":true}`, 400, "invalid_request_error", "best_of", nil},
		{"chat/completions", `{` + hello + `,"best_of":2}`, 400, "invalid_request_error", "best_of", "unsupported_parameter"},
		{"completions", `{"prompt":"` + long + `"}`, 400, "exceed_context_size_error", "", "context_length_exceeded"},
	} {
		a := f.post(t, "/v1/"+c.path, c.body)
		if a.status != c.status {
			t.Errorf("%.80s: status %d, want %d: %s", c.body, a.status, c.status, a.body)
			continue
		}
		e := at(t, a.get(t), "error").(map[string]any)
		param, _ := e["param"].(string)
		if e["type"] != c.kind || param != c.param || e["code"] != c.code || e["message"] == "" {
			t.Errorf("%.80s: got %v", c.body, e)
		}
		if c.kind == "exceed_context_size_error" && (e["n_ctx"] != 512.0 || e["n_prompt_tokens"].(float64) < 512) {
			t.Errorf("numbers of %v", e)
		}
	}
}

func TestQueueFull(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t, "abc", func(_ *Config, e *engineConfig) { e.MaxBatch, e.MaxQueue = 1, 1 })
		slow(5*time.Millisecond, f)
		done := make(chan answer)
		for range 2 {
			go func() { done <- f.post(t, "/v1/completions", `{"prompt":"abc","max_tokens":100}`) }()
		}
		waitFor(t, "the queue to fill", func() bool { s := f.engine.Stats(); return s.Running == 1 && s.Waiting == 1 })
		for path := range streams {
			a := f.post(t, path, streamBody(path, "x", ""))
			if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "1" || !strings.Contains(a.body, "waiting") {
				t.Errorf("%s: status %d: %s", path, a.status, a.body)
			}
		}
		for range 2 {
			<-done
		}
	})
}

// What can never run is refused for good, not with an invitation to try again.
func TestMoreThanCanEverRun(t *testing.T) {
	f := newFixture(t, "abc", func(_ *Config, e *engineConfig) { e.MaxBatch, e.MaxQueue = 1, 1 })
	for param, c := range map[string][2]string{
		"n":      {"chat/completions", "{" + hello + `,"n":3}`},
		"n ":     {"completions", `{"prompt":"x","n":3}`},
		"prompt": {"completions", `{"prompt":["a","b","c"]}`},
	} {
		a := f.post(t, "/v1/"+c[0], c[1])
		if a.status != 400 || at(t, a.get(t), "error", "param") != strings.TrimSpace(param) || a.header.Get("Retry-After") != "" {
			t.Errorf("%s: status %d: %s", c[1], a.status, a.body)
		}
	}
}

// TestLongPromptsAreNotCounted: a prompt that is somewhat too long is told its
// length; of a longer one the tokens are not counted to the end.
func TestLongPromptsAreNotCounted(t *testing.T) {
	f := newFixture(t, "abc")
	for words, want := range map[int]string{700: "request (", 2500: "request (more than 2048 tokens)"} {
		text := strings.Repeat("q ", words)
		for path := range streams {
			a := f.post(t, path, streamBody(path, text, ""))
			if a.status != 400 || !strings.Contains(a.body, want) || words == 700 && strings.Contains(a.body, "than") {
				t.Errorf("%s: status %d: %.200s", path, a.status, a.body)
			}
		}
	}
}

// A prompt that is far too long is refused before it costs the time of making
// tokens out of it.
func TestHugePromptsCostNothing(t *testing.T) {
	f := newFixture(t, "abc")
	huge := strings.Repeat("word ", 1<<20)
	f.post(t, "/v1/completions", `{"prompt":"`+huge[:len(huge)/8]+`"}`) // anything that is done once
	start := cpu.Used()
	f.model.Tokenizer.Encode(huge, true, true)
	encode := cpu.Used() - start
	for path := range streams {
		body := streamBody(path, huge, "")
		start := cpu.Used()
		var parsed map[string]any
		if err := json.Unmarshal([]byte(body), &parsed); err != nil {
			t.Fatal(err)
		}
		parse := cpu.Used() - start
		start = cpu.Used()
		a := f.post(t, path, body)
		spent := cpu.Used() - start
		if a.status != 400 || !strings.Contains(a.body, "exceeds the available context size (512 tokens)") || !strings.Contains(a.body, "at least") {
			t.Errorf("%s: status %d: %.200s", path, a.status, a.body)
		}
		if spent > encode/2+6*parse {
			t.Errorf("%s: the refusal took %v; reading the body takes %v, its tokens %v", path, spent, parse, encode)
		}
	}
}
