package llamaserver

import (
	"strings"
	"unicode/utf8"

	api "github.com/penstock-llm/penstock/api/llamaserver"
	wire "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/server/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// countTokens answers a request to /tokenize in vLLM's form, with a prompt or a
// conversation.
func countTokens(call *serving.Call, m *serving.Deployment, r *api.TokenizeRequest) *serving.Error {
	ids, err := vllmTokens(call, m, r)
	if err != nil {
		return err
	}
	a := api.CountedTokens{Count: len(ids), MaxModelLen: m.Context(), Tokens: append([]int32{}, ids...)}
	if r.ReturnTokenStrs {
		a.TokenStrs = make([]string, len(ids))
		for i, id := range ids {
			a.TokenStrs[i] = strings.ToValidUTF8(string(m.Tokenizer.Piece(id)), string(utf8.RuneError))
		}
	}
	return call.JSON(200, a)
}

func vllmTokens(call *serving.Call, m *serving.Deployment, r *api.TokenizeRequest) (ids []int32, err *serving.Error) {
	switch {
	case len(r.Content) > 0:
		return nil, serving.Bad("content", "content is llama-server's form and cannot be used together with prompt or messages, which are vLLM's")
	case r.Prompt != nil && len(r.Messages) > 0:
		return nil, serving.Bad("prompt", "prompt cannot be used together with messages")
	}
	if r.Prompt != nil {
		special := r.AddSpecialTokens == nil || *r.AddSpecialTokens
		return ids, m.Prepare(call.R.Context(), len(*r.Prompt), func() *serving.Error {
			ids = m.Tokenizer.Encode(*r.Prompt, special, true)
			return nil
		})
	}
	if r.AddSpecialTokens != nil && *r.AddSpecialTokens {
		return nil, serving.Bad("add_special_tokens", "add_special_tokens must be false for messages: the chat template writes them")
	}
	c, err := openai.Conversation(&wire.Conversation{
		Messages: r.Messages, Tools: r.Tools, AddGenerationPrompt: r.AddGenerationPrompt, ContinueFinal: r.ContinueFinal, TemplateArgs: r.TemplateArgs,
	})
	if err != nil {
		return nil, err
	}
	return ids, m.Prepare(call.R.Context(), len(r.Messages), func() *serving.Error {
		p, err := m.Render(call.R.Context(), c)
		if err == nil {
			ids, err = m.EncodePrompt(p)
		}
		return err
	})
}
