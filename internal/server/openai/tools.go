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
		Name        string          `json:"name"`
		Description string          `json:"description"` // templates read it in the definition
		Parameters  json.RawMessage `json:"parameters"`
		Strict      bool            `json:"strict"`
	}
	if err := serving.Read(at, raw, &tool); err != nil {
		return err
	}
	if tool.Type != "function" {
		return chat.Wrong(at+".type", "must be function: this server runs no tools of its own")
	}
	if len(tool.Function) == 0 || tool.Function[0] != '{' {
		return chat.Wrong(at+".function", "must be an object with a name")
	}
	if err := serving.Read(at+".function", tool.Function, &function); err != nil {
		return err
	}
	if function.Name == "" {
		return chat.Wrong(at+".function", "must be an object with a name")
	}
	if err := serving.CheckParameters(function.Parameters); err != nil {
		return chat.Wrong(at+".function.parameters", "%v", err)
	}
	*t = serving.Tool{Name: function.Name, Parameters: function.Parameters, Definition: raw, Strict: function.Strict}
	return nil
}

// parseChoice reads tool_choice. allowed is not nil where it names the tools that
// may be used.
func parseChoice(data []byte) (choice serving.ToolChoice, allowed []string, err error) {
	const field = "tool_choice"
	modes := map[string]serving.ChoiceMode{"": serving.Auto, "auto": serving.Auto, "none": serving.None, "required": serving.Required}
	var word string
	if json.Unmarshal(data, &word) == nil {
		if mode, ok := modes[word]; ok {
			return serving.ToolChoice{Mode: mode}, nil, nil
		}
	}
	if data[0] != '{' {
		return choice, nil, chat.Wrong(field, "must be none, auto, required, or an object that names a function")
	}
	type named struct {
		Type     string `json:"type"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	var object struct {
		named
		Allowed struct {
			Mode  string  `json:"mode"`
			Tools []named `json:"tools"`
		} `json:"allowed_tools"`
	}
	if err := serving.Read(field, data, &object); err != nil {
		return choice, nil, err
	}
	switch {
	case object.Type == "function" && object.Function.Name != "":
		return serving.ToolChoice{Mode: serving.Required, Name: object.Function.Name}, nil, nil
	case object.Type != "allowed_tools":
		return choice, nil, chat.Wrong(field, "must be none, auto, required, or an object that names a function")
	case object.Allowed.Mode != "auto" && object.Allowed.Mode != "required":
		return choice, nil, chat.Wrong(field+".allowed_tools.mode", "must be auto or required")
	}
	allowed = []string{}
	for i, t := range object.Allowed.Tools {
		if t.Type != "function" || t.Function.Name == "" {
			return choice, nil, chat.Wrong(fmt.Sprintf("%s.allowed_tools.tools[%d]", field, i), "must name a function")
		}
		allowed = append(allowed, t.Function.Name)
	}
	return serving.ToolChoice{Mode: modes[object.Allowed.Mode]}, allowed, nil
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
