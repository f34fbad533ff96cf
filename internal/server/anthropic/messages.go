package anthropic

import (
	"fmt"
	"math"
	"slices"
	"strings"

	api "github.com/penstock-llm/penstock/api/anthropic"
	"github.com/penstock-llm/penstock/api/sampling"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// messages is POST /v1/messages.
func messages(call *serving.Call) *serving.Error {
	call.W.Header().Set("Request-Id", call.ID)
	var req api.MessagesRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	m, err := call.AcquireFor(req.Model, serving.Opens(req.Stream, serving.SSE, silence{call.ID}))
	if err != nil {
		return err
	}
	defer m.Release()
	j, err := job(call, m.Deployment, &req)
	if err != nil {
		return err
	}
	ctx, cancel := call.Context()
	defer cancel()
	g, err := m.Start(ctx, j)
	if err != nil {
		return err
	}
	defer g.Close()
	head := &api.MessageResponse{ID: serving.NewID("msg_"), Type: "message", Role: "assistant", Model: m.Name, Content: []any{}}
	if req.Stream {
		head.Usage.InputTokens = len(j.Prompt)
		return call.Stream(ctx, []*serving.Generation{g}, serving.SSE, &encoder{head: head, maxTokens: j.MaxTokens, requestID: call.ID})
	}
	answer, err := g.Collect(ctx)
	if err != nil {
		return err
	}
	return call.JSON(200, fill(head, answer, j.MaxTokens))
}

// countTokens is POST /v1/messages/count_tokens.
func countTokens(call *serving.Call) *serving.Error {
	call.W.Header().Set("Request-Id", call.ID)
	var req api.Conversation
	m, err := call.Open(&req, &req.Model)
	if err != nil {
		return err
	}
	defer m.Release()
	c, bad := conversation(&req)
	if bad != nil {
		return serving.FromChat(bad)
	}
	n, err := m.Measure(call.R.Context(), c)
	if err != nil {
		return err
	}
	return call.JSON(200, api.CountResponse{InputTokens: n})
}

// job makes the job of a request.
func job(call *serving.Call, m *serving.Deployment, req *api.MessagesRequest) (*serving.Job, *serving.Error) {
	var c serving.Check
	if req.MaxTokens == nil {
		c.Fail(serving.Bad("max_tokens", "max_tokens is required"))
	}
	f := sampling.Fields{Temperature: req.Temperature, TopP: req.TopP, TopK: req.TopK}
	j := c.Job(call, m, &f, serving.Strict)
	j.MaxTokens = c.Int("max_tokens", req.MaxTokens, -1, 1, math.MaxInt32)
	j.Stop = c.Stops("stop_sequences", req.StopSequences)
	j.Stream = req.Stream
	c.Form(j, "output_format", req.OutputFormat)
	if o := req.Output; o != nil && len(o.Format) > 0 {
		c.Form(j, "output_config.format", o.Format)
		if len(req.OutputFormat) > 0 {
			c.Fail(serving.Bad("output_format", "output_format and output_config.format both say what the answer must be: use one of them"))
		}
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	if err := m.Admit(call, "", 1); err != nil {
		return nil, err
	}
	return j, converse(call, m, &req.Conversation, j)
}

// converse makes the prompt.
func converse(call *serving.Call, m *serving.Deployment, req *api.Conversation, j *serving.Job) *serving.Error {
	c, err := conversation(req)
	if err != nil {
		return serving.FromChat(err)
	}
	return m.Converse(call, c, j)
}

func conversation(req *api.Conversation) (c *serving.Conversation, err error) {
	c = &serving.Conversation{}
	if c.Messages, err = parseMessages(req); err != nil {
		return nil, err
	}
	// A last message of the assistant is the beginning of the answer.
	last := c.Messages[len(c.Messages)-1]
	c.Continue = last.Role == "assistant" && len(last.Calls) == 0 && last.Text() != ""
	for i, t := range req.Tools {
		at := fmt.Sprintf("tools[%d]", i)
		if t.Type != "" && t.Type != "custom" {
			return nil, chat.Wrong(at+".type", "is %.40q: this server runs no tools of its own", t.Type)
		}
		tool, err := serving.NewTool(t.Name, t.Description, t.InputSchema)
		if err != nil {
			return nil, chat.Wrong(at+".input_schema", "%v", err)
		}
		tool.Strict = t.Strict
		c.Tools = append(c.Tools, tool)
	}
	if err := chooseTool(c, req.ToolChoice); err != nil {
		return nil, err
	}
	if err := effort(c, req.Output); err != nil {
		return nil, err
	}
	return c, think(c, req.Thinking)
}

var efforts = []string{"low", "medium", "high", "xhigh", "max"}

// effort tells the template how much the model is to think, if it can.
func effort(c *serving.Conversation, o *api.OutputConfig) error {
	if o == nil || o.Effort == nil {
		return nil
	}
	if !slices.Contains(efforts, *o.Effort) {
		return chat.Wrong("output_config.effort", "must be one of %s", strings.Join(efforts, ", "))
	}
	c.Variables.SetText("reasoning_effort", *o.Effort)
	return nil
}

func chooseTool(c *serving.Conversation, choice *api.ToolChoice) error {
	if choice == nil {
		return nil
	}
	c.OneCall = choice.DisableParallel
	switch choice.Type {
	case "auto":
	case "none":
		c.Choice.Mode = serving.None
	case "any":
		c.Choice.Mode = serving.Required
	case "tool":
		if choice.Name == "" {
			return chat.Wrong("tool_choice.name", "is required with the type tool")
		}
		c.Choice = serving.ToolChoice{Mode: serving.Required, Name: choice.Name}
	default:
		return chat.Wrong("tool_choice.type", "must be auto, any, tool or none")
	}
	return nil
}

// think tells the template whether the model is to think. Templates that cannot
// choose do not read the variable.
func think(c *serving.Conversation, t *api.Thinking) error {
	if t == nil {
		return nil
	}
	switch t.Type {
	case "enabled", "adaptive":
		c.Variables.SetBool("enable_thinking", true)
	case "disabled":
		c.Variables.SetBool("enable_thinking", false)
	default:
		return chat.Wrong("thinking.type", "must be enabled, disabled or adaptive")
	}
	if t.BudgetTokens != nil {
		if *t.BudgetTokens < 1 {
			return chat.Wrong("thinking.budget_tokens", "must be at least 1")
		}
		c.ThinkingBudget = *t.BudgetTokens
	}
	return nil
}
