// Package native speaks cLLM's HTTP API: /generate, /generate_stream, /encode,
// /benchmark, /model/info and the index. Its answers have the form
// {"success":true,"data":…}, its errors {"success":false,"error":"…"}.
//
// One file per endpoint; generation itself is package serving's. /health is
// package server's, because it answers clients of other protocols too.
package native

import (
	"encoding/json"
	"net/http"

	api "github.com/penstock-llm/penstock/api/native"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// Routes are the endpoints of this protocol. all returns the routes of the whole
// server, which the index lists.
func Routes(all func() []serving.Route) []serving.Route {
	return []serving.Route{
		{Method: "GET", Path: "/{$}", Shape: writeError, Handle: index(all), Public: true, About: "this list; browsers go to /ui/",
			Contract: serving.Contract{Gives: api.Index{}, Also: []int{http.StatusFound}}},
		{Method: "POST", Path: "/generate", Shape: writeError, Handle: generate, About: "generate text",
			Contract: serving.Contract{Takes: api.GenerateRequest{}, Gives: api.Envelope{}, Events: api.StreamEvent{}, Runs: true}},
		{Method: "POST", Path: "/generate_stream", Shape: writeError, Handle: generateStream, About: "generate text, token by token",
			Contract: serving.Contract{Takes: api.GenerateRequest{}, Events: api.StreamEvent{}, Runs: true}},
		{Method: "POST", Path: "/encode", Shape: writeError, Handle: encode, About: "text to token ids",
			Contract: serving.Contract{Takes: api.EncodeRequest{}, Gives: api.Envelope{}}},
		{Method: "POST", Path: "/benchmark", Shape: writeError, Handle: benchmark, About: "run the engine's own benchmark beside live traffic",
			Contract: serving.Contract{Takes: api.BenchmarkRequest{}, Gives: api.Envelope{}, Runs: true}},
		{Method: "GET", Path: "/model/info", Shape: writeError, Handle: modelInfo, About: "shape of the model",
			Contract: serving.Contract{Gives: api.Envelope{}}},
	}
}

// writeError writes an error in cLLM's form. A generation that timed out is 408
// there, not 504.
func writeError(w http.ResponseWriter, e *serving.Error) {
	body, _ := json.Marshal(api.Envelope{Error: e.Message})
	e.Headers(w.Header())
	serving.WriteJSON(w, status(e), body)
}

func status(e *serving.Error) int {
	if e.Status == http.StatusGatewayTimeout {
		return http.StatusRequestTimeout
	}
	return e.Status
}

func answer(call *serving.Call, data any) *serving.Error {
	return call.JSON(200, api.Envelope{Success: true, Data: data})
}
