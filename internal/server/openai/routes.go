// Package openai speaks the OpenAI HTTP API: completions, chat completions and
// models, with the extensions of vLLM and llama-server that clients use.
//
// One file per endpoint: a handler decodes, builds jobs, and streams or
// collects; generation itself is package serving's. What the protocol knows but
// this server does not do is refused by name, never ignored.
package openai

import (
	"encoding/json"
	"net/http"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// Routes are the endpoints of this protocol.
func Routes() []serving.Route {
	return []serving.Route{
		{Method: "POST", Path: "/v1/completions", Shape: WriteError, Handle: completions, About: "OpenAI text completion, streamed or not",
			Contract: serving.Contract{Takes: api.CompletionRequest{}, Gives: api.Completion{}, Events: api.Completion{}, Runs: true}},
		{Method: "POST", Path: "/v1/chat/completions", Shape: WriteError, Handle: chatCompletions, About: "OpenAI chat completion, streamed or not",
			Contract: serving.Contract{Takes: api.ChatRequest{}, Gives: api.ChatCompletion{}, Events: api.ChatChunk{}, Runs: true}},
		{Method: "POST", Path: "/chat/completions", Shape: WriteError, Handle: chatCompletions, About: "the same",
			Contract: serving.Contract{Takes: api.ChatRequest{}, Gives: api.ChatCompletion{}, Events: api.ChatChunk{}, Runs: true}},
		{Method: "POST", Path: "/v1/completions/render", Shape: WriteError, Handle: renderCompletions, About: "vLLM's: the tokens of each prompt, and nothing generated",
			Contract: serving.Contract{Takes: api.CompletionRequest{}, Gives: []api.Rendered{}}},
		{Method: "POST", Path: "/v1/chat/completions/render", Shape: WriteError, Handle: renderChat, About: "vLLM's: the tokens of the prompt, and nothing generated",
			Contract: serving.Contract{Takes: api.ChatRequest{}, Gives: api.Rendered{}}},
		{Method: "GET", Path: "/models", Shape: WriteError, Handle: models, About: "OpenAI list of models",
			Contract: serving.Contract{Gives: api.ModelList{}}},
		{Method: "POST", Path: "/v1/embeddings", Shape: WriteError, Handle: embeddings, About: "OpenAI embeddings",
			Contract: serving.Contract{Takes: api.EmbeddingRequest{}, Gives: api.Embeddings{}, Runs: true, Also: []int{http.StatusNotImplemented}}},
		{Method: "GET", Path: "/v1/models", Shape: WriteError, Handle: models, About: "OpenAI list of models",
			Contract: serving.Contract{Gives: api.ModelList{}}},
		{Method: "GET", Path: "/v1/models/{id...}", Shape: WriteError, Handle: oneModel, About: "OpenAI description of a model",
			Contract: serving.Contract{Gives: api.Model{}}},
	}
}

// WriteError writes an error as OpenAI does.
func WriteError(w http.ResponseWriter, e *serving.Error) {
	body, _ := json.Marshal(errorBody(e))
	e.Headers(w.Header())
	serving.WriteJSON(w, e.Status, body)
}

func errorBody(e *serving.Error) api.ErrorResponse {
	r := api.ErrorResponse{Error: api.Error{
		Message:       e.Message,
		Type:          e.Type,
		NPromptTokens: e.PromptTokens,
		NCtx:          e.Context,
	}}
	if e.Param != "" {
		r.Error.Param = &e.Param
	}
	if e.Code != "" {
		r.Error.Code = &e.Code
	}
	return r
}
