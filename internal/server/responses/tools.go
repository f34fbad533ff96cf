package responses

import (
	"encoding/json"
	"fmt"

	api "github.com/penstock-llm/penstock/api/responses"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// customInput are the arguments of a custom tool, which takes one text: the
// model sees it as a function with one string.
type customInput struct {
	Input string `json:"input"`
}

var customParameters = json.RawMessage(`{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}`)

// parseTools reads the tools of a request. Those that only OpenAI's own servers
// run are ignored, since agents send them to every server. custom names the
// tools that take one text.
func parseTools(raw json.RawMessage) (tools []serving.Tool, custom []string, err error) {
	if len(raw) == 0 {
		return nil, nil, nil
	}
	var list []api.Tool
	if err := serving.Read("tools", raw, &list); err != nil {
		return nil, nil, err
	}
	for i, t := range list {
		at := fmt.Sprintf("tools[%d]", i)
		description, parameters := t.Description, t.Parameters
		switch t.Type {
		case "function":
		case "custom":
			custom = append(custom, t.Name)
			parameters = customParameters
			if t.Format != nil && t.Format.Definition != "" {
				description += fmt.Sprintf("\n\nThe input follows this %s grammar:\n%s", t.Format.Syntax, t.Format.Definition)
			}
		case "":
			return nil, nil, chat.Wrong(at+".type", "is required")
		default:
			continue
		}
		if t.Name == "" {
			return nil, nil, chat.Wrong(at+".name", "is required")
		}
		tool, err := serving.NewTool(t.Name, description, parameters)
		if err != nil {
			return nil, nil, chat.Wrong(at+".parameters", "%v", err)
		}
		tool.Strict = t.Strict
		tools = append(tools, tool)
	}
	return tools, custom, nil
}

// echoTools are the tools as the response shows them: a function has all of its
// fields, those that the request left out, too.
func echoTools(raw json.RawMessage) json.RawMessage {
	var list []map[string]json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return json.RawMessage("[]")
	}
	absent := map[string]json.RawMessage{"description": []byte("null"), "parameters": []byte("null"), "strict": []byte("false")}
	for _, t := range list {
		if string(t["type"]) != `"function"` {
			continue
		}
		for field, value := range absent {
			if _, ok := t[field]; !ok {
				t[field] = value
			}
		}
	}
	all, _ := json.Marshal(list) // of JSON that was read before
	return all
}

// parseChoice reads tool_choice. allowed is not nil where it names the tools
// that may be used.
func parseChoice(raw json.RawMessage) (choice serving.ToolChoice, allowed []string, err error) {
	const field = "tool_choice"
	modes := map[string]serving.ChoiceMode{"": serving.Auto, "auto": serving.Auto, "none": serving.None, "required": serving.Required}
	var word string
	if len(raw) == 0 || json.Unmarshal(raw, &word) == nil {
		mode, ok := modes[word]
		if !ok {
			return choice, nil, chat.Wrong(field, "must be auto, none, required, or an object")
		}
		return serving.ToolChoice{Mode: mode}, nil, nil
	}
	if raw[0] != '{' {
		return choice, nil, chat.Wrong(field, "must be auto, none, required, or an object")
	}
	var named struct {
		Type  string `json:"type"`
		Name  string `json:"name"`
		Mode  string `json:"mode"`
		Tools []struct {
			Type string `json:"type"`
			Name string `json:"name"`
		} `json:"tools"`
	}
	if err := serving.Read(field, raw, &named); err != nil {
		return choice, nil, err
	}
	switch named.Type {
	case "function", "custom":
		if named.Name == "" {
			return choice, nil, chat.Wrong(field+".name", "is required")
		}
		return serving.ToolChoice{Mode: serving.Required, Name: named.Name}, nil, nil
	case "allowed_tools":
		mode, ok := modes[named.Mode]
		if !ok {
			return choice, nil, chat.Wrong(field+".mode", "must be auto or required")
		}
		allowed = []string{}
		for _, t := range named.Tools {
			if t.Type == "function" || t.Type == "custom" { // the others run on OpenAI's servers
				allowed = append(allowed, t.Name)
			}
		}
		return serving.ToolChoice{Mode: mode}, allowed, nil
	}
	return choice, nil, chat.Wrong(field+".type", "is %.40q: this server runs no tools of its own", named.Type)
}
