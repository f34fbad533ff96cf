package llamaserver

import (
	"context"
	"encoding/json"

	api "github.com/penstock-llm/penstock/api/llamaserver"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// embedding is POST /embedding.
func embedding(call *serving.Call) *serving.Error {
	var req api.EmbeddingRequest
	m, err := call.Open(&req, &req.Model)
	if err != nil {
		return err
	}
	defer m.Release()
	param, data := "input", req.Input
	if len(data) == 0 {
		param, data = "content", req.Content
	}
	if len(req.Input) > 0 && len(req.Content) > 0 {
		return serving.Bad("content", "content is another name of input: send one of them")
	}
	const highest = 64 // powers above it leave nothing of a float
	var c serving.Check
	norm := c.Int("embd_normalize", req.Normalize, serving.Norm2, serving.NormNone, highest)
	if err := c.Err(); err != nil {
		return err
	}
	ctx, cancel := call.Context()
	defer cancel()
	in, err := embeddingInputs(ctx, m.Deployment, param, data)
	if err != nil {
		return err
	}
	all, err := m.Embed(ctx, call, in)
	if err != nil {
		return err
	}
	answer := make([]api.Embedding, len(all.Vectors))
	for i, v := range all.Vectors {
		serving.Normalize(v, norm)
		answer[i] = api.Embedding{Index: i, Embedding: [][]float32{v}}
	}
	return call.JSON(200, answer)
}

// embeddingInputs reads what to embed: a text or several, or prompts with token ids
// in them.
func embeddingInputs(ctx context.Context, m *serving.Deployment, param string, data json.RawMessage) (*serving.Inputs, *serving.Error) {
	all, err := parsePrompts(param, data, m.Tokenizer.Vocab(), serving.MaxInputs)
	if err != nil {
		return nil, err
	}
	in := &serving.Inputs{Param: param, Many: len(all) > 1}
	bytes := 0
	for _, p := range all {
		bytes += p.bytes()
		for _, one := range p {
			if one.text != nil && *one.text == "" {
				return nil, serving.Bad(param, "%s must have no empty text", param)
			}
		}
		if len(p) == 1 && p[0].text != nil {
			in.Texts = append(in.Texts, *p[0].text)
		}
	}
	if len(in.Texts) == len(all) {
		return in, nil
	}
	in.Texts, in.Tokens = nil, make([][]int32, len(all))
	return in, m.Prepare(ctx, bytes, func() (err *serving.Error) {
		for i, p := range all {
			if in.Tokens[i], err = p.encode(true, m.Encode); err != nil {
				return err
			}
		}
		return nil
	})
}
