package serving

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/api/anthropic"
	"github.com/penstock-llm/penstock/api/llamaserver"
	"github.com/penstock-llm/penstock/api/native"
	"github.com/penstock-llm/penstock/api/ollama"
	"github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/api/page"
	"github.com/penstock-llm/penstock/api/rerank"
	"github.com/penstock-llm/penstock/api/responses"
)

var update = flag.Bool("update", false, "write the table into docs/api.md")

// columns are the routes with their request types, as the documentation shows them.
var columns = []struct {
	on      Routes
	paths   []string
	request any
}{
	{OnChat, []string{"/v1/chat/completions"}, openai.ChatRequest{}},
	{OnText, []string{"/v1/completions"}, openai.CompletionRequest{}},
	{OnCompletion, []string{"/completion", "/completions"}, llamaserver.CompletionRequest{}},
	{OnGenerate, []string{"/generate", "/generate_stream"}, native.GenerateRequest{}},
	{OnBenchmark, []string{"/benchmark"}, native.BenchmarkRequest{}},
	{OnEncode, []string{"/encode"}, native.EncodeRequest{}},
	{OnTokenize, []string{"/tokenize"}, llamaserver.TokenizeRequest{}},
	{OnDetokenize, []string{"/detokenize"}, llamaserver.DetokenizeRequest{}},
	{OnTemplate, []string{"/apply-template"}, llamaserver.ApplyTemplateRequest{}},
	{OnMessages, []string{"/v1/messages"}, anthropic.MessagesRequest{}},
	{OnResponses, []string{"/v1/responses", "/v1/responses/input_tokens"}, responses.Request{}},
	{OnCount, []string{"/v1/messages/count_tokens"}, anthropic.Conversation{}},
	{OnOllamaChat, []string{"/api/chat"}, ollama.ChatRequest{}},
	{OnOllamaText, []string{"/api/generate"}, ollama.GenerateRequest{}},
	{OnInfill, []string{"/infill"}, llamaserver.InfillRequest{}},
	{OnOllamaName, []string{"/api/show", "/api/pull", "/api/delete"}, ollama.NameRequest{}},
	{OnOllamaCopy, []string{"/api/copy"}, ollama.CopyRequest{}},
	{OnModel, []string{"/models/load", "/models/unload"}, llamaserver.ModelRequest{}},
	{OnEmbeddings, []string{"/v1/embeddings"}, openai.EmbeddingRequest{}},
	{OnEmbedding, []string{"/embedding", "/embeddings"}, llamaserver.EmbeddingRequest{}},
	{OnOllamaEmbed, []string{"/api/embed"}, ollama.EmbedRequest{}},
	{OnOllamaVector, []string{"/api/embeddings"}, ollama.VectorRequest{}},
	{OnRerank, []string{"/rerank", "/v1/rerank", "/v2/rerank"}, rerank.Request{}},
	{onRender, []string{"/ui/render"}, page.RenderRequest{}},
	{OnScore, []string{"/score", "/v1/score"}, rerank.ScoreRequest{}},
}

// jsonFields are the names of all fields of a request, nested ones with a dot.
func jsonFields(t reflect.Type, prefix string) (names []string) {
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" {
			continue
		}
		names = append(names, prefix+name)
		if inner := f.Type; inner.Kind() == reflect.Pointer && inner.Elem().Kind() == reflect.Struct {
			names = append(names, jsonFields(inner.Elem(), prefix+name+".")...)
		}
	}
	return names
}

// Every field of every request has a row that says what becomes of it, and every
// row that says "honoured" has a field.
func TestEveryFieldHasARow(t *testing.T) {
	for _, c := range columns {
		fields := jsonFields(reflect.TypeOf(c.request), "")
		honoured := 0
		for _, p := range Parameters {
			if p.Honoured&c.on == 0 {
				continue
			}
			honoured++
			if !slices.Contains(fields, p.Name) {
				t.Errorf("%s: %s is called honoured, but the request has no such field", c.paths[0], p.Name)
			}
		}
		for _, name := range fields {
			n := 0
			for _, p := range Parameters {
				if p.Name == name && (p.Honoured|p.Ignored|p.Refused)&c.on != 0 {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%s: %d rows say what becomes of %s, want one", c.paths[0], n, name)
			}
		}
		if honoured == 0 {
			t.Errorf("%s honours nothing", c.paths[0])
		}
	}
}

func TestRowsMakeSense(t *testing.T) {
	for _, p := range Parameters {
		if p.Honoured&p.Ignored|p.Honoured&p.Refused|p.Ignored&p.Refused != 0 || p.Honoured|p.Ignored|p.Refused == 0 {
			t.Errorf("%s: a route does two things, or none does anything", p.Name)
		}
		if p.Ignored != 0 && p.Note == "" {
			t.Errorf("%s is ignored without a reason", p.Name)
		}
	}
	for _, c := range columns {
		for _, path := range c.paths {
			if RouteOf(path) != c.on {
				t.Errorf("%s is not its own column", path)
			}
		}
	}
}

// A parameter that the table refuses gives 400 and its name; null and the values
// that change nothing are accepted.
func TestRefusedByName(t *testing.T) {
	for _, c := range columns {
		for _, p := range Parameters {
			if p.Refused&c.on == 0 || strings.Contains(p.Name, ".") {
				continue
			}
			try := func(value string) *Error {
				return decode(fmt.Appendf(nil, `{%q:%s}`, p.Name, value), reflect.New(reflect.TypeOf(c.request)).Interface(), c.on)
			}
			if err := try(`{"changes":"something"}`); err == nil || err.Param != p.Name || err.Code != "unsupported_parameter" || !strings.Contains(err.Message, p.Name) {
				t.Errorf("%s on %s: %+v", p.Name, c.paths[0], err)
			}
			for _, inert := range append([]string{"null"}, p.Inert...) {
				if err := try(inert); err != nil {
					t.Errorf("%s of %s on %s: %v", p.Name, inert, c.paths[0], err)
				}
			}
		}
	}
}

const (
	docs  = "../../../docs/api.md"
	begin = "<!-- parameters: go test ./internal/server/serving -run TestDocumented -update -->\n"
	end   = "<!-- end of parameters -->\n"
)

func TestDocumented(t *testing.T) {
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", docs)
	}
	want := head + begin + table() + end + tail
	if *update {
		if err := os.WriteFile(docs, []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != want {
		t.Errorf("%s is out of date: run the command in it", docs)
	}
}

// table is the documentation's: the routes that generate text as columns, the
// others in a list.
func table() string {
	var b strings.Builder
	b.WriteString("\n| Parameter | `/v1/chat/completions` | `/v1/completions` | `/completion` | `/generate` | |\n|---|---|---|---|---|---|\n")
	for _, p := range Parameters {
		if (p.Honoured|p.Ignored|p.Refused)&onAll == 0 {
			continue
		}
		fmt.Fprintf(&b, "| `%s` |", p.Name)
		for _, on := range []Routes{OnChat, OnText, OnCompletion, OnGenerate} {
			switch {
			case p.Honoured&on != 0:
				b.WriteString(" yes |")
			case p.Refused&on != 0:
				b.WriteString(" refused |")
			case p.Ignored&on != 0:
				b.WriteString(" ignored |")
			default:
				b.WriteString(" |")
			}
		}
		note := p.Note
		if len(p.Inert) > 0 {
			note = strings.TrimPrefix(note+"; accepted: `"+strings.Join(p.Inert, "`, `")+"`", "; ")
		}
		b.WriteString(strings.TrimRight(" "+note, " ") + " |\n")
	}
	b.WriteString("\n| Route | Honoured | Refused | Ignored |\n|---|---|---|---|\n")
	for _, c := range columns[4:] {
		var yes, no, ignored []string
		for _, p := range Parameters {
			switch name := "`" + p.Name + "`"; {
			case p.Honoured&c.on != 0:
				yes = append(yes, name)
			case p.Refused&c.on != 0:
				no = append(no, name)
			case p.Ignored&c.on != 0:
				ignored = append(ignored, name+" ("+p.Note+")")
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", c.paths[0], strings.Join(yes, ", "), strings.Join(no, ", "), strings.Join(ignored, ", "))
	}
	b.WriteString("\n")
	return b.String()
}
