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
	m, err := call.Open(&req, &req.Model)
	if err != nil {
		return err
	}
	defer m.Release()
	if req.Prompt != nil || len(req.Messages) > 0 {
		return countTokens(call, m.Deployment, &req)
	}
	p, err := parseMixed("content", req.Content, m.Tokenizer.Vocab())
	if err != nil {
		return err
	}
	parse := req.ParseSpecial == nil || *req.ParseSpecial
	var ids []int32
	err = m.Prepare(call.R.Context(), p.bytes(), func() (err *serving.Error) {
		ids, err = p.encode(req.AddSpecial, func(text string, special bool) ([]int32, *serving.Error) {
			return m.Tokenizer.Encode(text, special, parse), nil
		})
		return err
	})
	if err != nil {
		return err
	}
	if !req.WithPieces {
		return call.JSON(200, api.TokenizeResponse{Tokens: ids})
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

// mixed is a prompt in llama-server's form: texts and token ids in any order.
type mixed []part

// part is a text, or where that is nil, a token.
type part struct {
	text *string
	id   int32
}

// parseMixed reads a text, an array of texts and token ids, or an object with a text.
func parseMixed(param string, data json.RawMessage, vocab int) (mixed, *serving.Error) {
	wrong := serving.Bad(param, "%s must be a text, or an array of texts and token ids", param)
	if len(data) == 0 || string(data) == "null" {
		return nil, wrong
	}
	if data[0] == '{' {
		return parseObject(param, data)
	}
	var text string
	if json.Unmarshal(data, &text) == nil {
		return mixed{{text: &text}}, nil
	}
	var elements []json.RawMessage
	if json.Unmarshal(data, &elements) != nil {
		return nil, wrong
	}
	var p mixed
	var c serving.Check
	for i, e := range elements {
		var id int32
		var text string
		switch {
		case string(e) == "null":
			return nil, wrong
		case json.Unmarshal(e, &text) == nil:
			p = append(p, part{text: &text})
		case json.Unmarshal(e, &id) == nil:
			c.Tokens(fmt.Sprintf("%s[%d]", param, i), []int32{id}, vocab)
			p = append(p, part{id: id})
		default:
			return nil, wrong
		}
	}
	return p, c.Err()
}

// parseObject reads a prompt in the form that has images and audio beside its text.
func parseObject(param string, data json.RawMessage) (mixed, *serving.Error) {
	var object struct {
		Text  *string           `json:"prompt_string"`
		Media []json.RawMessage `json:"multimodal_data"`
	}
	if err := serving.Read(param, data, &object); err != nil {
		return nil, serving.FromChat(err)
	}
	switch {
	case object.Text == nil:
		return nil, serving.Bad(param+".prompt_string", "%s.prompt_string is required: the text of the prompt", param)
	case len(object.Media) > 0:
		return nil, serving.Bad(param+".multimodal_data", "%s.multimodal_data must be empty: this model takes text only", param)
	}
	return mixed{{text: object.Text}}, nil
}

// bytes is how much text there is.
func (p mixed) bytes() (n int) {
	for _, one := range p {
		if one.text != nil {
			n += len(*one.text)
		}
	}
	return n
}

// encode turns the texts into tokens by a function that is told whether to add
// the tokens that begin a text, which only the first part gets.
func (p mixed) encode(special bool, encode func(text string, special bool) ([]int32, *serving.Error)) ([]int32, *serving.Error) {
	ids := []int32{}
	for i, one := range p {
		if one.text == nil {
			ids = append(ids, one.id)
			continue
		}
		more, err := encode(*one.text, special && i == 0)
		if err != nil {
			return nil, err
		}
		ids = append(ids, more...)
	}
	return ids, nil
}

// detokenize is POST /detokenize.
func detokenize(call *serving.Call) *serving.Error {
	var req api.DetokenizeRequest
	m, err := call.Open(&req, &req.Model)
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
	text := m.Tokenizer.Decode(req.Tokens, true)
	return call.JSON(200, api.DetokenizeResponse{Content: text, Prompt: text})
}

// applyTemplate is POST /apply-template.
func applyTemplate(call *serving.Call) *serving.Error {
	var req api.ApplyTemplateRequest
	m, err := call.Open(&req, &req.Model)
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
	return m.Prepare(call.R.Context(), len(req.Messages), func() *serving.Error {
		p, err := m.Render(call.R.Context(), c)
		if err != nil {
			return err
		}
		return call.JSON(200, api.ApplyTemplateResponse{Prompt: p.Text})
	})
}
