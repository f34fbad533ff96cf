package anthropic

import (
	"encoding/json"

	api "github.com/penstock-llm/penstock/api/anthropic"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// fill completes a message with an answer.
func fill(m *api.MessageResponse, a *serving.Collected, maxTokens int) *api.MessageResponse {
	if a.Reasoning != "" {
		m.Content = append(m.Content, api.ThinkingBlock{Type: "thinking", Thinking: a.Reasoning, Signature: m.ID})
	}
	if a.Text != "" {
		m.Content = append(m.Content, api.TextBlock{Type: "text", Text: a.Text})
	}
	for _, c := range a.Calls {
		input := json.RawMessage(c.Arguments)
		if !json.Valid(input) { // cut by max_tokens, which stop_reason says
			input = json.RawMessage("{}")
		}
		m.Content = append(m.Content, api.ToolUseBlock{Type: "tool_use", ID: c.ID, Name: c.Name, Input: input})
	}
	reason := stopReason(a.Result, maxTokens)
	m.StopReason, m.StopSequence = &reason, stopSequence(a.Result)
	m.Usage = usage(a.Result)
	return m
}

// stopReason is why an answer ended, in this protocol's words.
func stopReason(r *serving.Result, maxTokens int) string {
	switch {
	case r.StopWord != "":
		return "stop_sequence"
	case r.Reason == "length" && r.Completion < maxTokens:
		return "model_context_window_exceeded"
	case r.Reason == "length":
		return "max_tokens"
	case r.Calls > 0:
		return "tool_use"
	}
	return "end_turn"
}

func stopSequence(r *serving.Result) *string {
	if r.StopWord == "" {
		return nil
	}
	return &r.StopWord
}

func usage(r *serving.Result) api.Usage {
	return api.Usage{InputTokens: r.Prompt - r.Cached, CacheRead: r.Cached, OutputTokens: r.Completion}
}
