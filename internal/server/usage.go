package server

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock-llm/penstock/internal/access"
)

// keySeries is the most keys that have series of their own in /metrics. What others
// have used is summed up as "other", so that a long file of keys stays a short answer.
const keySeries = 100

// collectUsage sends what keys have used since the start, for /metrics.
func (s *Server) collectUsage(ch chan<- prometheus.Metric) {
	if s.cfg.Meters == nil {
		return
	}
	counter := func(name, help string, labels []string, v uint64, values ...string) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("penstock_"+name, help, labels, nil), prometheus.CounterValue, float64(v), values...)
	}
	totals := s.cfg.Meters.Totals()
	for _, name := range busiest(totals) {
		u := totals[name]
		counter("key_requests_total", "requests of the holders of keys", []string{"key"}, u.Requests, name)
		for kind, n := range map[string]uint64{"prompt": u.Prompt, "cached": u.Cached, "completion": u.Completion} {
			counter("key_tokens_total", "tokens of the holders of keys; cached ones are part of the prompt's", []string{"key", "kind"}, n, name, kind)
		}
	}
	if l := s.cfg.Ledger; l != nil {
		errors, failing := l.Failures()
		counter("usage_write_errors_total", "times that the usage of keys could not be written to its file", nil, errors)
		v := 0.0
		if failing {
			v = 1
		}
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("penstock_usage_unsaved", "1 while usage is counted in memory only, because its file cannot be written", nil, nil),
			prometheus.GaugeValue, v)
	}
}

// busiest are the names of those who used most, "other" for all beyond keySeries,
// whose sum it adds.
func busiest(totals map[string]access.Use) []string {
	names := make([]string, 0, len(totals))
	for name := range totals {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := totals[b].Tokens() - totals[a].Tokens(); d != 0 {
			return d
		}
		if a < b {
			return -1
		}
		return 1
	})
	if len(names) <= keySeries {
		return names
	}
	var rest access.Use
	for _, name := range names[keySeries-1:] {
		rest.Add(totals[name])
	}
	totals["other"] = rest
	return append(slices.DeleteFunc(names[:keySeries-1], func(n string) bool { return n == "other" }), "other")
}
