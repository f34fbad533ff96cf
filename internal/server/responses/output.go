package responses

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	api "github.com/penstock-llm/penstock/api/responses"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// output gathers the items of a response.
type output struct {
	*work
	answer chat.Message              // the same as a message, for the next request
	keep   func(answer chat.Message) // nil: the response is not kept
}

const (
	inProgress = "in_progress"
	completed  = "completed"
	incomplete = "incomplete"
)

// message adds text.
func (o *output) message(id, text, status string) *api.Message {
	o.answer.Parts = append(o.answer.Parts, chat.Part{Kind: chat.Text, Text: text})
	m := &api.Message{ID: id, Type: "message", Status: status, Role: "assistant", Content: []api.OutputText{outputText(text)}}
	o.response.Output = append(o.response.Output, m)
	return m
}

func outputText(text string) api.OutputText {
	return api.OutputText{Type: "output_text", Text: text, Annotations: []any{}, Logprobs: []any{}}
}

// reasoning adds what the model thought.
func (o *output) reasoning(id, text, status string) *api.ReasoningItem {
	o.answer.Reasoning += text
	r := &api.ReasoningItem{ID: id, Type: "reasoning", Status: status, Summary: []any{}, Content: []api.ReasoningText{{Type: "reasoning_text", Text: text}}}
	if o.pack {
		text = pack(text)
		r.Encrypted = &text
	}
	o.response.Output = append(o.response.Output, r)
	return r
}

// call adds a call.
func (o *output) call(id string, c chat.Call, status string) any {
	o.answer.Calls = append(o.answer.Calls, c)
	item := o.callItem(id, c, status)
	o.response.Output = append(o.response.Output, item)
	return item
}

// isCustom reports whether a tool takes one text.
func (o *output) isCustom(name string) bool { return slices.Contains(o.custom, name) }

func (o *output) callItem(id string, c chat.Call, status string) any {
	if o.isCustom(c.Name) {
		return &api.CustomCall{ID: id, Type: "custom_tool_call", Status: status, CallID: c.ID, Name: c.Name, Input: textOf(c.Arguments)}
	}
	return &api.FunctionCall{ID: id, Type: "function_call", Status: status, CallID: c.ID, Name: c.Name, Arguments: c.Arguments}
}

// textOf is the one text that a custom tool takes.
func textOf(arguments string) string {
	var in customInput
	if json.Unmarshal([]byte(arguments), &in) != nil {
		return arguments
	}
	return in.Input
}

// collected adds a whole answer.
func (o *output) collected(a *serving.Collected) {
	status := completed
	if a.Result.Reason == "length" {
		status = incomplete
	}
	if a.Reasoning != "" {
		o.reasoning(serving.NewID("rs_"), a.Reasoning, completed)
	}
	if a.Text != "" || len(a.Calls) == 0 {
		o.message(serving.NewID("msg_"), a.Text, status)
	}
	for _, c := range a.Calls {
		o.call(serving.NewID("fc_"), c, status)
	}
	o.finish(a.Result)
}

// finish completes the response, and keeps it if that is wanted.
func (o *output) finish(r *serving.Result) {
	now := time.Now().Unix()
	o.response.Status, o.response.CompletedAt = completed, &now
	if r.Reason == "length" {
		o.response.Status, o.response.CompletedAt = incomplete, nil
		o.response.IncompleteDetails = &api.IncompleteDetails{Reason: "max_output_tokens"}
	}
	u := &api.Usage{InputTokens: r.Prompt, OutputTokens: r.Completion, TotalTokens: r.Prompt + r.Completion}
	u.InputTokensDetails.CachedTokens = r.Cached
	u.OutputTokensDetails.ReasoningTokens = r.Reasoning
	o.response.Usage = u
	if o.keep != nil {
		o.answer.Role = "assistant"
		o.keep(o.answer)
	}
}

// fail completes the response with an error.
func (o *output) fail(e *serving.Error) {
	code := strings.TrimSuffix(e.Type, "_error")
	o.response.Status, o.response.Error = "failed", &api.Error{Code: code, Message: e.Message}
}
