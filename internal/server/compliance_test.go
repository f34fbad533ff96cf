package server

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compliance are the cases that Open Responses asks of every server. The model of the
// fixture says the same to all of them.
var compliance = []struct {
	name, fields string
	streamed     bool
	says         string
	items        []string // what the output has
}{
	{"basic response", `"input":[{"type":"message","role":"user","content":"Say hello."}]`, false, "Hello.\x00", []string{"message"}},
	{"streaming response", `"input":[{"type":"message","role":"user","content":"Count."}]`, true, "1, 2\x00", []string{"message"}},
	{"system prompt", `"input":[{"type":"message","role":"system","content":"You are a pirate."},{"type":"message","role":"user","content":"Say hello."}]`, false, "Ahoy.\x00", []string{"message"}},
	{"tool calling", `"input":[{"type":"message","role":"user","content":"How is the weather?"}],"tools":[` + barestTool + `]`, false, aCall + "\x00", []string{"reasoning", "message", "function_call"}},
	{"tool calling, streaming", `"input":[{"type":"message","role":"user","content":"How is the weather?"}],"tools":[` + barestTool + `]`, true, aCall + "\x00", []string{"reasoning", "message", "function_call"}},
	{"multi-turn conversation", `"input":[{"type":"message","role":"user","content":"My name is Alice."},{"type":"message","role":"assistant","content":"Hello Alice!"},{"type":"message","role":"user","content":"Who am I?"}]`, false, "Alice.\x00", []string{"message"}},
	{"only reasoning, streaming", `"input":"hi"`, true, "<think>\nhm\n</think>\n\n\x00", []string{"reasoning", "message"}},
}

// barestTool leaves out what a request may leave out, and the response must have.
const barestTool = `{"type":"function","name":"weather"}`

// responseSchemas are the schemas of responses and of events.
func responseSchemas(t *testing.T) (response, event *jsonschema.Schema) {
	t.Helper()
	file, err := os.Open("testdata/responses.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	doc, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	const at = "https://example.org/responses.json"
	c := jsonschema.NewCompiler()
	if err := c.AddResource(at, doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile(at + "#/$defs/response"), c.MustCompile(at + "#/$defs/event")
}

// The cases of Open Responses: each response and each event is valid under the schema,
// and events come in their order.
func TestOpenResponses(t *testing.T) {
	response, event := responseSchemas(t)
	for _, c := range compliance {
		t.Run(c.name, func(t *testing.T) {
			f := withTools(t, c.says)
			var last any
			if !c.streamed {
				a := f.post(t, "/v1/responses", `{"model":"tiny",`+c.fields+`}`)
				if a.status != 200 {
					t.Fatalf("%d %s", a.status, a.body)
				}
				last = a.get(t)
			} else {
				names, data := named(t, f.post(t, "/v1/responses", `{"model":"tiny","stream":true,`+c.fields+`}`).body)
				for i, d := range data {
					if err := event.Validate(d); err != nil || d["type"] != names[i] || d["sequence_number"] != float64(i) {
						t.Errorf("event %d, %s: %v\n%v", i, names[i], err, d)
					}
				}
				checkOrder(t, data)
				last = data[len(data)-1]["response"]
			}
			if err := response.Validate(last); err != nil {
				t.Errorf("%v\n%v", err, last)
			}
			var items []string
			for _, item := range at(t, last, "output").([]any) {
				items = append(items, at(t, item, "type").(string))
			}
			if at(t, last, "status") != "completed" || !slices.Equal(items, c.items) {
				t.Errorf("%v with the items %q, want %q", at(t, last, "status"), items, c.items)
			}
		})
	}
	t.Run("image input", func(t *testing.T) { // the model has no eyes, and says so
		a := newFixture(t, "x\x00").post(t, "/v1/responses", `{"input":[{"type":"message","role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,AA=="}]}]}`)
		if a.status != 400 || !strings.Contains(a.body, "input_image") || !strings.Contains(a.body, "takes text only") {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

// checkOrder: a stream begins with created and in_progress, each item is added, written
// and done before the next one, and the last event says how it ended.
func checkOrder(t *testing.T, data []map[string]any) {
	t.Helper()
	open, part := false, false
	for i, d := range data {
		kind := strings.TrimPrefix(d["type"].(string), "response.")
		ok := true
		switch kind {
		case "created":
			ok = i == 0
		case "in_progress":
			ok = i == 1
		case "completed", "incomplete", "failed":
			ok = i == len(data)-1 && !open
		case "output_item.added":
			ok, open = !open && i > 1, true
		case "content_part.added":
			ok, part = open && !part, true
		case "content_part.done":
			ok, part = part, false
		case "output_item.done":
			ok, open = open && !part, false
		case "function_call_arguments.delta", "function_call_arguments.done":
			ok = open && !part
		default: // of a text
			ok = open && part
		}
		if !ok {
			t.Errorf("event %d is %s", i, kind)
		}
	}
	if len(data) < 3 || open {
		t.Errorf("%d events, and an item is open: %t", len(data), open)
	}
}
