// Package llamaserver speaks llama-server's own HTTP API: /completion,
// /infill, /embedding, /tokenize, /detokenize, /apply-template, /props, /slots,
// /lora-adapters, and /models/load and /models/unload of its router mode. Its errors are
// {"error":{"code":400,"message":"…","type":"…"}}.
//
// One file per endpoint; generation itself is package serving's.
package llamaserver

import (
	"encoding/json"
	"net/http"

	api "github.com/penstock-llm/penstock/api/llamaserver"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// Routes are the endpoints of this protocol.
func Routes() []serving.Route {
	return []serving.Route{
		{Method: "POST", Path: "/completion", Shape: WriteError, Handle: completion, About: "llama-server completion, streamed or not",
			Contract: serving.Contract{Takes: api.CompletionRequest{}, Gives: api.Completion{}, Varies: true, Events: api.Completion{}, Runs: true}},
		{Method: "POST", Path: "/completions", Shape: WriteError, Handle: completion, About: "the same",
			Contract: serving.Contract{Takes: api.CompletionRequest{}, Gives: api.Completion{}, Varies: true, Events: api.Completion{}, Runs: true}},
		{Method: "POST", Path: "/infill", Shape: WriteError, Handle: infill, About: "llama-server: fill a gap in a text, streamed or not",
			Contract: serving.Contract{Takes: api.InfillRequest{}, Gives: api.Completion{}, Varies: true, Events: api.Completion{}, Runs: true}},
		{Method: "POST", Path: "/tokenize", Shape: WriteError, Handle: tokenize, About: "text to token ids",
			Contract: serving.Contract{Takes: api.TokenizeRequest{}, Gives: api.TokenizeResponse{}}},
		{Method: "POST", Path: "/detokenize", Shape: WriteError, Handle: detokenize, About: "token ids to text",
			Contract: serving.Contract{Takes: api.DetokenizeRequest{}, Gives: api.DetokenizeResponse{}}},
		{Method: "POST", Path: "/apply-template", Shape: WriteError, Handle: applyTemplate, About: "conversation to prompt",
			Contract: serving.Contract{Takes: api.ApplyTemplateRequest{}, Gives: api.ApplyTemplateResponse{}}},
		{Method: "POST", Path: "/embedding", Shape: WriteError, Handle: embedding, About: "llama-server embeddings",
			Contract: serving.Contract{Takes: api.EmbeddingRequest{}, Gives: []api.Embedding{}, Runs: true, Also: []int{http.StatusNotImplemented}}},
		{Method: "POST", Path: "/embeddings", Shape: WriteError, Handle: embedding, About: "the same",
			Contract: serving.Contract{Takes: api.EmbeddingRequest{}, Gives: []api.Embedding{}, Runs: true, Also: []int{http.StatusNotImplemented}}},
		{Method: "GET", Path: "/props", Shape: WriteError, Handle: props, About: "llama-server properties",
			Contract: serving.Contract{Gives: api.Props{}, Query: map[string][]string{"model": nil}, Also: []int{http.StatusNotFound}}},
		{Method: "GET", Path: "/slots", Shape: WriteError, Handle: slots, About: "llama-server slots",
			Contract: serving.Contract{Gives: []api.Slot{}, Query: map[string][]string{"fail_on_no_slot": nil, "model": nil}, Also: []int{http.StatusNotFound}}},
		{Method: "GET", Path: "/lora-adapters", Shape: WriteError, Handle: loraAdapters, About: "llama-server list of adapters, of which there are none",
			Contract: serving.Contract{Gives: []struct{}{}}},
		{Method: "POST", Path: "/models/load", Shape: WriteError, Handle: loadModel, Trusted: true, About: "llama-server's router: load a model",
			Contract: serving.Contract{Takes: api.ModelRequest{}, Gives: api.ModelDone{}}},
		{Method: "POST", Path: "/models/unload", Shape: WriteError, Handle: unloadModel, Trusted: true, About: "llama-server's router: unload a model",
			Contract: serving.Contract{Takes: api.ModelRequest{}, Gives: api.ModelDone{}, Also: []int{http.StatusConflict}}},
	}
}

// WriteError writes an error as llama-server does.
func WriteError(w http.ResponseWriter, e *serving.Error) {
	body, _ := json.Marshal(errorBody(e))
	e.Headers(w.Header())
	serving.WriteJSON(w, e.Status, body)
}

func errorBody(e *serving.Error) api.ErrorResponse {
	return api.ErrorResponse{Error: api.Error{
		Code: e.Status, Message: e.Message, Type: e.Type, NPromptTokens: e.PromptTokens, NCtx: e.Context,
	}}
}
