package ollama

import (
	"slices"

	api "github.com/penstock-llm/penstock/api/ollama"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/server/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// generate is POST /api/generate.
func generate(call *serving.Call) *serving.Error {
	var req api.GenerateRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	if req.Prompt == "" && req.System == "" && req.Suffix == "" {
		reason, err := loadOnly(call, req.Model, req.KeepAlive)
		if err != nil {
			return err
		}
		return call.JSON(200, api.GenerateResponse{Model: req.Model, CreatedAt: now(), Done: true, DoneReason: reason})
	}
	m, err := acquire(call, req.Model, req.KeepAlive, serving.Opens(streams(req.Stream), serving.NDJSON, &encoder{model: req.Model}))
	if err != nil {
		return err
	}
	defer m.Release()
	j, err := generateJob(call, m.Deployment, &req)
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
	if j.Stream {
		return call.Stream(ctx, []*serving.Generation{g}, serving.NDJSON, &encoder{model: m.Name, tokens: m.Deployment, start: call.Start, loading: m.Waited, ids: j.Prompt})
	}
	a, err := g.Collect(ctx)
	if err != nil {
		return err
	}
	return call.JSON(200, api.GenerateResponse{
		Model: m.Name, CreatedAt: now(), Response: a.Text, Thinking: a.Reasoning, Done: true, DoneReason: a.Result.Reason,
		Context: slices.Concat(j.Prompt, a.IDs), Metrics: metrics(a.Result, call.Start, m.Waited),
		Logprobs: openai.TokenLogprobs(m.Deployment, a.Tokens),
	})
}

func generateJob(call *serving.Call, m *serving.Deployment, req *api.GenerateRequest) (*serving.Job, *serving.Error) {
	var c serving.Check
	c.Tokens("context", req.Context, m.Tokenizer.Vocab())
	if err := c.Err(); err != nil {
		return nil, err
	}
	j, err := job(call, m, &req.Common)
	if err != nil {
		return nil, err
	}
	if req.Suffix != "" {
		return fill(call, m, req, j)
	}
	if req.Raw {
		return j, m.Prepare(call.R.Context(), len(req.Prompt), func() (err *serving.Error) {
			j.Prompt, err = m.Encode(req.Prompt, true)
			return err
		})
	}
	conversation := &serving.Conversation{}
	if req.System != "" {
		conversation.Messages = append(conversation.Messages, chat.NewMessage("system", req.System))
	}
	conversation.Messages = append(conversation.Messages, chat.NewMessage("user", req.Prompt))
	if err := think(conversation, m, req.Think); err != nil {
		return nil, err
	}
	if err := m.Converse(call, conversation, j); err != nil {
		return nil, err
	}
	j.Prompt = slices.Concat(req.Context, j.Prompt)
	return j, nil
}

// fill makes the prompt of a text with a gap before its suffix. Such a request has
// no conversation.
func fill(call *serving.Call, m *serving.Deployment, req *api.GenerateRequest, j *serving.Job) (*serving.Job, *serving.Error) {
	if err := m.CanInfill("suffix"); err != nil {
		return nil, err
	}
	for _, other := range []struct {
		name string
		set  bool
	}{{"system", req.System != ""}, {"context", len(req.Context) > 0}, {"raw", req.Raw}} {
		if other.set {
			return nil, serving.Bad(other.name, "%s cannot be used together with suffix", other.name)
		}
	}
	return j, m.Prepare(call.R.Context(), len(req.Prompt)+len(req.Suffix), func() (err *serving.Error) {
		j.Prompt, err = m.EncodeInfill(&serving.Infill{Prefix: req.Prompt, Suffix: req.Suffix})
		return err
	})
}
