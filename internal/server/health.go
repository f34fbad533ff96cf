package server

import (
	"maps"
	"net/http"
	"runtime"
	"runtime/metrics"
	"slices"
	"time"

	api "github.com/penstock-llm/penstock/api/native"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/server/llamaserver"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// levels are how much /health tells.
var levels = []string{"basic", "detailed", "full"}

// unready is the status while there is no model that takes requests.
var unready = []int{http.StatusServiceUnavailable}

// operations are the routes for whoever runs the server.
func (s *Server) operations() []serving.Route {
	return []serving.Route{
		{Method: "GET", Path: "/health", Shape: llamaserver.WriteError, Handle: s.health, Public: true, About: "200 when ready; ?level=basic, detailed or full",
			Contract: serving.Contract{Gives: api.Health{}, Query: map[string][]string{"level": levels}, Also: unready}},
		{Method: "GET", Path: "/v1/health", Shape: llamaserver.WriteError, Handle: s.health, Public: true, About: "the same",
			Contract: serving.Contract{Gives: api.Health{}, Query: map[string][]string{"level": levels}, Also: unready}},
		{Method: "GET", Path: "/readyz", Shape: llamaserver.WriteError, Handle: s.readyz, Public: true, About: "200 when ready, 503 while loading or draining",
			Contract: serving.Contract{Gives: map[string]string{}, Also: unready}},
		{Method: "GET", Path: "/livez", Shape: llamaserver.WriteError, Handle: s.livez, Public: true, About: "200 while the process works",
			Contract: serving.Contract{Gives: map[string]string{}, Also: unready}},
		{Method: "GET", Path: "/metrics", Shape: llamaserver.WriteError, Handle: s.serveMetrics, Metrics: true, About: "Prometheus metrics",
			Contract: serving.Contract{Media: []string{"text/plain"}}},
		{Method: "GET", Path: "/openapi.json", Shape: llamaserver.WriteError, Handle: s.openapi, Public: true, About: "this server's routes as an OpenAPI document",
			Contract: serving.Contract{Gives: map[string]any{}}},
	}
}

func (s *Server) livez(call *serving.Call) *serving.Error {
	// Loading and draining are parts of a life; a broken engine is not.
	if err := s.app.Models.Ready(); err != nil && err.IsBroken() {
		return err
	}
	// A step that hangs keeps the workers, which all models share.
	if stuck := s.app.Models.Usage().All.Stats.Stuck; stuck > 0 {
		return serving.FromEngine(&engine.StuckError{For: stuck})
	}
	return call.JSON(http.StatusOK, map[string]string{"status": "ok"})
}

func (s *Server) readyz(call *serving.Call) *serving.Error {
	if err := s.app.Models.Ready(); err != nil {
		return err
	}
	return call.JSON(http.StatusOK, map[string]string{"status": "ok"})
}

// health has one body for the clients of llama-server, who look at "status" or
// "error", and those of cLLM, who look at "success" and "data".
func (s *Server) health(call *serving.Call) *serving.Error {
	level := call.R.URL.Query().Get("level")
	if level != "" && !slices.Contains(levels, level) {
		return serving.Bad("level", "level must be basic, detailed or full")
	}
	m := s.app.Models.Loaded()
	body := api.Health{Success: true, Status: "ok", Data: api.HealthData{Status: "healthy", ModelLoaded: m != nil}}
	status := http.StatusOK
	if err := s.app.Models.Ready(); err != nil {
		status = err.Status
		err.Headers(call.W.Header())
		body.Success, body.Status, body.Data.Status = false, "unavailable", err.Code
		body.Error = &api.HealthError{Code: err.Status, Message: err.Message, Type: err.Type}
	}
	if level == "detailed" || level == "full" {
		s.details(&body.Data, m)
	}
	if level == "full" && m != nil {
		s.everything(&body.Data, m)
	}
	s.conceal(call, &body.Data)
	return call.JSON(status, body)
}

// conceal leaves out the names of models that the client may not use. The route is
// for everybody; where there are keys, it names no model to whoever has none.
func (s *Server) conceal(call *serving.Call, d *api.HealthData) {
	may := func(id string) bool { return s.cfg.Keys == nil || call.Client.Key != nil && call.MayKnow(id) }
	if d.Model != "" && !may(d.Model) {
		d.Model = ""
	}
	plan, _ := d.Memory["plan"].(map[string]any)
	maps.DeleteFunc(plan, func(id string, _ any) bool { return !may(id) })
}

func (s *Server) details(d *api.HealthData, m *Deployment) {
	d.Version = s.cfg.Version
	d.Uptime = time.Since(s.app.Started).Seconds()
	if m != nil {
		d.Model, d.CPU, d.Threads = m.ID, m.CPU, m.Threads
	}
}

func (s *Server) everything(d *api.HealthData, m *Deployment) {
	st, cfg := m.Engine.Stats(), m.Engine.Config()
	d.Engine = map[string]any{
		"running": st.Running, "waiting": st.Waiting, "max_batch": cfg.MaxBatch, "max_queue": cfg.MaxQueue, "context": cfg.Context,
		"kv_blocks": st.Blocks, "kv_blocks_free": st.FreeBlocks, "kv_usage": st.KVUsage, "steps": st.Steps,
		"prompt_tokens": st.PromptTokens, "generated_tokens": st.GeneratedTokens, "preemptions": st.Preemptions,
	}
	mem := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(mem)
	u := s.app.Models.Usage()
	plan := map[string]any{}
	planned := s.cfg.Residency.Process
	for id, m := range u.Memory {
		planned += m.Total()
		plan[id] = map[string]any{"weights": m.Weights, "kv_cache": m.Cache, "buffers": m.Buffers, "other": m.Other, "context": m.Context}
	}
	d.Memory = map[string]any{
		"limit_bytes": s.cfg.Residency.Budget, "planned_bytes": planned, "plan": plan,
		"weights_bytes": m.Config.WeightBytes, "go_total_bytes": mem[0].Value.Uint64(), "go_heap_bytes": mem[1].Value.Uint64(),
		"goroutines": runtime.NumGoroutine(),
	}
}

func (s *Server) openapi(call *serving.Call) *serving.Error {
	serving.WriteJSON(call.W, http.StatusOK, s.document())
	return nil
}
