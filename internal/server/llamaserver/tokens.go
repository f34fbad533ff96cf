package llamaserver

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	api "github.com/penstock-llm/penstock/api/llamaserver"
	wire "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/server/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// tokenize is POST /tokenize.
func tokenize(call *serving.Call) *serving.Error {
	var req api.TokenizeRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	m, err := call.Acquire(req.Model)
	if err != nil {
		return err
	}
	defer m.Release()
	var c serving.Check
	ids, _ := content(&c, m.Deployment, "content", req.Content, req.AddSpecial, req.ParseSpecial == nil || *req.ParseSpecial)
	if err := c.Err(); err != nil {
		return err
	}
	if !req.WithPieces {
		return call.JSON(200, api.TokenizeResponse{Tokens: append([]int32{}, ids...)})
	}
	pieces := make([]api.TokenPiece, len(ids))
	for i, id := range ids {
		pieces[i] = api.TokenPiece{ID: id, Piece: pieceOf(m.Deployment, id)}
	}
	return call.JSON(200, api.TokenizeResponse{Tokens: pieces})
}

// pieceOf is a token's text, or its bytes where they are not text.
func pieceOf(m *serving.Deployment, id int32) any {
	b := m.Tokenizer.Piece(id)
	if utf8.Valid(b) {
		return string(b)
	}
	raw := make([]int, len(b))
	for i, x := range b {
		raw[i] = int(x)
	}
	return raw
}

// content reads a prompt: a text, a token id, or an array of both, of which
// only the first text gets the tokens that begin a text.
func content(c *serving.Check, m *serving.Deployment, param string, data json.RawMessage, special, parse bool) (ids []int32, ok bool) {
	wrong := func() ([]int32, bool) {
		c.Fail(serving.Bad(param, "%s must be a text, or an array of texts and token ids", param))
		return nil, false
	}
	if len(data) == 0 || string(data) == "null" {
		return wrong()
	}
	var text string
	if json.Unmarshal(data, &text) == nil {
		return m.Tokenizer.Encode(text, special, parse), true
	}
	var parts []json.RawMessage
	if json.Unmarshal(data, &parts) != nil {
		return wrong()
	}
	for i, part := range parts {
		var id int32
		switch {
		case json.Unmarshal(part, &text) == nil:
			ids = append(ids, m.Tokenizer.Encode(text, special && i == 0, parse)...)
		case json.Unmarshal(part, &id) == nil:
			c.Tokens(fmt.Sprintf("%s[%d]", param, i), []int32{id}, m.Tokenizer.Vocab())
			ids = append(ids, id)
		default:
			return wrong()
		}
	}
	return ids, true
}

// detokenize is POST /detokenize.
func detokenize(call *serving.Call) *serving.Error {
	var req api.DetokenizeRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	m, err := call.Acquire(req.Model)
	if err != nil {
		return err
	}
	defer m.Release()
	var c serving.Check
	if req.Tokens == nil {
		c.Fail(serving.Bad("tokens", "tokens is required"))
	}
	c.Tokens("tokens", req.Tokens, m.Tokenizer.Vocab())
	if err := c.Err(); err != nil {
		return err
	}
	return call.JSON(200, api.DetokenizeResponse{Content: m.Tokenizer.Decode(req.Tokens, true)})
}

// applyTemplate is POST /apply-template.
func applyTemplate(call *serving.Call) *serving.Error {
	var req api.ApplyTemplateRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	m, err := call.Acquire(req.Model)
	if err != nil {
		return err
	}
	defer m.Release()
	c, err := openai.Conversation(&wire.Conversation{
		Messages: req.Messages, Tools: req.Tools, AddGenerationPrompt: req.AddGenerationPrompt, TemplateArgs: req.TemplateArgs,
	})
	if err != nil {
		return err
	}
	p, err := m.Render(call.R.Context(), c)
	if err != nil {
		return err
	}
	return call.JSON(200, api.ApplyTemplateResponse{Prompt: p.Text})
}
