package openai

import (
	"encoding/json"
	"fmt"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// ParseTools reads the tools of a chat request: an array of functions, or null.
func ParseTools(data []byte) ([]serving.Tool, error) {
	if len(data) == 0 {
		return nil, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(data, &list) != nil {
		return nil, chat.Wrong("tools", "must be an array")
	}
	tools := make([]serving.Tool, len(list))
	for i, raw := range list {
		if err := parseTool(&tools[i], raw, fmt.Sprintf("tools[%d]", i)); err != nil {
			return nil, err
		}
	}
	return tools, nil
}

func parseTool(t *serving.Tool, raw []byte, at string) error {
	var tool struct {
		Type     string          `json:"type"`
		Function json.RawMessage `json:"function"`
	}
	var function struct {
		Name       string          `json:"name"`
		Parameters json.RawMessage `json:"parameters"`
		Strict     bool            `json:"strict"`
	}
	switch {
	case json.Unmarshal(raw, &tool) != nil:
		return chat.Wrong(at, "must be an object with a type and a function")
	case tool.Type != "function":
		return chat.Wrong(at+".type", "must be function: this server runs no tools of its own")
	case json.Unmarshal(tool.Function, &function) != nil || function.Name == "":
		return chat.Wrong(at+".function", "must be an object with a name")
	}
	if err := serving.CheckParameters(function.Parameters); err != nil {
		return chat.Wrong(at+".function.parameters", "%v", err)
	}
	*t = serving.Tool{Name: function.Name, Parameters: function.Parameters, Definition: raw, Strict: function.Strict}
	return nil
}

// parseChoice reads tool_choice.
func parseChoice(data []byte) (serving.ToolChoice, error) {
	const field = "tool_choice"
	var mode string
	if json.Unmarshal(data, &mode) == nil {
		switch mode {
		case "", "auto":
			return serving.ToolChoice{}, nil
		case "none":
			return serving.ToolChoice{Mode: serving.None}, nil
		case "required":
			return serving.ToolChoice{Mode: serving.Required}, nil
		}
		return serving.ToolChoice{}, chat.Wrong(field, "must be none, auto, required, or an object that names a function")
	}
	var named struct {
		Type     string `json:"type"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if json.Unmarshal(data, &named) != nil || named.Type != "function" || named.Function.Name == "" {
		return serving.ToolChoice{}, chat.Wrong(field, "must be none, auto, required, or an object that names a function")
	}
	return serving.ToolChoice{Mode: serving.Required, Name: named.Function.Name}, nil
}

// finishReason is why a choice ended, in the words of a chat completion.
func finishReason(r *serving.Result) string {
	if r.Calls > 0 && r.Reason == "stop" {
		return "tool_calls"
	}
	return r.Reason
}

// message is the assistant's turn. Its content is null where it only has calls.
func message(g *serving.Collected) api.ChatMessage {
	m := api.ChatMessage{Role: "assistant", Content: &g.Text, Reasoning: g.Reasoning}
	if len(g.Calls) > 0 && g.Text == "" {
		m.Content = nil
	}
	for _, c := range g.Calls {
		m.ToolCalls = append(m.ToolCalls, api.ToolCall{ID: c.ID, Type: "function", Function: api.FunctionCall{Name: c.Name, Arguments: c.Arguments}})
	}
	return m
}
