package openai

import (
	"encoding/json"
	"fmt"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// Before there were tools, a request had functions and function_call, and an
// answer one function_call. Such requests are read as if they had tools, and
// their answers are written in the old form.

// legacy reports whether a request has functions.
func legacy(req *api.ChatRequest) bool {
	return len(req.Functions) > 0 && string(req.Functions) != "[]" && string(req.Functions) != "null"
}

// withFunctions is the conversation of a request with its functions as tools.
func withFunctions(req *api.ChatRequest) (*api.Conversation, error) {
	c := req.Conversation
	if !legacy(req) {
		return &c, refuseCallOnly(req.FunctionCall)
	}
	if len(c.Tools) > 0 || len(c.ToolChoice) > 0 {
		return nil, chat.Wrong("functions", "cannot be used together with tools or tool_choice, which are their newer names")
	}
	var functions []json.RawMessage
	if json.Unmarshal(req.Functions, &functions) != nil {
		return nil, chat.Wrong("functions", "must be an array")
	}
	type tool struct {
		Type     string          `json:"type"`
		Function json.RawMessage `json:"function"`
	}
	tools := make([]tool, len(functions))
	for i, f := range functions {
		var named struct {
			Name       string          `json:"name"`
			Parameters json.RawMessage `json:"parameters"`
		}
		at := fmt.Sprintf("functions[%d]", i)
		if f[0] != '{' {
			return nil, chat.Wrong(at, "must be an object with a name")
		}
		if err := serving.Read(at, f, &named); err != nil {
			return nil, err
		}
		if named.Name == "" {
			return nil, chat.Wrong(at, "must be an object with a name")
		}
		if err := serving.CheckParameters(named.Parameters); err != nil {
			return nil, chat.Wrong(at+".parameters", "%v", err)
		}
		tools[i] = tool{"function", f}
	}
	var err error
	if c.Tools, err = json.Marshal(tools); err != nil {
		return nil, err
	}
	c.ToolChoice, err = choiceOf(req.FunctionCall)
	return &c, err
}

// refuseCallOnly refuses a function_call that asks for a call although the request
// has no functions.
func refuseCallOnly(call json.RawMessage) error {
	choice, err := choiceOf(call)
	if err != nil || len(choice) == 0 || choice[0] == '"' {
		return err
	}
	return chat.Wrong("function_call", "asks for a call, but there are no functions")
}

// choiceOf makes a tool_choice of a function_call: none, auto, or an object with
// the function's name.
func choiceOf(call json.RawMessage) (json.RawMessage, error) {
	var mode string
	if len(call) == 0 || json.Unmarshal(call, &mode) == nil && (mode == "" || mode == "none" || mode == "auto") {
		return call, nil
	}
	var named struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(call, &named) != nil || named.Name == "" {
		return nil, chat.Wrong("function_call", "must be none, auto, or an object with the name of a function")
	}
	return json.Marshal(map[string]any{"type": "function", "function": named})
}

// answerLegacy moves the call of each choice to its old place.
func answerLegacy(a *api.ChatCompletion) {
	for i := range a.Choices {
		m := &a.Choices[i].Message
		if len(m.ToolCalls) > 0 {
			m.FunctionCall, m.ToolCalls = &m.ToolCalls[0].Function, nil
		}
		if r := a.Choices[i].FinishReason; r != nil && *r == "tool_calls" {
			a.Choices[i].FinishReason = ptr("function_call")
		}
	}
}

// appendLegacyCall appends the member of a delta for a piece of a call.
func appendLegacyCall(b []byte, name string, arguments []byte) []byte {
	b = append(b, `"function_call":{`...)
	if name != "" {
		b = append(serving.AppendQuoted(append(b, `"name":`...), name), ',')
	}
	return append(serving.AppendJSON(append(b, `"arguments":"`...), arguments), `"}`...)
}
