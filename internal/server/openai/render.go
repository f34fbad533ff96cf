package openai

import (
	"context"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// renderChat is POST /v1/chat/completions/render, which is vLLM's: what the model
// would be given. Routers find by it which server has the prompt in its cache.
func renderChat(call *serving.Call) *serving.Error {
	var req api.ChatRequest
	m, err := call.Open(&req, &req.Model)
	if err != nil {
		return err
	}
	defer m.Release()
	conversation, err := chatConversation(&req)
	if err != nil {
		return err
	}
	var j serving.Job
	if err := m.Converse(call, conversation, &j); err != nil {
		return err
	}
	return call.JSON(200, rendered(m, "chatcmpl-", j.Prompt))
}

// renderCompletions is POST /v1/completions/render: the same of each prompt.
func renderCompletions(call *serving.Call) *serving.Error {
	var req api.CompletionRequest
	m, err := call.Open(&req, &req.Model)
	if err != nil {
		return err
	}
	defer m.Release()
	ctx, cancel := call.Context()
	defer cancel()
	prompts, err := renderPrompts(ctx, m.Deployment, &req)
	if err != nil {
		return err
	}
	list := make([]api.Rendered, len(prompts))
	for i, p := range prompts {
		list[i] = rendered(m, "cmpl-", p.ids)
	}
	return call.JSON(200, list)
}

func renderPrompts(ctx context.Context, m *serving.Deployment, req *api.CompletionRequest) (prompts []completionPrompt, err *serving.Error) {
	var c serving.Check
	size := checkPrompts(&c, m, req)
	if err := c.Err(); err != nil {
		return nil, err
	}
	return prompts, m.Prepare(ctx, size, func() (err *serving.Error) {
		prompts, err = encodePrompts(m, req)
		return err
	})
}

func rendered(m *serving.Lease, kind string, ids []int32) api.Rendered {
	return api.Rendered{RequestID: serving.NewID(kind), Model: m.Name, TokenIDs: append([]int32{}, ids...), Prompt: m.Tokenizer.Decode(ids, true)}
}
