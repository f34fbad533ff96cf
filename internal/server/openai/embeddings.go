package openai

import (
	"encoding/base64"
	"encoding/binary"
	"math"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// embeddings is POST /v1/embeddings.
func embeddings(call *serving.Call) *serving.Error {
	var req api.EmbeddingRequest
	m, err := call.Open(&req, &req.Model)
	if err != nil {
		return err
	}
	defer m.Release()
	ctx, cancel := call.Context()
	defer cancel()
	var c serving.Check
	if f := req.EncodingFormat; f != "" && f != "float" && f != "base64" {
		c.Fail(serving.Bad("encoding_format", "encoding_format must be float or base64"))
	}
	c.Dimensions(req.Dimensions, m.Deployment)
	if err := c.Err(); err != nil {
		return err
	}
	in := &serving.Inputs{
		Param: "input", Texts: req.Input.Texts, Tokens: req.Input.Tokens, Many: req.Input.Many,
		Plain: req.AddSpecialTokens != nil && !*req.AddSpecialTokens,
	}
	if req.Priority != nil {
		in.Priority = *req.Priority
	}
	all, err := m.Embed(ctx, call, in)
	if err != nil {
		return err
	}
	answer := api.Embeddings{Object: "list", Data: make([]api.Embedding, len(all.Vectors)), Model: m.Name,
		Usage: api.EmbeddingUsage{PromptTokens: all.Tokens, TotalTokens: all.Tokens}}
	for i, v := range all.Vectors {
		serving.Normalize(v, serving.Norm2)
		answer.Data[i] = api.Embedding{Object: "embedding", Index: i, Embedding: v}
		if req.EncodingFormat == "base64" {
			answer.Data[i].Embedding = inBase64(v)
		}
	}
	return call.JSON(200, answer)
}

// inBase64 writes a vector as the bytes of its floats, the lowest first.
func inBase64(v []float32) string {
	raw := make([]byte, 0, 4*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(raw)
}
