package ollama

import (
	"encoding/json"
	"strconv"
	"time"

	api "github.com/penstock-llm/penstock/api/ollama"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/server/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

func field(i int, name string) string { return "messages[" + strconv.Itoa(i) + "]." + name }

// chatHandler is POST /api/chat.
func chatHandler(call *serving.Call) *serving.Error {
	var req api.ChatRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	if len(req.Messages) == 0 {
		reason, err := loadOnly(call, req.Model, req.KeepAlive)
		if err != nil {
			return err
		}
		return call.JSON(200, api.ChatResponse{Model: req.Model, CreatedAt: now(), Message: api.Message{Role: "assistant"}, Done: true, DoneReason: reason})
	}
	m, err := acquire(call, req.Model, req.KeepAlive, serving.Opens(streams(req.Stream), serving.NDJSON, &encoder{model: req.Model, chat: true}))
	if err != nil {
		return err
	}
	defer m.Release()
	j, err := job(call, m.Deployment, &req.Common)
	if err != nil {
		return err
	}
	c, err := conversation(m.Deployment, &req)
	if err != nil {
		return err
	}
	if err := m.Converse(call, c, j); err != nil {
		return err
	}
	ctx, cancel := call.Context()
	defer cancel()
	g, err := m.Start(ctx, j)
	if err != nil {
		return err
	}
	defer g.Close()
	if j.Stream {
		return call.Stream(ctx, []*serving.Generation{g}, serving.NDJSON, &encoder{model: m.Name, tokens: m.Deployment, start: call.Start, loading: m.Waited, chat: true})
	}
	a, err := g.Collect(ctx)
	if err != nil {
		return err
	}
	message := api.Message{Role: "assistant", Content: a.Text, Thinking: a.Reasoning}
	for i, c := range a.Calls {
		message.ToolCalls = append(message.ToolCalls, toolCall(i, c))
	}
	return call.JSON(200, api.ChatResponse{
		Model: m.Name, CreatedAt: now(), Message: message, Done: true, DoneReason: a.Result.Reason, Metrics: metrics(a.Result, call.Start, m.Waited),
		Logprobs: openai.TokenLogprobs(m.Deployment, a.Tokens),
	})
}

func conversation(m *serving.Deployment, req *api.ChatRequest) (c *serving.Conversation, failed *serving.Error) {
	c = &serving.Conversation{}
	var err error
	if c.Messages, err = parseMessages(req.Messages); err == nil {
		c.Tools, err = openai.ParseTools(req.Tools)
	}
	if err != nil {
		return nil, serving.FromChat(err)
	}
	if len(c.Tools) > 0 && !m.Chat.KnowsTools() {
		return nil, serving.Bad("tools", "%q does not support tools", m.ID)
	}
	// A last message of the assistant is the beginning of the answer, as in Ollama's
	// own templates, which do not end it.
	last := c.Messages[len(c.Messages)-1]
	c.Continue = last.Role == "assistant" && len(last.Calls) == 0 && last.Text() != ""
	return c, think(c, m, req.Think)
}

// toolCall is a call as a client sees it. Arguments that were cut are none.
func toolCall(i int, c chat.Call) api.ToolCall {
	t := api.ToolCall{ID: c.ID}
	t.Function.Index, t.Function.Name, t.Function.Arguments = i, c.Name, json.RawMessage(c.Arguments)
	if !json.Valid(t.Function.Arguments) {
		t.Function.Arguments = json.RawMessage("{}")
	}
	return t
}

func now() string { return time.Now().UTC().Format(time.RFC3339Nano) }

// metrics are the counts and durations of an answer whose request came at start and
// waited for its model to be loaded.
func metrics(r *serving.Result, start time.Time, loading time.Duration) *api.Metrics {
	t := serving.Milliseconds(r)
	return &api.Metrics{
		TotalDuration: time.Since(start).Nanoseconds(), LoadDuration: loading.Nanoseconds(),
		PromptEvalCount: r.Prompt, PromptEvalDuration: int64(t.PromptMS * 1e6),
		EvalCount: r.Completion, EvalDuration: int64(t.PredictedMS * 1e6),
	}
}
