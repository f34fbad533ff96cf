package server

import (
	"maps"
	"slices"

	"github.com/penstock-llm/penstock/internal/server/promtext"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// modelMetric is a metric that each model has a series of. Their names are not
// vLLM's, of which routers want one series each.
type modelMetric struct {
	name, help string
	kind       promtext.Kind
	value      func(a *serving.Account) float64
}

var modelMetrics = []modelMetric{
	{"requests_running", "requests that have a place in the model's batch", promtext.Gauge, func(a *serving.Account) float64 { return float64(a.Stats.Running) }},
	{"requests_waiting", "requests in the model's queue", promtext.Gauge, func(a *serving.Account) float64 { return float64(a.Stats.Waiting) }},
	{"kv_cache_usage_ratio", "used part of the model's KV cache, 0 to 1", promtext.Gauge, func(a *serving.Account) float64 { return a.Stats.KVUsage }},
	{"prompt_tokens_total", "tokens of prompts", promtext.Counter, func(a *serving.Account) float64 { return float64(a.Stats.PromptTokens) }},
	{"generation_tokens_total", "generated tokens", promtext.Counter, func(a *serving.Account) float64 { return float64(a.Stats.GeneratedTokens) }},
	{"step_seconds_total", "time in steps", promtext.Counter, func(a *serving.Account) float64 { return a.Stats.StepTime.Seconds() }},
	{"loads_total", "loads on demand", promtext.Counter, func(a *serving.Account) float64 { return float64(a.Loads) }},
	{"load_seconds_total", "time that these took", promtext.Counter, func(a *serving.Account) float64 { return a.LoadTime.Seconds() }},
	{"load_failures_total", "loads that failed", promtext.Counter, func(a *serving.Account) float64 { return float64(a.Failures) }},
	{"evictions_total", "times that the model was unloaded because another needed its memory", promtext.Counter, func(a *serving.Account) float64 { return float64(a.Evictions) }},
}

// models writes the series of each model, and the plan of the memory.
func (c *collector) models(page *promtext.Page, u *serving.Usage) {
	ids := slices.Sorted(maps.Keys(u.Models))
	for _, m := range modelMetrics {
		f := page.Family("penstock_model_", m.name, m.kind, m.help)
		for _, id := range ids {
			a := u.Models[id]
			f.Value(m.value(&a), "model", id)
		}
	}
	part := page.Family("penstock_model_", "memory_bytes", promtext.Gauge, "memory that is planned for a model in memory, by its parts")
	planned := c.server.cfg.Residency.Process
	for _, id := range slices.Sorted(maps.Keys(u.Memory)) {
		m := u.Memory[id]
		planned += m.Total()
		part.Value(float64(m.Weights), "model", id, "part", "weights")
		part.Value(float64(m.Cache), "model", id, "part", "kv_cache")
		part.Value(float64(m.Buffers), "model", id, "part", "buffers")
		part.Value(float64(m.Other), "model", id, "part", "other")
	}
	one := func(name, help string, bytes uint64) {
		f := page.Family("penstock_memory_", name, promtext.Gauge, help)
		f.Value(float64(bytes))
	}
	one("planned_bytes", "memory that is planned for the process with all its models", planned)
	one("limit_bytes", "memory that it may have; 0: any", c.server.cfg.Residency.Budget)
}
