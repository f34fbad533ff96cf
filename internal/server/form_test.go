package server

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const personSchema = `{"type":"object","properties":{"name":{"type":"string","maxLength":8},"age":{"type":"integer","minimum":0,"maximum":150},"tags":{"type":"array","items":{"enum":["a","b"]},"maxItems":2}},"required":["name","age"],"additionalProperties":false}`

// valid checks a text against a schema with a validator that is not ours.
func valid(t *testing.T, schema, text string) {
	t.Helper()
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", parsed); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if err := compiled.Validate(v); err != nil {
		t.Errorf("%q: %v", text, err)
	}
}

// TestForms has a model that likes every letter equally answer in a form, on each
// route, within its limit of tokens.
func TestForms(t *testing.T) {
	f := serve(t, &flat{})
	for seed := range 4 {
		for name, c := range map[string]struct {
			path, body string
			text       func(v map[string]any) any
		}{
			"chat": {"/v1/chat/completions", `{` + hello + `,"max_tokens":60,"response_format":{"type":"json_schema","json_schema":{"name":"p","strict":true,"schema":` + personSchema + `}}`,
				func(v map[string]any) any { return at(t, v, "choices", 0, "message", "content") }},
			"guided_json": {"/v1/completions", `{"prompt":"x","max_tokens":60,"guided_json":` + personSchema, func(v map[string]any) any { return at(t, v, "choices", 0, "text") }},
			"structured":  {"/v1/completions", `{"prompt":"x","max_tokens":60,"structured_outputs":{"json":` + personSchema + `}`, func(v map[string]any) any { return at(t, v, "choices", 0, "text") }},
			"json_schema": {"/completion", `{"prompt":"x","n_predict":60,"json_schema":` + personSchema, func(v map[string]any) any { return v["content"] }},
			"ollama":      {"/api/chat", `{"model":"tiny","stream":false,"messages":[{"role":"user","content":"x"}],"options":{"num_predict":60,"seed":` + fmt.Sprint(seed) + `},"format":` + personSchema, func(v map[string]any) any { return at(t, v, "message", "content") }},
			"responses":   {"/v1/responses", `{"input":"x","max_output_tokens":60,"text":{"format":{"type":"json_schema","name":"p","schema":` + personSchema + `}}`, func(v map[string]any) any { return at(t, v, "output", 0, "content", 0, "text") }},
			"anthropic":   {"/v1/messages", `{"max_tokens":60,"messages":[{"role":"user","content":"x"}],"output_format":{"type":"json_schema","schema":` + personSchema + `}`, func(v map[string]any) any { return at(t, v, "content", 0, "text") }},
		} {
			body := c.body
			if strings.HasPrefix(c.path, "/v1/c") || c.path == "/completion" {
				body += fmt.Sprintf(`,"seed":%d`, seed)
			}
			a := f.post(t, c.path, body+"}")
			if a.status != 200 {
				t.Fatalf("%s: %d %s", name, a.status, a.body)
			}
			valid(t, personSchema, c.text(a.get(t)).(string))
		}
	}
}

// TestFormsInStreams: a stream has the same texts, and says that the answer ended.
func TestFormsInStreams(t *testing.T) {
	f := serve(t, &flat{})
	text, reason := "", ""
	for _, e := range decodeAll(t, events(t, f.post(t, "/v1/chat/completions", `{`+hello+`,"max_tokens":70,"stream":true,"response_format":{"type":"json_object"}}`).body)) {
		if s, ok := at(t, e, "choices", 0, "delta").(map[string]any)["content"].(string); ok {
			text += s
		}
		if s, ok := at(t, e, "choices", 0, "finish_reason").(string); ok {
			reason = s
		}
	}
	var v map[string]any
	if json.Unmarshal([]byte(text), &v) != nil || reason != "stop" {
		t.Errorf("%q, %s", text, reason)
	}
}

func TestPatternsAndChoices(t *testing.T) {
	f := serve(t, &flat{})
	for field, want := range map[string]string{
		`"guided_regex":"[a-c]{3}-[0-9]{2}"`:                        `^[a-c]{3}-[0-9]{2}$`,
		`"guided_choice":["yes","no"]`:                              `^(yes|no)$`,
		`"grammar":"root ::= \"<\" [x-z]+ \">\""`:                   `^<[x-z]+>$`,
		`"structured_outputs":{"regex":"(ab){2}"}`:                  `^abab$`,
		`"structured_outputs":{"grammar":"root ::= \"a\" | \"b\""}`: `^[ab]$`,
	} {
		v := f.post(t, "/v1/completions", `{"prompt":"x","max_tokens":30,`+field+`}`).get(t)
		if text, _ := at(t, v, "choices", 0, "text").(string); !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("%s: %q", field, text)
		}
	}
}

// TestFormAfterReasoning: what the model thinks is free.
func TestFormAfterReasoning(t *testing.T) {
	f := withTools(t, "so so</think>\n\n{\"a\": 1}\x00")
	tmpl := strings.Replace(toolTemplate, "<|im_start|>assistant\n{% endif %}", "<|im_start|>assistant\n<think>\n{% endif %}", 1)
	f.model.Chat = newTemplate(t, tmpl)
	m, reason := whole(t, f, `{"messages":[{"role":"user","content":"hi"}],"max_tokens":90,"response_format":{"type":"json_object"}}`)
	if m.Reasoning != "so so" || !json.Valid([]byte(*m.Content)) || reason != "stop" {
		t.Errorf("%+v, %s", m, reason)
	}
}

// TestNoThinkingAsked: templates that know no efforts are told to do without thinking,
// unless the request says otherwise itself.
func TestNoThinkingAsked(t *testing.T) {
	f := newFixture(t, "ok")
	f.model.Chat = newTemplate(t, `{{ messages[0].content }}{% if enable_thinking is defined and not enable_thinking %} without{% endif %}`)
	plain := f.post(t, "/v1/chat/completions", `{`+hello+`,"max_tokens":1}`).get(t)
	for fields, want := range map[string]float64{
		`"chat_template_kwargs":{"enable_thinking":false}`:                          5,
		`"reasoning_effort":"none"`:                                                 5,
		`"reasoning_effort":"none","chat_template_kwargs":{"a":1}`:                  5,
		`"reasoning_effort":"none","chat_template_kwargs":{"enable_thinking":true}`: 0,
		`"reasoning_effort":"low"`:                                                  0,
		`"reasoning_effort":"low","chat_template_kwargs":{"enable_thinking":false}`: 5,
	} {
		v := f.post(t, "/v1/chat/completions", `{`+hello+`,"max_tokens":1,`+fields+`}`).get(t)
		if got := at(t, v, "usage", "prompt_tokens").(float64) - at(t, plain, "usage", "prompt_tokens").(float64); got != want {
			t.Errorf("%s: %v tokens more than without, want %v", fields, got, want)
		}
	}
}

func TestBadForms(t *testing.T) {
	f := withTools(t, "ok\x00")
	for fields, want := range map[string]string{
		`"response_format":{"type":"xml"}`:         "response_format.type must be",
		`"response_format":{"type":"json_schema"}`: "response_format has no schema",
		`"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object","properties":{"a":{"$ref":"http://example.com/x"}}}}}`: "$ref",
		`"guided_regex":"(?=a"`:                    "guided_regex",
		`"guided_regex":5`:                         "guided_regex must be a text",
		`"guided_choice":[]`:                       "guided_choice",
		`"grammar":"root ::= nothing"`:             "grammar",
		`"guided_regex":"a","guided_choice":["a"]`: "use one of them",
	} {
		a := f.post(t, "/v1/chat/completions", `{`+hello+`,`+fields+`}`)
		if a.status != 400 || !strings.Contains(strings.ReplaceAll(a.body, "response_format and ", ""), want) {
			t.Errorf("%s: %d %s", fields, a.status, a.body)
		}
	}
}
