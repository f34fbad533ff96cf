package layers

import (
	"slices"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
)

// axis changes one thing about the http layer, to show what that alone costs. The http layer itself is the base: kept-alive
// connections, HTTP/1.1 without TLS, answers that are not streamed, /v1/completions, the load generator of package load, the
// scenario's number of clients, no access log, nobody reading /metrics.
type axis struct {
	name   string
	change func(*load.Target)
	tls    bool   // send to the TLS listener
	log    bool   // send to a server that logs every request
	scrape bool   // read /metrics every 50 ms meanwhile
	python string // name of the Python library that sends the requests, in a process of its own
	crowd  int    // clients per sequence that the batch has room for; above 1, requests have to wait
}

var allAxes = []axis{
	{name: "fresh", change: func(t *load.Target) { t.Fresh = true }},
	{name: "h2c", change: func(t *load.Target) { t.HTTP2 = true }},
	{name: "tls", tls: true, change: func(t *load.Target) { t.Insecure = true }},
	{name: "streamed", change: func(t *load.Target) { t.Stream = true }},
	{name: "native", change: func(t *load.Target) { t.Dialect = load.Native }},
	{name: "chat", change: func(t *load.Target) { t.Dialect = load.Chat }},
	{name: "crowded", crowd: 2},
	{name: "logging", log: true},
	{name: "scraped", scrape: true},
	{name: "requests", python: "requests"},
	{name: "httpx", python: "httpx"},
	{name: "openai", python: "openai"},
}

const scrapeEvery = 50 * time.Millisecond

// axes lists the axes that were asked for. Those of Python clients are skipped when there is no interpreter.
func (l *Layers) axes() (list []axis, skipped []string) {
	if !slices.Contains(l.Layers, "http") {
		return nil, nil
	}
	for _, a := range allAxes {
		if !slices.Contains(l.Axes, a.name) {
			continue
		}
		if a.python != "" && l.Python == "" {
			skipped = append(skipped, a.name+": no --python")
			continue
		}
		list = append(list, a)
	}
	return list, skipped
}
