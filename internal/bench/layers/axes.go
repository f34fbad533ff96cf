package layers

import (
	"slices"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
)

// axis is one way in which real HTTP may differ from the base: kept connections, HTTP/1.1, in clear, not streamed,
// /v1/completions, this project's client, as many clients as the scenario has, no log, nobody scraping.
type axis struct {
	name   string
	change func(*load.Target)
	tls    bool   // to the TLS listener
	log    bool   // to a server that logs every request
	scrape bool   // while /metrics is read every 50 ms
	python string // the client library of another process
	crowd  int    // clients for each sequence that runs at once, so that requests wait
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

// axes lists the axes that are wanted and possible.
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
