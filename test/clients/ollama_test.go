package clients

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/ollama/ollama/api"
)

func newOllama(t *testing.T) (*api.Client, *bodies) {
	t.Helper()
	base, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	b := &bodies{}
	return api.NewClient(base, &http.Client{Transport: b}), b
}

func ollamaChat(text string, tokens int) *api.ChatRequest {
	return &api.ChatRequest{
		Model: model, Messages: []api.Message{{Role: "user", Content: text}},
		Options: map[string]any{"num_predict": tokens, "temperature": 0},
	}
}

func ollamaTool() api.Tool {
	properties := api.NewToolPropertiesMap()
	properties.Set("city", api.ToolProperty{Type: api.PropertyType{"string"}})
	return api.Tool{Type: "function", Function: api.ToolFunction{Name: toolName, Description: description,
		Parameters: api.ToolFunctionParameters{Type: "object", Required: []string{"city"}, Properties: properties}}}
}

// talk collects the messages of an answer.
func talk(t *testing.T, client *api.Client, r *api.ChatRequest) (m api.Message, last api.ChatResponse, parts int) {
	t.Helper()
	err := client.Chat(t.Context(), r, func(a api.ChatResponse) error {
		m.Content += a.Message.Content
		m.Thinking += a.Message.Thinking
		m.ToolCalls = append(m.ToolCalls, a.Message.ToolCalls...)
		m.Role, last = a.Message.Role, a
		parts++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, last, parts
}

func TestOllamaChat(t *testing.T) {
	client, wire := newOllama(t)
	whole := new(bool)
	t.Run("chat", func(t *testing.T) {
		r := ollamaChat(counting, 8)
		r.Stream = whole
		m, last, parts := talk(t, client, r)
		if !strings.HasPrefix(m.Content, "1, 2, 3") || parts != 1 || !last.Done || last.DoneReason != "length" || last.EvalCount != 8 || last.PromptEvalCount <= 0 || last.TotalDuration <= 0 {
			t.Errorf("%+v", last)
		}
	})
	t.Run("no reasoning", wire.noReasoning)
	t.Run("stream", func(t *testing.T) {
		m, last, parts := talk(t, client, ollamaChat(counting, 8))
		if !strings.HasPrefix(m.Content, "1, 2, 3") || parts < 4 || !last.Done || last.EvalCount != 8 || m.Role != "assistant" {
			t.Errorf("%d parts, %q, %+v", parts, m.Content, last)
		}
	})
	t.Run("stop", func(t *testing.T) {
		r := ollamaChat(counting, 20)
		r.Options["stop"] = []string{"4"}
		if m, last, _ := talk(t, client, r); m.Content != "1, 2, 3, " || last.DoneReason != "stop" {
			t.Errorf("%q %+v", m.Content, last)
		}
	})
	t.Run("tools", func(t *testing.T) {
		r := ollamaChat(question, 60)
		r.Tools = api.Tools{ollamaTool()}
		m, _, _ := talk(t, client, r)
		if len(m.ToolCalls) != 1 {
			t.Fatalf("%+v", m)
		}
		checkCall(t, m.ToolCalls[0].Function.Name, m.ToolCalls[0].Function.Arguments.String())
		r.Tools = nil
		r.Messages = append(r.Messages, m, api.Message{Role: "tool", ToolName: toolName, Content: "Sunny, 23 degrees"})
		r.Options["num_predict"] = 12
		if m, _, _ = talk(t, client, r); m.Content == "" {
			t.Errorf("with the result of the call: %+v", m)
		}
	})
	t.Run("logprobs", func(t *testing.T) {
		r := ollamaChat(counting, 3)
		r.Stream, r.Logprobs, r.TopLogprobs = whole, true, 2
		_, last, _ := talk(t, client, r)
		if len(last.Logprobs) != 3 || last.Logprobs[0].Logprob > 0 || len(last.Logprobs[0].TopLogprobs) != 2 {
			t.Errorf("%+v", last.Logprobs)
		}
	})
}

func TestOllamaGenerate(t *testing.T) {
	client, _ := newOllama(t)
	generate := func(r *api.GenerateRequest) (text string, last api.GenerateResponse) {
		t.Helper()
		r.Model = model
		if err := client.Generate(t.Context(), r, func(a api.GenerateResponse) error {
			text, last = text+a.Response, a
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return text, last
	}
	options := map[string]any{"num_predict": 6, "temperature": 0}
	text, last := generate(&api.GenerateRequest{Prompt: counting, Options: options})
	if !strings.HasPrefix(text, "1, 2") || !last.Done || len(last.Context) < 20 {
		t.Errorf("%q %+v", text, last)
	}
	again, next := generate(&api.GenerateRequest{Prompt: "And again.", Context: last.Context, Options: options})
	if again == "" || next.PromptEvalCount <= last.PromptEvalCount {
		t.Errorf("with the context: %q %+v", again, next)
	}
	if text, _ = generate(&api.GenerateRequest{Prompt: "1, 2, 3, 4, 5,", Raw: true, Options: options}); !strings.HasPrefix(text, " 6") {
		t.Errorf("raw: %q", text)
	}
	if _, last = generate(&api.GenerateRequest{}); last.DoneReason != "load" {
		t.Errorf("%+v", last)
	}
}

func TestOllamaModels(t *testing.T) {
	client, _ := newOllama(t)
	list, err := client.List(t.Context())
	if err != nil || len(list.Models) == 0 || list.Models[0].Name != model || list.Models[0].Size == 0 || len(list.Models[0].Digest) < 12 || list.Models[0].ModifiedAt.IsZero() {
		t.Errorf("%v %+v", err, list)
	}
	show, err := client.Show(t.Context(), &api.ShowRequest{Model: model})
	if err != nil || show.Details.Family != "qwen2" || show.ModelInfo["qwen2.context_length"] == nil || !slices.Contains(show.Capabilities, "tools") || show.Template == "" {
		t.Errorf("%v %+v", err, show)
	}
	ps, err := client.ListRunning(t.Context())
	if err != nil || len(ps.Models) == 0 || ps.Models[0].ContextLength == 0 || ps.Models[0].ExpiresAt.IsZero() {
		t.Errorf("%v %+v", err, ps)
	}
	if version, err := client.Version(t.Context()); err != nil || version == "" {
		t.Errorf("%v %q", err, version)
	}
	if err := client.Heartbeat(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOllamaErrors(t *testing.T) {
	client, _ := newOllama(t)
	unknown, options := ollamaChat("hi", 1), ollamaChat("hi", 1)
	unknown.Model = "none"
	options.Options["mirostat"] = 2
	for name, c := range map[string]struct {
		request *api.ChatRequest
		status  int
	}{"unknown model": {unknown, 404}, "bad request": {options, 400}} {
		t.Run(name, func(t *testing.T) {
			err := client.Chat(t.Context(), c.request, func(api.ChatResponse) error { return nil })
			var status api.StatusError
			if !errors.As(err, &status) || status.StatusCode != c.status || status.ErrorMessage == "" {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestOllamaCancel(t *testing.T) {
	client, _ := newOllama(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	parts := 0
	err := client.Chat(ctx, ollamaChat("Write a long story about a river.", 4000), func(api.ChatResponse) error {
		if parts++; parts == 3 {
			cancel()
		}
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) { // the client may end without an error
		t.Error(err)
	}
	freed(t)
}
