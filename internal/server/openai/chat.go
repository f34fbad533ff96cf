package openai

import (
	"math"
	"slices"
	"strings"

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
	m, err := call.AcquireFor(req.Model, serving.Opens(req.Stream, serving.SSE, &envelope{}))
	if err != nil {
		return err
	}
	defer m.Release()
	ctx, cancel := call.Context()
	defer cancel()
	jobs, err := chatJobs(call, m.Deployment, &req)
	if err != nil {
		return err
	}
	gens, err := m.StartAll(ctx, jobs)
	if err != nil {
		return err
	}
	defer serving.CloseAll(gens)
	h := head{id: serving.NewID("chatcmpl-"), object: "chat.completion", model: m.Name, created: call.Start.Unix()}
	if req.Stream {
		h.object = "chat.completion.chunk"
		enc := &chatEncoder{envelope: newEnvelope(m.Deployment, h, &req.Sampling, len(gens)), logprobs: req.Logprobs, gens: gens, legacy: legacy(&req), hidden: req.Hidden()}
		return call.Stream(ctx, gens, serving.SSE, enc)
	}
	all, err := serving.CollectAll(ctx, gens)
	if err != nil {
		return err
	}
	answer := chatAnswer(m.Deployment, h, all, req.Logprobs)
	if legacy(&req) {
		answerLegacy(answer)
	}
	if req.Hidden() {
		for i := range answer.Choices {
			answer.Choices[i].Message.Reasoning = ""
		}
	}
	return call.JSON(200, answer)
}

func chatJobs(call *serving.Call, m *serving.Deployment, req *api.ChatRequest) ([]*serving.Job, *serving.Error) {
	var c serving.Check
	j := job(&c, &req.Sampling, call, m)
	n := count(&c, &req.Sampling)
	j.MaxTokens = maxTokens(&c, &req.Sampling, -1, 1)
	if req.MaxCompletionTokens != nil { // the newer name wins
		j.MaxTokens = c.Int("max_completion_tokens", req.MaxCompletionTokens, -1, 1, math.MaxInt32)
	}
	j.Progress = req.Stream && req.ReturnProgress
	j.Params.Logprobs = req.Logprobs
	j.Params.TopLogprobs = c.Int("top_logprobs", req.TopLogprobs, 0, 0, 20)
	if j.Params.TopLogprobs > 0 && !req.Logprobs {
		c.Fail(serving.Bad("top_logprobs", "top_logprobs is only allowed when logprobs is true"))
	}
	if e := req.ReasoningEffort; e != nil && !slices.Contains(efforts, *e) {
		c.Fail(serving.Bad("reasoning_effort", "reasoning_effort must be one of %s", strings.Join(efforts, ", ")))
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	if err := m.Admit(call, "n", n); err != nil {
		return nil, err
	}
	conversation, err := chatConversation(req)
	if err != nil {
		return nil, err
	}
	if err := m.Converse(call, conversation, j); err != nil {
		return nil, err
	}
	return choices(j, n), nil
}

// efforts are the values of reasoning_effort: OpenAI's, and the further ones of
// models that read it.
var efforts = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

// chatConversation reads what becomes the prompt of a chat request.
func chatConversation(req *api.ChatRequest) (*serving.Conversation, *serving.Error) {
	part, err := withFunctions(req)
	if err != nil {
		return nil, serving.FromChat(err)
	}
	c, failed := Conversation(part)
	if failed != nil {
		return nil, failed
	}
	if legacy(req) {
		c.OneCall = true // function_call has room for one
	}
	return c, think(c, &req.Thinking)
}

// think says for how many tokens the model may think, and whether what it thinks
// is part of the text.
func think(c *serving.Conversation, t *api.Thinking) *serving.Error {
	var check serving.Check
	if format := t.ReasoningFormat; format != nil {
		c.RawReasoning = *format == "none"
		if !slices.Contains([]string{"none", "auto", "deepseek"}, *format) {
			check.Fail(serving.Bad("reasoning_format", "reasoning_format must be none, auto or deepseek"))
		}
	}
	budget := check.Int("thinking_budget_tokens", t.ThinkingBudgetTokens, -1, -1, math.MaxInt32)
	budget = check.Int("thinking_token_budget", t.ThinkingTokenBudget, budget, -1, math.MaxInt32)
	switch {
	case budget == 0:
		// Most templates can begin the answer at once. With the others the model
		// thinks for the one token that shows that it does.
		c.ThinkingBudget = 1
		if !c.Variables.Has("enable_thinking") {
			c.Variables.SetBool("enable_thinking", false)
		}
	case budget > 0:
		c.ThinkingBudget = budget
	}
	return check.Err()
}

// Conversation reads the part of a request that becomes its prompt.
func Conversation(req *api.Conversation) (*serving.Conversation, *serving.Error) {
	c, err := conversation(req)
	if err != nil {
		return nil, serving.FromChat(err)
	}
	return c, nil
}

func conversation(req *api.Conversation) (c *serving.Conversation, err error) {
	if req.Messages == nil {
		return nil, chat.Wrong("messages", "is required")
	}
	c = &serving.Conversation{
		Continue: req.ContinueFinal,
		NoTurn:   req.AddGenerationPrompt != nil && !*req.AddGenerationPrompt,
		OneCall:  req.ParallelToolCalls != nil && !*req.ParallelToolCalls,
	}
	if c.Continue && req.AddGenerationPrompt != nil && *req.AddGenerationPrompt {
		return nil, chat.Wrong("continue_final_message", "cannot be true when add_generation_prompt is true")
	}
	if c.Messages, err = ParseMessages(req.Messages); err != nil {
		return nil, err
	}
	if c.Tools, err = ParseTools(req.Tools); err != nil {
		return nil, err
	}
	if len(req.ToolChoice) > 0 {
		var allowed []string
		if c.Choice, allowed, err = parseChoice(req.ToolChoice); err != nil {
			return nil, err
		}
		if c.Tools, err = serving.Allow(c.Tools, allowed); err != nil {
			return nil, err
		}
	}
	if len(req.TemplateArgs) > 0 {
		if c.Variables, err = chat.ParseVariables(req.TemplateArgs); err != nil {
			return nil, err
		}
	}
	if effort := req.ReasoningEffort; effort != nil {
		c.Variables.SetText("reasoning_effort", *effort)
		if *effort == "none" && !c.Variables.Has("enable_thinking") { // which most templates read instead
			c.Variables.SetBool("enable_thinking", false)
		}
	}
	return c, nil
}

func chatAnswer(m *serving.Deployment, h head, all []*serving.Collected, logprobs bool) *api.ChatCompletion {
	a := &api.ChatCompletion{ID: h.id, Object: h.object, Created: h.created, Model: h.model}
	results := make([]*serving.Result, len(all))
	for i, g := range all {
		results[i] = g.Result
		choice := api.ChatChoice{
			Index:        i,
			Message:      message(g),
			FinishReason: ptr(finishReason(g.Result)),
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

func ptr[T any](v T) *T { return &v }

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
