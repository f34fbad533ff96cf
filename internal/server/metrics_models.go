package server

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock-llm/penstock/internal/server/serving"
)

// modelMetric is a metric that each model has a series of. Their names are not
// vLLM's, of which routers want one series each.
type modelMetric struct {
	name, help string
	kind       prometheus.ValueType
	value      func(a *serving.Account) float64
}

var modelMetrics = []modelMetric{
	{"requests_running", "requests that have a place in the model's batch", prometheus.GaugeValue, func(a *serving.Account) float64 { return float64(a.Stats.Running) }},
	{"requests_waiting", "requests in the model's queue", prometheus.GaugeValue, func(a *serving.Account) float64 { return float64(a.Stats.Waiting) }},
	{"kv_cache_usage_ratio", "used part of the model's KV cache, 0 to 1", prometheus.GaugeValue, func(a *serving.Account) float64 { return a.Stats.KVUsage }},
	{"prompt_tokens_total", "tokens of prompts", prometheus.CounterValue, func(a *serving.Account) float64 { return float64(a.Stats.PromptTokens) }},
	{"generation_tokens_total", "generated tokens", prometheus.CounterValue, func(a *serving.Account) float64 { return float64(a.Stats.GeneratedTokens) }},
	{"step_seconds_total", "time in steps", prometheus.CounterValue, func(a *serving.Account) float64 { return a.Stats.StepTime.Seconds() }},
	{"loads_total", "loads on demand", prometheus.CounterValue, func(a *serving.Account) float64 { return float64(a.Loads) }},
	{"load_seconds_total", "time that these took", prometheus.CounterValue, func(a *serving.Account) float64 { return a.LoadTime.Seconds() }},
	{"load_failures_total", "loads that failed", prometheus.CounterValue, func(a *serving.Account) float64 { return float64(a.Failures) }},
	{"evictions_total", "times that the model was unloaded because another needed its memory", prometheus.CounterValue, func(a *serving.Account) float64 { return float64(a.Evictions) }},
}

// models sends the series of each model, and the plan of the memory.
func (c *collector) models(ch chan<- prometheus.Metric, u *serving.Usage) {
	for _, m := range modelMetrics {
		d := prometheus.NewDesc("penstock_model_"+m.name, m.help, []string{"model"}, nil)
		for _, id := range slices.Sorted(maps.Keys(u.Models)) {
			a := u.Models[id]
			ch <- prometheus.MustNewConstMetric(d, m.kind, m.value(&a), id)
		}
	}
	part := prometheus.NewDesc("penstock_model_memory_bytes", "memory that is planned for a model in memory, by its parts", []string{"model", "part"}, nil)
	planned := c.server.cfg.Residency.Process
	for id, m := range u.Memory {
		planned += m.Total()
		for name, bytes := range map[string]uint64{"weights": m.Weights, "kv_cache": m.Cache, "buffers": m.Buffers, "other": m.Other} {
			ch <- prometheus.MustNewConstMetric(part, prometheus.GaugeValue, float64(bytes), id, name)
		}
	}
	one := func(name, help string, bytes uint64) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, float64(bytes))
	}
	one("penstock_memory_planned_bytes", "memory that is planned for the process with all its models", planned)
	one("penstock_memory_limit_bytes", "memory that it may have; 0: any", c.server.cfg.Residency.Budget)
}
