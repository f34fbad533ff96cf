package openai

import (
	"context"
	"encoding/json"
	"math"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// chatCompletions is POST /v1/chat/completions.
func chatCompletions(call *serving.Call) *serving.Error {
	var req api.ChatRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	m, err := call.Acquire(req.Model)
	if err != nil {
		return err
	}
	defer m.Release()
	jobs, err := chatJobs(call, m.Deployment, &req)
	if err != nil {
		return err
	}
	ctx, cancel := call.Context()
	defer cancel()
	gens, err := m.StartAll(ctx, jobs)
	if err != nil {
		return err
	}
	defer serving.CloseAll(gens)
	id := serving.NewID("chatcmpl-")
	if req.Stream {
		head := streamHead{id: id, object: "chat.completion.chunk", model: m.Name, created: call.Start.Unix()}
		enc := &chatEncoder{envelope: newEnvelope(m.Deployment, head, &req.Sampling, len(gens)), logprobs: req.Logprobs}
		return call.Stream(ctx, gens, serving.SSE, enc)
	}
	all, err := serving.CollectAll(ctx, gens)
	if err != nil {
		return err
	}
	return call.JSON(200, chatAnswer(m, id, call, all, req.Logprobs))
}

func chatJobs(call *serving.Call, m *serving.Deployment, req *api.ChatRequest) ([]*serving.Job, *serving.Error) {
	var c serving.Check
	j := job(&c, &req.Sampling, call, m)
	n := c.Int("n", req.N, 1, 1, maxChoices)
	j.MaxTokens = c.Int("max_tokens", req.MaxTokens, -1, 1, math.MaxInt32)
	if req.MaxCompletionTokens != nil { // the newer name wins
		j.MaxTokens = c.Int("max_completion_tokens", req.MaxCompletionTokens, -1, 1, math.MaxInt32)
	}
	j.Params.Logprobs = req.Logprobs
	j.Params.TopLogprobs = c.Int("top_logprobs", req.TopLogprobs, 0, 0, 20)
	if j.Params.TopLogprobs > 0 && !req.Logprobs {
		c.Fail(serving.Bad("top_logprobs", "top_logprobs is only allowed when logprobs is true"))
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	p, err := Prompt(call.R.Context(), m, &Conversation{
		Messages: req.Messages, GenerationPrompt: req.AddGenerationPrompt, Variables: req.TemplateArgs, ReasoningEffort: req.ReasoningEffort,
	})
	if err != nil {
		return nil, err
	}
	j.Prompt = m.EncodeChat(p)
	return choices(j, n), nil
}

// Conversation is the part of a request that becomes its prompt.
type Conversation struct {
	Messages         json.RawMessage
	Tools            json.RawMessage // may be absent or null, as may what follows
	GenerationPrompt *bool
	Variables        json.RawMessage // chat_template_kwargs
	ReasoningEffort  *string
}

// Prompt renders a conversation with the model's template.
func Prompt(ctx context.Context, m *serving.Deployment, c *Conversation) (chat.Prompt, *serving.Error) {
	p, err := c.render(ctx, m.Chat)
	if err != nil {
		return p, serving.FromChat(err)
	}
	return p, nil
}

func (c *Conversation) render(ctx context.Context, t *chat.Template) (p chat.Prompt, err error) {
	if c.Messages == nil {
		return p, chat.Wrong("messages", "is required")
	}
	messages, err := ParseMessages(c.Messages)
	if err != nil {
		return p, err
	}
	o := chat.Options{GenerationPrompt: c.GenerationPrompt == nil || *c.GenerationPrompt}
	if len(c.Tools) > 0 {
		if o.Tools, err = chat.ParseTools(c.Tools); err != nil {
			return p, err
		}
	}
	if len(c.Variables) > 0 {
		if o.Variables, err = chat.ParseVariables(c.Variables); err != nil {
			return p, err
		}
	}
	if c.ReasoningEffort != nil {
		o.Variables.SetText("reasoning_effort", *c.ReasoningEffort)
	}
	return t.Render(ctx, messages, o)
}

func chatAnswer(m *serving.Lease, id string, call *serving.Call, all []*serving.Collected, logprobs bool) *api.ChatCompletion {
	a := &api.ChatCompletion{ID: id, Object: "chat.completion", Created: call.Start.Unix(), Model: m.Name}
	results := make([]*serving.Result, len(all))
	for i, g := range all {
		results[i] = g.Result
		choice := api.ChatChoice{
			Index:        i,
			Message:      api.ChatMessage{Role: "assistant", Content: g.Text},
			FinishReason: &g.Result.Reason,
			StopReason:   stopReason(g.Result),
		}
		if logprobs {
			choice.Logprobs = chatLogprobs(m.Deployment, g.Tokens)
		}
		a.Choices = append(a.Choices, choice)
	}
	a.Usage = usage(results, len(all))
	a.Timings = timings(results[0])
	return a
}

// stopReason is vLLM's: the stop string, or the token that the request named.
// It is nil where the model itself ended its answer, or the limit did.
func stopReason(r *serving.Result) any {
	switch {
	case r.StopWord != "":
		return r.StopWord
	case r.NamedStop:
		return r.StopToken
	}
	return nil
}
