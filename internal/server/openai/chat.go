package openai

import (
	"math"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/chat/jinja"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// chatCompletions is POST /v1/chat/completions.
func chatCompletions(call *serving.Call) *serving.Error {
	m, err := call.App.Model()
	if err != nil {
		return err
	}
	var req api.ChatRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	jobs, err := chatJobs(call, m, &req)
	if err != nil {
		return err
	}
	ctx, cancel := call.App.Deadline(call.R.Context())
	defer cancel()
	gens, err := m.StartAll(ctx, jobs)
	if err != nil {
		return err
	}
	defer serving.CloseAll(gens)
	id := serving.NewID("chatcmpl-")
	if req.Stream {
		s := newStream(call, chatForm{}, id, m, &req.Sampling)
		s.logprobs = req.Logprobs
		return s.run(ctx, gens, len(gens))
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
	text, err := prompt(m, req)
	if err != nil {
		return nil, err
	}
	j.Prompt = m.EncodeChat(text)
	return choices(j, n), nil
}

// prompt renders the conversation.
func prompt(m *serving.Deployment, req *api.ChatRequest) (string, *serving.Error) {
	if req.Messages == nil {
		return "", serving.Bad("messages", "messages is required")
	}
	messages, err := chat.ParseMessages(req.Messages)
	if err != nil {
		return "", serving.FromChat(err)
	}
	o := chat.Options{GenerationPrompt: req.AddGenerationPrompt == nil || *req.AddGenerationPrompt}
	if len(req.TemplateArgs) > 0 && string(req.TemplateArgs) != "null" {
		if o.Extra, err = chat.ParseExtra(req.TemplateArgs); err != nil {
			return "", serving.FromChat(err)
		}
	}
	if req.ReasoningEffort != nil {
		if o.Extra == nil {
			o.Extra = &jinja.Dict{}
		}
		o.Extra.Set("reasoning_effort", *req.ReasoningEffort)
	}
	text, err := m.Chat.Render(messages, o)
	if err != nil {
		return "", serving.FromChat(err)
	}
	return text, nil
}

func chatAnswer(m *serving.Deployment, id string, call *serving.Call, all []*serving.Collected, logprobs bool) *api.ChatCompletion {
	a := &api.ChatCompletion{ID: id, Object: "chat.completion", Created: call.Start.Unix(), Model: m.ID}
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
			choice.Logprobs = chatLogprobs(m, g.Tokens)
		}
		a.Choices = append(a.Choices, choice)
	}
	a.Usage = usage(results, len(all))
	a.Timings = timings(results[0])
	return a
}

// stopReason is vLLM's: the stop string, or the token that the request named.
func stopReason(r *serving.Result) any {
	if r.StopWord != "" {
		return r.StopWord
	}
	return nil
}
