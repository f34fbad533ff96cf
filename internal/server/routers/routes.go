// Package routers answers what routers and balancers in front of several servers
// ask: whether this one works, what it serves, and how much it has to do, in the
// forms of vLLM and SGLang. All figures are the engine's own; it generates
// nothing but the token that shows that it can. Package server mounts the routes.
//
// Reading order: routes.go, health.go, load.go, info.go.
package routers

import (
	"net/http"

	api "github.com/penstock-llm/penstock/api/routers"
	"github.com/penstock-llm/penstock/internal/server/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// Routes are the endpoints for routers.
func Routes() []serving.Route {
	route := func(method, path, about string, handle serving.Handler, c serving.Contract) serving.Route {
		return serving.Route{Method: method, Path: path, Shape: openai.WriteError, Handle: handle, About: about, Contract: c}
	}
	public := func(r serving.Route) serving.Route {
		r.Public = true
		return r
	}
	local := func(r serving.Route) serving.Route {
		r.Trusted = true
		return r
	}
	gives := func(answer any) serving.Contract { return serving.Contract{Gives: answer} }
	ready := func(answer any) serving.Contract {
		return serving.Contract{Gives: answer, Also: []int{http.StatusServiceUnavailable}}
	}
	var t throughput
	return []serving.Route{
		public(route("GET", "/ping", "200 when ready", ping, ready(struct{}{}))),
		public(route("POST", "/ping", "the same", ping, ready(struct{}{}))),
		public(route("GET", "/load", "vLLM: requests that run or wait", load, ready(api.ServerLoad{}))),
		public(route("GET", "/get_load", "vllm-router: the same, with tokens", oneLoad, ready(api.OneLoad{}))),
		route("GET", "/v1/loads", "SGLang: what the engine has to do", t.loads, serving.Contract{Gives: api.Loads{}, Query: map[string][]string{"include": nil}, Also: []int{http.StatusBadRequest}}),
		route("GET", "/version", "version", version, gives(api.Version{})),
		route("GET", "/health_generate", "200 when a token could be generated", healthGenerate, serving.Contract{Gives: struct{}{}, Runs: true}),
		route("GET", "/get_model_info", "SGLang: the model", modelInfo, gives(api.ModelInfo{})),
		route("GET", "/model_info", "the same", modelInfo, gives(api.ModelInfo{})),
		route("GET", "/get_server_info", "SGLang: the server's sizes", serverInfo, gives(api.ServerInfo{})),
		route("GET", "/server_info", "the same", serverInfo, gives(api.ServerInfo{})),
		local(route("POST", "/flush_cache", "SGLang: empty the prefix cache", flushCache, gives(api.Flushed{}))),
		local(route("POST", "/reset_prefix_cache", "vLLM: the same", flushCache, gives(api.Flushed{}))),
		route("POST", "/pooling", "refused", pooling, serving.Contract{Refused: true, Also: []int{http.StatusNotImplemented}}),
	}
}

// version is GET /version.
func version(call *serving.Call) *serving.Error {
	return call.JSON(200, api.Version{Version: call.App.Version})
}

// flushCache is POST /flush_cache. What running requests hold stays.
func flushCache(call *serving.Call) *serving.Error {
	m, err := call.Acquire("")
	if err != nil {
		return err
	}
	defer m.Release()
	n, failed := m.Engine.FlushCache(call.R.Context())
	if failed != nil {
		return serving.FromEngine(failed)
	}
	return call.JSON(200, api.Flushed{Success: true, Message: "the prefix cache is empty, but for what running requests hold", Blocks: n})
}

// pooling is POST /pooling of vLLM, which this server does not have.
func pooling(*serving.Call) *serving.Error {
	return &serving.Error{Status: http.StatusNotImplemented, Type: "not_supported_error", Final: true,
		Message: "/pooling is not served: /v1/embeddings gives the pooled hidden states of a text"}
}
