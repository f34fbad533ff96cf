// Package anthropic speaks the Anthropic Messages API, which Claude Code and
// other agents use: messages with tools and thinking, streamed or not, and the
// counting of tokens.
//
// A handler decodes, builds a conversation and a job, and streams or collects;
// generation itself is package serving's. Package server mounts the routes.
// Fields that only concern Anthropic's own service, such as cache_control,
// metadata and betas, are tolerated: docs/api.md lists them.
//
// Reading order: messages.go, content.go, answer.go, stream.go.
package anthropic

import (
	"encoding/json"
	"fmt"
	"net/http"

	api "github.com/penstock-llm/penstock/api/anthropic"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// Routes are the endpoints of this protocol.
func Routes() []serving.Route {
	return []serving.Route{
		{Method: "POST", Path: "/v1/messages", Shape: WriteError, Limits: sayRateLimits, Handle: messages, About: "Anthropic message, streamed or not",
			Contract: serving.Contract{Takes: api.MessagesRequest{}, Gives: api.MessageResponse{}, Events: map[string]any{}, Runs: true}},
		{Method: "POST", Path: "/v1/messages/count_tokens", Shape: WriteError, Limits: sayRateLimits, Handle: countTokens, About: "tokens of an Anthropic message's prompt",
			Contract: serving.Contract{Takes: api.Conversation{}, Gives: api.CountResponse{}}},
	}
}

// statusOverloaded is Anthropic's status for a server that has too much to do.
const statusOverloaded = 529

// WriteError writes an error as Anthropic does.
func WriteError(w http.ResponseWriter, e *serving.Error) {
	id := w.Header().Get("X-Request-Id")
	w.Header().Set("Request-Id", id)
	body, _ := json.Marshal(errorBody(e, id))
	e.Headers(w.Header())
	status := e.Status
	if e.Busy() {
		status = statusOverloaded
	}
	serving.WriteJSON(w, status, body)
}

func errorBody(e *serving.Error, requestID string) api.ErrorResponse {
	message := e.Message
	if e.PromptTokens > 0 { // agents look for these words, and shorten the conversation
		message = fmt.Sprintf("prompt is too long: %d tokens > %d maximum", e.PromptTokens, e.Context)
	}
	return api.ErrorResponse{Type: "error", Error: api.Error{Type: errorType(e), Message: message}, RequestID: requestID}
}

func errorType(e *serving.Error) string {
	if e.Busy() {
		return "overloaded_error"
	}
	switch e.Status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return "timeout_error"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	}
	if e.Status >= 500 {
		return "api_error"
	}
	return "invalid_request_error"
}
