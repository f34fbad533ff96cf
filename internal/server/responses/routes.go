// Package responses speaks OpenAI's Responses API, which Codex and other agents
// use: items instead of messages, streams of named events, and answers that are
// kept for a while so that the next request can refer to them.
//
// A handler decodes, builds a conversation and a job, and streams or collects;
// generation itself is package serving's. Package server mounts the routes.
// Tools that OpenAI's own servers run are ignored: docs/api.md lists them.
//
// Reading order: create.go, input.go, tools.go, output.go, stream.go, store.go.
package responses

import (
	api "github.com/penstock-llm/penstock/api/responses"
	"github.com/penstock-llm/penstock/internal/server/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// Routes are the endpoints of this protocol. Finished responses are kept in s.
func Routes(s *Store) []serving.Route {
	h := handlers{s}
	return []serving.Route{
		{Method: "POST", Path: "/v1/responses", Shape: openai.WriteError, Handle: h.create, About: "OpenAI response, streamed or not",
			Contract: serving.Contract{Takes: api.Request{}, Gives: api.Response{}, Events: map[string]any{}, Runs: true}},
		{Method: "GET", Path: "/v1/responses/{id}", Shape: openai.WriteError, Handle: h.get, About: "a response that was kept",
			Contract: serving.Contract{Gives: api.Response{}, Query: map[string][]string{"stream": {"false"}}}},
		{Method: "DELETE", Path: "/v1/responses/{id}", Shape: openai.WriteError, Handle: h.delete, About: "forget a response",
			Contract: serving.Contract{Gives: api.Deleted{}}},
		{Method: "POST", Path: "/v1/responses/input_tokens", Shape: openai.WriteError, Handle: h.inputTokens, About: "tokens of a response's prompt",
			Contract: serving.Contract{Takes: api.Request{}, Gives: api.InputTokens{}}},
	}
}

type handlers struct{ store *Store }
