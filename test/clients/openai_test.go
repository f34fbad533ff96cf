package clients

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

func newOpenAI() (openai.Client, *bodies) {
	b := &bodies{}
	return openai.NewClient(option.WithBaseURL(address+"/v1/"), option.WithAPIKey("none"), option.WithMaxRetries(0),
		option.WithHTTPClient(&http.Client{Transport: b})), b
}

// ask is a chat request with the likeliest answer.
func ask(text string, tokens int64) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model: model, MaxCompletionTokens: openai.Int(tokens), Temperature: openai.Float(0),
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(text)},
	}
}

func openAITool() openai.ChatCompletionToolUnionParam {
	return openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: toolName, Description: openai.String(description), Parameters: schema})
}

// checkCall fails unless a call asks for the weather of a city.
func checkCall(t *testing.T, name, arguments string) {
	t.Helper()
	var to struct{ City string }
	if err := json.Unmarshal([]byte(arguments), &to); err != nil || name != toolName || to.City == "" {
		t.Errorf("call of %q with %q: %v", name, arguments, err)
	}
}

func TestOpenAIChat(t *testing.T) {
	client, wire := newOpenAI()
	t.Run("chat", func(t *testing.T) {
		a, err := client.Chat.Completions.New(t.Context(), ask(counting, 8))
		if err != nil {
			t.Fatal(err)
		}
		if c := a.Choices[0]; !strings.HasPrefix(c.Message.Content, "1, 2, 3") || c.FinishReason != "length" || a.ID == "" || a.Model != model {
			t.Errorf("%s", a.RawJSON())
		}
		if a.Usage.CompletionTokens != 8 || a.Usage.PromptTokens <= 0 || a.Usage.TotalTokens != a.Usage.PromptTokens+8 {
			t.Errorf("usage %+v", a.Usage)
		}
	})
	t.Run("no reasoning", wire.noReasoning)
	t.Run("stream", func(t *testing.T) {
		p := ask(counting, 8)
		p.StreamOptions.IncludeUsage = openai.Bool(true)
		stream := client.Chat.Completions.NewStreaming(t.Context(), p)
		var all openai.ChatCompletionAccumulator
		for stream.Next() {
			if !all.AddChunk(stream.Current()) {
				t.Fatalf("the client cannot add %s", stream.Current().RawJSON())
			}
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(all.Choices[0].Message.Content, "1, 2, 3") || all.Choices[0].FinishReason != "length" || all.Usage.CompletionTokens != 8 {
			t.Errorf("%+v", all.ChatCompletion)
		}
	})
	t.Run("cached usage", func(t *testing.T) {
		p := ask(strings.Repeat("Water is wet. ", 12)+counting, 1)
		for i := range 2 {
			a, err := client.Chat.Completions.New(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if cached := a.Usage.PromptTokensDetails.CachedTokens; !a.Usage.PromptTokensDetails.JSON.CachedTokens.Valid() || i == 1 && cached < 48 {
				t.Errorf("request %d has %d cached tokens of %d", i, cached, a.Usage.PromptTokens)
			}
		}
	})
	t.Run("stop", func(t *testing.T) {
		p := ask(counting, 20)
		p.Stop.OfStringArray = []string{"4", "zebra"}
		a, err := client.Chat.Completions.New(t.Context(), p)
		if err != nil || a.Choices[0].Message.Content != "1, 2, 3, " || a.Choices[0].FinishReason != "stop" {
			t.Errorf("%v %+v", err, a)
		}
	})
	t.Run("n", func(t *testing.T) {
		p := ask(counting, 4)
		p.N = openai.Int(3)
		a, err := client.Chat.Completions.New(t.Context(), p)
		if err != nil || len(a.Choices) != 3 || a.Choices[2].Index != 2 || a.Usage.CompletionTokens != 12 {
			t.Errorf("%v %+v", err, a)
		}
	})
	t.Run("logprobs", func(t *testing.T) {
		p := ask(counting, 3)
		p.Logprobs, p.TopLogprobs = openai.Bool(true), openai.Int(2)
		a, err := client.Chat.Completions.New(t.Context(), p)
		if err != nil || len(a.Choices[0].Logprobs.Content) != 3 {
			t.Fatalf("%v %+v", err, a)
		}
		for _, token := range a.Choices[0].Logprobs.Content {
			if token.Logprob > 0 || len(token.TopLogprobs) != 2 || token.TopLogprobs[0].Logprob < token.TopLogprobs[1].Logprob || len(token.Bytes) == 0 {
				t.Errorf("%+v", token)
			}
		}
	})
	t.Run("completions", func(t *testing.T) {
		p := openai.CompletionNewParams{Model: model, MaxTokens: openai.Int(4), Temperature: openai.Float(0)}
		p.Prompt.OfString = openai.String("1, 2, 3, 4, 5,")
		a, err := client.Completions.New(t.Context(), p)
		if err != nil || !strings.HasPrefix(a.Choices[0].Text, " 6") {
			t.Errorf("%v %+v", err, a)
		}
		stream := client.Completions.NewStreaming(t.Context(), p)
		text := ""
		for stream.Next() {
			for _, c := range stream.Current().Choices {
				text += c.Text
			}
		}
		if stream.Err() != nil || text != a.Choices[0].Text {
			t.Errorf("%v %q", stream.Err(), text)
		}
	})
}

func TestOpenAITools(t *testing.T) {
	client, _ := newOpenAI()
	t.Run("auto", func(t *testing.T) {
		p := ask(question, 60)
		p.Tools = []openai.ChatCompletionToolUnionParam{openAITool()}
		a, err := client.Chat.Completions.New(t.Context(), p)
		if err != nil || len(a.Choices[0].Message.ToolCalls) != 1 || a.Choices[0].FinishReason != "tool_calls" {
			t.Fatalf("%v %+v", err, a)
		}
		call := a.Choices[0].Message.ToolCalls[0]
		checkCall(t, call.Function.Name, call.Function.Arguments)
		p.Messages = append(p.Messages, a.Choices[0].Message.ToParam(), openai.ToolMessage("Sunny, 23 degrees", call.ID))
		p.ToolChoice.OfAuto = openai.String("none")
		if a, err = client.Chat.Completions.New(t.Context(), p); err != nil || a.Choices[0].Message.Content == "" {
			t.Errorf("with the result of the call: %v %+v", err, a)
		}
	})
	t.Run("forced", func(t *testing.T) {
		p := ask(question, 40)
		p.Tools = []openai.ChatCompletionToolUnionParam{openAITool()}
		p.ToolChoice = openai.ToolChoiceOptionFunctionToolChoice(openai.ChatCompletionNamedToolChoiceFunctionParam{Name: toolName})
		stream := client.Chat.Completions.NewStreaming(t.Context(), p)
		var all openai.ChatCompletionAccumulator
		finished := 0
		for stream.Next() {
			all.AddChunk(stream.Current())
			if call, ok := all.JustFinishedToolCall(); ok {
				finished++
				checkCall(t, call.Name, call.Arguments)
			}
		}
		if stream.Err() != nil || finished != 1 || all.Choices[0].Message.ToolCalls[0].ID == "" {
			t.Errorf("%v, %d calls, %+v", stream.Err(), finished, all.ChatCompletion)
		}
	})
}

func TestOpenAIErrors(t *testing.T) {
	client, _ := newOpenAI()
	unknown, long, message := ask("hi", 1), ask(strings.Repeat("word ", 40000), 1), ask("hi", 1)
	unknown.Model = "gpt-7"
	message.Messages = nil
	for name, c := range map[string]struct {
		params     openai.ChatCompletionNewParams
		status     int
		kind, code string
	}{
		"unknown model": {unknown, 404, "not_found_error", "model_not_found"},
		"too long":      {long, 400, "exceed_context_size_error", "context_length_exceeded"},
		"bad request":   {message, 400, "invalid_request_error", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client.Chat.Completions.New(t.Context(), c.params)
			var api *openai.Error
			if !errors.As(err, &api) || api.StatusCode != c.status || api.Type != c.kind || api.Code != c.code || api.Message == "" {
				t.Errorf("%v: %+v", err, api)
			}
		})
	}
}

func TestOpenAICancel(t *testing.T) {
	client, _ := newOpenAI()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream := client.Chat.Completions.NewStreaming(ctx, ask("Write a long story about a river.", 4000))
	for range 3 {
		if !stream.Next() {
			t.Fatal(stream.Err())
		}
	}
	if running(t) == "0" {
		t.Error("nothing runs in the middle of a stream")
	}
	cancel()
	for stream.Next() { // what was read before
	}
	freed(t)
}

func TestOpenAIModels(t *testing.T) {
	client, _ := newOpenAI()
	list, err := client.Models.List(t.Context())
	if err != nil || len(list.Data) == 0 || list.Data[0].ID != model || list.Data[0].OwnedBy == "" || list.Data[0].Created == 0 {
		t.Fatalf("%v %+v", err, list)
	}
	one, err := client.Models.Get(t.Context(), model)
	if err != nil || one.ID != model || one.Object != "model" {
		t.Errorf("%v %+v", err, one)
	}
	var api *openai.Error
	if _, err = client.Models.Get(t.Context(), "org/none"); !errors.As(err, &api) || api.StatusCode != 404 {
		t.Errorf("a model that is not there: %v", err)
	}
}
