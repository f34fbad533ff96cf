package server

import (
	"slices"

	"github.com/penstock-llm/penstock/internal/access"
	"github.com/penstock-llm/penstock/internal/server/promtext"
)

// keySeries is the most keys that have series of their own in /metrics. What others
// have used is summed up as "other", so that a long file of keys stays a short answer.
const keySeries = 100

// collectUsage writes what keys have used since the start, for /metrics.
func (s *Server) collectUsage(e *emitter) {
	if s.cfg.Meters == nil {
		return
	}
	totals := s.cfg.Meters.Totals()
	keys := busiest(totals)
	e.each(names{"key_requests_total", "", "requests of the holders of keys"}, promtext.Counter, func(f *promtext.Family) {
		for _, name := range keys {
			f.Value(float64(totals[name].Requests), "key", name)
		}
	})
	e.each(names{"key_tokens_total", "", "tokens of the holders of keys; cached ones are part of the prompt's"}, promtext.Counter, func(f *promtext.Family) {
		for _, name := range keys {
			u := totals[name]
			f.Value(float64(u.Prompt), "key", name, "kind", "prompt")
			f.Value(float64(u.Cached), "key", name, "kind", "cached")
			f.Value(float64(u.Completion), "key", name, "kind", "completion")
		}
	})
	if l := s.cfg.Ledger; l != nil {
		errors, failing := l.Failures()
		e.total(names{"usage_write_errors_total", "", "times that the usage of keys could not be written to its file"}, errors)
		unsaved := 0.0
		if failing {
			unsaved = 1
		}
		e.gauge(names{"usage_unsaved", "", "1 while usage is counted in memory only, because its file cannot be written"}, unsaved)
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
