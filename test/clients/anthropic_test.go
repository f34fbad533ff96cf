package clients

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

func newAnthropic() (anthropic.Client, *bodies) {
	b := &bodies{}
	return anthropic.NewClient(option.WithBaseURL(address), option.WithAPIKey("none"), option.WithMaxRetries(0),
		option.WithHTTPClient(&http.Client{Transport: b})), b
}

func message(text string, tokens int64) anthropic.MessageNewParams {
	return anthropic.MessageNewParams{
		Model: model, MaxTokens: tokens, Temperature: anthropic.Float(0),
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(text))},
	}
}

func anthropicTool() anthropic.ToolParam {
	return anthropic.ToolParam{
		Name: toolName, Description: anthropic.String(description),
		InputSchema: anthropic.ToolInputSchemaParam{Properties: schema["properties"], Required: []string{"city"}},
	}
}

func TestAnthropic(t *testing.T) {
	client, wire := newAnthropic()
	t.Run("message", func(t *testing.T) {
		m, err := client.Messages.New(t.Context(), message(counting, 8))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(m.Content[0].AsText().Text, "1, 2, 3") || m.StopReason != "max_tokens" || m.Usage.OutputTokens != 8 || m.Role != "assistant" {
			t.Errorf("%s", m.RawJSON())
		}
	})
	t.Run("no reasoning", wire.noReasoning)
	t.Run("stream", func(t *testing.T) {
		stream := client.Messages.NewStreaming(t.Context(), message(counting, 8))
		var m anthropic.Message
		for stream.Next() {
			if err := m.Accumulate(stream.Current()); err != nil {
				t.Fatal(err)
			}
		}
		if stream.Err() != nil || !strings.HasPrefix(m.Content[0].Text, "1, 2, 3") || m.StopReason != "max_tokens" || m.Usage.OutputTokens != 8 {
			t.Errorf("%v %+v", stream.Err(), m)
		}
	})
	t.Run("stop", func(t *testing.T) {
		p := message(counting, 20)
		p.StopSequences = []string{"4"}
		m, err := client.Messages.New(t.Context(), p)
		if err != nil || m.StopReason != "stop_sequence" || m.StopSequence != "4" || m.Content[0].Text != "1, 2, 3, " {
			t.Errorf("%v %+v", err, m)
		}
	})
	t.Run("cached usage", func(t *testing.T) {
		p := message("hi", 1)
		p.System = []anthropic.TextBlockParam{{Text: strings.Repeat("Grass is green. ", 12), CacheControl: anthropic.NewCacheControlEphemeralParam()}}
		for i := range 2 {
			m, err := client.Messages.New(t.Context(), p)
			if err != nil || i == 1 && m.Usage.CacheReadInputTokens < 48 {
				t.Errorf("request %d: %v %+v", i, err, m)
			}
		}
	})
	t.Run("count tokens", func(t *testing.T) {
		m, err := client.Messages.New(t.Context(), message(counting, 1))
		if err != nil {
			t.Fatal(err)
		}
		n, err := client.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{Model: model, Messages: message(counting, 1).Messages})
		if err != nil || n.InputTokens != m.Usage.InputTokens+m.Usage.CacheReadInputTokens {
			t.Errorf("%v: counted %+v, used %+v", err, n, m.Usage)
		}
	})
	t.Run("models", func(t *testing.T) {
		list, err := client.Models.List(t.Context(), anthropic.ModelListParams{})
		if err != nil || len(list.Data) == 0 || list.Data[0].ID != model {
			t.Errorf("%v %+v", err, list)
		}
		if one, err := client.Models.Get(t.Context(), model, anthropic.ModelGetParams{}); err != nil || one.ID != model {
			t.Errorf("%v %+v", err, one)
		}
	})
}

func TestAnthropicTools(t *testing.T) {
	client, _ := newAnthropic()
	tool := anthropicTool()
	t.Run("auto", func(t *testing.T) {
		p := message(question, 60)
		p.Tools = []anthropic.ToolUnionParam{{OfTool: &tool}}
		m, err := client.Messages.New(t.Context(), p)
		if err != nil || m.StopReason != "tool_use" {
			t.Fatalf("%v %+v", err, m)
		}
		call := m.Content[len(m.Content)-1].AsToolUse()
		checkCall(t, call.Name, string(call.Input))
		p.Messages = append(p.Messages, m.ToParam(), anthropic.NewUserMessage(anthropic.NewToolResultBlock(call.ID, "Sunny, 23 degrees", false)))
		p.ToolChoice.OfNone = &anthropic.ToolChoiceNoneParam{}
		if m, err = client.Messages.New(t.Context(), p); err != nil || len(m.Content) == 0 || m.Content[0].Text == "" {
			t.Errorf("with the result of the call: %v %+v", err, m)
		}
	})
	t.Run("forced", func(t *testing.T) {
		p := message(question, 40)
		p.Tools = []anthropic.ToolUnionParam{{OfTool: &tool}}
		p.ToolChoice = anthropic.ToolChoiceParamOfTool(toolName)
		stream := client.Messages.NewStreaming(t.Context(), p)
		var m anthropic.Message
		for stream.Next() {
			if err := m.Accumulate(stream.Current()); err != nil {
				t.Fatal(err)
			}
		}
		if stream.Err() != nil || m.StopReason != "tool_use" || len(m.Content) != 1 {
			t.Fatalf("%v %+v", stream.Err(), m)
		}
		checkCall(t, m.Content[0].AsToolUse().Name, string(m.Content[0].AsToolUse().Input))
	})
}

func TestAnthropicErrors(t *testing.T) {
	client, _ := newAnthropic()
	unknown, long, none := message("hi", 1), message(strings.Repeat("word ", 40000), 1), message("hi", 0)
	unknown.Model = "claude-9"
	for name, c := range map[string]struct {
		params anthropic.MessageNewParams
		status int
		kind   anthropic.ErrorType
	}{
		"unknown model": {unknown, 404, "not_found_error"},
		"too long":      {long, 400, "invalid_request_error"},
		"bad request":   {none, 400, "invalid_request_error"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client.Messages.New(t.Context(), c.params)
			var api *anthropic.Error
			if !errors.As(err, &api) || api.StatusCode != c.status || api.Type() != c.kind || api.RequestID == "" {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAnthropicCancel(t *testing.T) {
	client, _ := newAnthropic()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream := client.Messages.NewStreaming(ctx, message("Write a long story about a river.", 4000))
	for range 4 {
		if !stream.Next() {
			t.Fatal(stream.Err())
		}
	}
	cancel()
	for stream.Next() { // what was read before
	}
	freed(t)
}
