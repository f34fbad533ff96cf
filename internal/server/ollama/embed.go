package ollama

import (
	"math"
	"time"

	api "github.com/penstock-llm/penstock/api/ollama"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// embed is POST /api/embed. Without any text it only asks whether the model is there.
func embed(call *serving.Call) *serving.Error {
	var req api.EmbedRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	m, err := acquire(call, req.Model, req.KeepAlive, nil)
	if err != nil {
		return err
	}
	defer m.Release()
	in := &serving.Inputs{Param: "input", Texts: req.Input, Many: len(req.Input) > 1, Truncate: req.Truncate != nil && *req.Truncate}
	var c serving.Check
	in.Limit = contextOf(&c, m.Deployment, req.Options)
	c.Dimensions(req.Dimensions, m.Deployment)
	if err := c.Err(); err != nil {
		return err
	}
	answer := api.EmbedResponse{Model: m.Name, Embeddings: [][]float32{}}
	if len(req.Input) > 1 || len(req.Input) == 1 && req.Input[0] != "" {
		ctx, cancel := call.Context()
		defer cancel()
		all, err := m.Embed(ctx, call, in)
		if err != nil {
			return err
		}
		for _, v := range all.Vectors {
			serving.Normalize(v, serving.Norm2)
		}
		answer.Embeddings, answer.PromptEvalCount = all.Vectors, all.Tokens
	}
	answer.TotalDuration, answer.LoadDuration = int64(time.Since(call.Start)), int64(m.Waited)
	return call.JSON(200, answer)
}

// vector is POST /api/embeddings. Its vectors are as the model made them.
func vector(call *serving.Call) *serving.Error {
	var req api.VectorRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	m, err := acquire(call, req.Model, req.KeepAlive, nil)
	if err != nil {
		return err
	}
	defer m.Release()
	in := &serving.Inputs{Param: "prompt", Texts: []string{req.Prompt}}
	var c serving.Check
	in.Limit = contextOf(&c, m.Deployment, req.Options)
	if err := c.Err(); err != nil {
		return err
	}
	if req.Prompt == "" {
		return call.JSON(200, api.VectorResponse{Embedding: []float32{}})
	}
	ctx, cancel := call.Context()
	defer cancel()
	all, err := m.Embed(ctx, call, in)
	if err != nil {
		return err
	}
	return call.JSON(200, api.VectorResponse{Embedding: all.Vectors[0]})
}

// contextOf is the number of tokens that a text may have.
func contextOf(c *serving.Check, m *serving.Deployment, o *api.EmbedOptions) int {
	if o == nil {
		return 0
	}
	checkContext(c, m, o.NumCtx)
	return c.Int("options.num_ctx", o.NumCtx, 0, 1, math.MaxInt32)
}
