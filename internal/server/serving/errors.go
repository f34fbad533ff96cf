package serving

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/penstock-llm/penstock/internal/access"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/sample"
)

// Error is what a request gets instead of an answer. This file is the only
// place that decides statuses; each protocol decides the form of the body.
type Error struct {
	Status     int
	Type       string // OpenAI's and llama-server's error type
	Code       string // OpenAI's machine-readable code, or ""
	Param      string // the field at fault, or ""
	Message    string
	RetryAfter int   // seconds; 0: no header
	Final      bool  // a 5xx that clients should not retry: the request would fail again
	Cause      error // for the log

	PromptTokens int // of a prompt that is too long; 0 with other errors
	Context      int
}

func (e *Error) Error() string { return e.Message }

const invalidRequest = "invalid_request_error"

// Bad is a 400 about one parameter; param may be empty. Texts among the
// arguments may be the client's, so they are clipped.
func Bad(param, format string, a ...any) *Error {
	for i, v := range a {
		switch v := v.(type) {
		case string:
			a[i] = Clip(v)
		case error:
			a[i] = Clip(v.Error())
		}
	}
	return &Error{Status: http.StatusBadRequest, Type: invalidRequest, Param: Clip(param), Message: fmt.Sprintf(format, a...)}
}

// maxEcho is how many bytes of what a client sent an error may repeat.
const maxEcho = 200

// Clip shortens a text of a client for an error's message.
func Clip(text string) string {
	if len(text) <= maxEcho {
		return text
	}
	end := maxEcho
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// Unsupported is a 400 about a parameter of the protocol that would change the
// answer, and that this server does not implement.
func Unsupported(param string) *Error {
	e := Bad(param, "%s is not supported by this server: leave it out", param)
	e.Code = "unsupported_parameter"
	return e
}

// NotFound is a 404 for a path.
func NotFound(path string) *Error {
	return &Error{Status: http.StatusNotFound, Type: "not_found_error", Message: "no such route: " + Clip(path) + "; GET / lists those that exist"}
}

// NoModel is a 404 for a model that this server does not have. It names those
// that it has.
func NoModel(name string, have []string) *Error {
	return &Error{Status: http.StatusNotFound, Type: "not_found_error", Code: noModelCode, Param: "model",
		Message: fmt.Sprintf("the model %q does not exist; this server has %s", Clip(name), cmp.Or(strings.Join(have, ", "), "none that this key may use"))}
}

const noModelCode = "model_not_found"

// WrongMethod is a 405; allowed are the methods that the path has.
func WrongMethod(method, path, allowed string) *Error {
	return &Error{Status: http.StatusMethodNotAllowed, Type: invalidRequest, Code: "method_not_allowed",
		Message: fmt.Sprintf("%s is not allowed for %s, which takes %s", Clip(method), path, allowed)}
}

// Unauthorized is a 401.
func Unauthorized() *Error {
	return &Error{Status: http.StatusUnauthorized, Type: "authentication_error", Code: "invalid_api_key",
		Message: "missing or wrong API key: send it in the header Authorization: Bearer KEY, or X-Api-Key: KEY"}
}

// Forbidden is a 403 for a request that a foreign web page has caused.
func Forbidden(format, sent string) *Error {
	return &Error{Status: http.StatusForbidden, Type: "permission_error", Code: "forbidden", Message: fmt.Sprintf(format, Clip(sent))}
}

// OutOfScope is a 403 for a key that does not open a route.
func OutOfScope(key *access.Key, scope access.Scope, path string) *Error {
	return &Error{Status: http.StatusForbidden, Type: "permission_error", Code: "insufficient_scope",
		Message: fmt.Sprintf("the key %s lacks the scope %s, which %s needs", key.Name, scope, path)}
}

// forbiddenModel is a 403 for a key that may not use a model.
func forbiddenModel(key *access.Key, model string) *Error {
	return &Error{Status: http.StatusForbidden, Type: "permission_error", Code: "model_not_allowed", Param: "model",
		Message: fmt.Sprintf("the key %s may not use the model %s; it may use %s", key.Name, Clip(model), strings.Join(key.Models, ", "))}
}

// UnsupportedType is a 415 for a web page's body that is not JSON.
func UnsupportedType(kind string) *Error {
	return &Error{Status: http.StatusUnsupportedMediaType, Type: invalidRequest, Code: "unsupported_media_type",
		Message: fmt.Sprintf("web pages must send application/json, not %s", Clip(kind))}
}

// compressed is a 415 for a body that would have to be unpacked first.
func compressed(kind string) *Error {
	return &Error{Status: http.StatusUnsupportedMediaType, Type: invalidRequest, Code: "unsupported_media_type",
		Message: fmt.Sprintf("the request body has the Content-Encoding %s: send it uncompressed", Clip(kind))}
}

// BodyTooLarge is a 413.
func BodyTooLarge(limit int64) *Error {
	return &Error{Status: http.StatusRequestEntityTooLarge, Type: invalidRequest, Code: "request_too_large",
		Message: fmt.Sprintf("the request body exceeds %d bytes, the most that this server takes", limit)}
}

// BodyTooSlow is a 408 for a client that did not send its body in time.
func BodyTooSlow() *Error {
	return &Error{Status: http.StatusRequestTimeout, Type: invalidRequest, Code: "request_timeout",
		Message: "the request body did not arrive in time"}
}

// Loading is a 503 while the model is not there yet.
func Loading() *Error {
	return &Error{Status: http.StatusServiceUnavailable, Type: "unavailable_error", Code: "loading",
		Message: "Loading model", RetryAfter: 1}
}

// shuttingDown is a 503 while the server is shutting down.
func shuttingDown() *Error {
	return &Error{Status: http.StatusServiceUnavailable, Type: "unavailable_error", Code: "draining",
		Message: "the server is shutting down", RetryAfter: 5}
}

// brokenEngine is a 503: the engine has failed again and again, and restarts after a
// pause.
func brokenEngine(retry time.Duration) *Error {
	return &Error{Status: http.StatusServiceUnavailable, Type: "unavailable_error", Code: engineBroken,
		Message: "the engine has failed repeatedly and takes no requests until it has restarted", RetryAfter: 1 + int(retry/time.Second)}
}

// stuckEngine is a 503: a step of the engine does not end.
func stuckEngine(since time.Duration) *Error {
	return &Error{Status: http.StatusServiceUnavailable, Type: "unavailable_error", Code: engineStuck,
		Message: fmt.Sprintf("a step of the engine has not ended for %v; the server may have to be restarted", since), RetryAfter: 30}
}

const (
	engineBroken = "engine_broken"
	engineStuck  = "engine_stuck"
)

// IsBroken says that an error is the engine's, rather than a phase of the
// server's life.
func (e *Error) IsBroken() bool { return e.Code == engineBroken || e.Code == engineStuck }

// timedOut is a 504: the generation ran longer than the server allows.
func timedOut() *Error {
	return &Error{Status: http.StatusGatewayTimeout, Type: "timeout_error", Code: "timeout",
		Message: "the request timed out; its generation was stopped", Final: true}
}

// Internal is a 500.
func Internal(cause error) *Error {
	return &Error{Status: http.StatusInternalServerError, Type: "server_error", Message: "internal error", Cause: cause}
}

// Gone is the error of a client that has closed the connection, or does not read.
// Nothing is written for it; its status, which is nginx's, is for log and metrics.
func Gone() *Error { return &Error{Status: 499, Message: "the client closed the connection"} }

// FromEngine turns an error of the engine, with which it refuses a request or
// ends one early, into what the client gets.
func FromEngine(err error) *Error {
	var long *engine.TooLongError
	var param *sample.ParamError
	var broken *engine.BrokenError
	var busy *engine.BusyError
	var stuck *engine.StuckError
	switch {
	case errors.As(err, &long):
		return TooLong(long.Prompt, long.Context, "")
	case errors.As(err, &param):
		return Bad(param.Param, "%s must be %s", param.Param, param.Want)
	case errors.Is(err, sample.ErrNoToken):
		return Bad("", "no token is left to choose from: see allowed_token_ids, bad_words, min_tokens and logit_bias")
	case errors.As(err, &busy):
		return tooBusy(busy)
	case errors.Is(err, engine.ErrQueueFull):
		return tooBusy(&engine.BusyError{Full: true})
	case errors.Is(err, engine.ErrNoStates):
		return &Error{Status: http.StatusNotImplemented, Type: "not_supported_error", Message: "this model gives no embeddings", Final: true}
	case errors.Is(err, engine.ErrEncoder):
		return Bad("model", "this model reads texts and generates none: use /v1/embeddings, /rerank or /score")
	case errors.Is(err, engine.ErrEmpty):
		return Bad("prompt", "the prompt has no tokens")
	case errors.Is(err, engine.ErrToken):
		return Bad("prompt", "the prompt has a token that is not in the vocabulary")
	case errors.As(err, &stuck):
		return stuckEngine(stuck.For)
	case errors.As(err, &broken):
		return brokenEngine(broken.Retry)
	case errors.Is(err, engine.ErrNotFinite), errors.Is(err, sample.ErrNotFinite):
		return &Error{Status: http.StatusInternalServerError, Type: "server_error", Code: "not_finite", Cause: err,
			Message: "the model computed a number that is not finite (NaN or infinite) for this request; its file may be damaged"}
	case errors.Is(err, engine.ErrDraining), errors.Is(err, engine.ErrClosed):
		return shuttingDown()
	case errors.Is(err, context.DeadlineExceeded):
		return timedOut()
	case errors.Is(err, context.Canceled):
		return Gone()
	}
	return Internal(err)
}

// tooBusy is a 429 for a request that would have to wait too long. Its header says in how
// many seconds it would begin.
func tooBusy(busy *engine.BusyError) *Error {
	e := &Error{Status: http.StatusTooManyRequests, Type: "rate_limit_error", Code: queueFull,
		Message: "too many requests are waiting: Retry-After says in how many seconds this one would begin", RetryAfter: seconds(busy.Starts)}
	if !busy.Full {
		e.Code = waitTooLong
		e.Message = "the request would wait longer than this server allows: Retry-After says in how many seconds it would begin"
	}
	return e
}

// TooLong is a 400 for a prompt that does not fit. Agents match its words and
// numbers, which are llama-server's; about is "at least " where the prompt was
// refused before its tokens were counted.
func TooLong(prompt, context int, about string) *Error {
	return &Error{Status: http.StatusBadRequest, Type: "exceed_context_size_error", Code: "context_length_exceeded",
		Message: fmt.Sprintf("request (%s%d tokens) exceeds the available context size (%d tokens), try increasing it",
			about, prompt, context),
		PromptTokens: prompt, Context: context}
}

// FromChat turns what is wrong with a conversation into a 400 that names the field.
func FromChat(err error) *Error {
	var field *chat.FieldError
	if errors.As(err, &field) {
		return Bad(field.Field, "%s", field.Error())
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return FromEngine(err)
	}
	return Bad("messages", "%v", err)
}
