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
		return call.Stream(ctx, []*serving.Generation{g}, serving.NDJSON, &encoder{model: m.Name, tokens: m.Deployment, start: call.Start, loading: m.Waited, raw: req.Raw, ids: j.Prompt})
	}
	a, err := g.Collect(ctx)
	if err != nil {
		return err
	}
	answer := api.GenerateResponse{
		Model: m.Name, CreatedAt: now(), Response: a.Text, Thinking: a.Reasoning, Done: true, DoneReason: a.Result.Reason,
		Metrics: metrics(a.Result, call.Start, m.Waited), Logprobs: openai.TokenLogprobs(m.Deployment, a.Tokens),
	}
	if !req.Raw { // a raw prompt takes no context
		answer.Context = slices.Concat(j.Prompt, a.IDs)
	}
	return call.JSON(200, answer)
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
	conversation := &serving.Conversation{}
	if err := think(conversation, m, req.Think); err != nil {
		return nil, err
	}
	if req.Suffix != "" {
		return fill(call, m, req, j)
	}
	if req.Raw {
		if err := alone(req, "raw"); err != nil {
			return nil, err
		}
		return j, m.Prepare(call.R.Context(), len(req.Prompt), func() (err *serving.Error) {
			j.Prompt, err = m.Encode(req.Prompt, true)
			return err
		})
	}
	if req.System != "" {
		conversation.Messages = append(conversation.Messages, chat.NewMessage("system", req.System))
	}
	conversation.Messages = append(conversation.Messages, chat.NewMessage("user", req.Prompt))
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
	if err := alone(req, "suffix"); err != nil {
		return nil, err
	}
	return j, m.Prepare(call.R.Context(), len(req.Prompt)+len(req.Suffix), func() (err *serving.Error) {
		j.Prompt, err = m.EncodeInfill(&serving.Infill{Prefix: req.Prompt, Suffix: req.Suffix})
		return err
	})
}

// alone refuses what a prompt without a conversation has no place for. field is what
// makes it one: raw or suffix.
func alone(req *api.GenerateRequest, field string) *serving.Error {
	for _, other := range []struct {
		name string
		set  bool
	}{
		{"system", req.System != ""}, {"context", len(req.Context) > 0}, {"raw", req.Raw}, {"think", asked(req.Think)},
	} {
		if other.set && other.name != field {
			return serving.Bad(other.name, "%s cannot be used together with %s", other.name, field)
		}
	}
	return nil
}
