// Package ollama speaks the Ollama HTTP API: generating and chatting with
// options of its own names, and what clients ask about models.
//
// A handler decodes, builds a conversation and a job, and streams or collects;
// generation itself is package serving's. Streams are lines of JSON, and are the
// default. Package server mounts the routes.
//
// Reading order: chat.go, generate.go, options.go, stream.go, embed.go, models.go, pull.go.
package ollama

import (
	"encoding/json"
	"net/http"

	api "github.com/penstock-llm/penstock/api/ollama"
	"github.com/penstock-llm/penstock/internal/hub"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// Routes are the endpoints of this protocol. store is where models are pulled to;
// nil: nothing can be pulled.
func Routes(store *hub.Store) []serving.Route {
	h := handlers{store}
	route := func(method, path, about string, handle serving.Handler, c serving.Contract) serving.Route {
		return serving.Route{Method: method, Path: path, Shape: WriteError, Handle: handle, About: about, Contract: c}
	}
	never := func(method, path, why string) serving.Route {
		return route(method, path, "refused", refused(why), serving.Contract{Refused: true, Also: []int{http.StatusNotImplemented}})
	}
	local := func(r serving.Route) serving.Route {
		r.Trusted = true
		return r
	}
	return []serving.Route{
		route("POST", "/api/chat", "Ollama chat, streamed unless stream is false", chatHandler, serving.Contract{Takes: api.ChatRequest{}, Gives: api.ChatResponse{}, Events: api.ChatResponse{}, Framing: serving.NDJSON, Runs: true}),
		route("POST", "/api/generate", "Ollama completion, streamed unless stream is false", generate, serving.Contract{Takes: api.GenerateRequest{}, Gives: api.GenerateResponse{}, Events: api.GenerateResponse{}, Framing: serving.NDJSON, Runs: true}),
		route("POST", "/api/embed", "Ollama embeddings", embed, serving.Contract{Takes: api.EmbedRequest{}, Gives: api.EmbedResponse{}, Runs: true, Also: []int{http.StatusNotImplemented}}),
		route("POST", "/api/embeddings", "Ollama embedding of one text, the older route", vector, serving.Contract{Takes: api.VectorRequest{}, Gives: api.VectorResponse{}, Runs: true, Also: []int{http.StatusNotImplemented}}),
		route("GET", "/api/tags", "Ollama list of models", tags, serving.Contract{Gives: api.Models{}}),
		route("GET", "/api/ps", "Ollama list of loaded models", ps, serving.Contract{Gives: api.Models{}}),
		route("POST", "/api/show", "Ollama description of a model", show, serving.Contract{Takes: api.NameRequest{}, Gives: api.ShowResponse{}}),
		route("GET", "/api/version", "version", version, serving.Contract{Gives: api.Version{}}),
		local(route("POST", "/api/pull", "fetch a model", h.pull, serving.Contract{Takes: api.NameRequest{}, Gives: api.Status{}, Events: api.Status{}, Framing: serving.NDJSON})),
		local(route("DELETE", "/api/delete", "remove a model that was fetched", h.delete, serving.Contract{Takes: api.NameRequest{}, Also: []int{http.StatusConflict}})),
		local(route("POST", "/api/copy", "give a model that was fetched another name", h.copy, serving.Contract{Takes: api.CopyRequest{}, Also: []int{http.StatusConflict}})),
		route("GET", "/api/blobs/{digest}", "200 if a model has the digest sha256:…, without its content", blob, serving.Contract{Also: []int{http.StatusBadRequest}}),
		never("POST", "/api/create", "models are not made here: penstock quantize converts a GGUF file"),
		never("POST", "/api/push", "this server publishes no models"),
		never("POST", "/api/blobs/{digest}", "models are not made here"),
	}
}

type handlers struct{ store *hub.Store }

// WriteError writes an error as Ollama does.
func WriteError(w http.ResponseWriter, e *serving.Error) {
	body, _ := json.Marshal(api.Error{Error: e.Message})
	e.Headers(w.Header())
	serving.WriteJSON(w, e.Status, body)
}

// refused answers a route that this server does not serve.
func refused(why string) serving.Handler {
	return func(*serving.Call) *serving.Error {
		return &serving.Error{Status: http.StatusNotImplemented, Type: "not_supported_error", Message: why, Final: true}
	}
}

// version is GET /api/version.
func version(call *serving.Call) *serving.Error {
	return call.JSON(200, api.Version{Version: call.App.Version})
}
