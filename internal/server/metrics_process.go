package server

import (
	"bytes"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// processAge is how long the metrics of the process are used again. The kernel makes
// them anew for each reader, out of six files, which takes longer than all others.
const processAge = time.Second

// processMetrics are the metrics of the process that are the same in all programs:
// memory, processor time, files. Which there are depends on the system.
type processMetrics struct {
	registry *prometheus.Registry

	mu   sync.Mutex // of readers of /metrics only
	page []byte
	read time.Time
}

func newProcessMetrics() *processMetrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &processMetrics{registry: r}
}

// text is the metrics as text, which the caller must not change.
func (p *processMetrics) text() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.page != nil && time.Since(p.read) < processAge {
		return p.page
	}
	families, _ := p.registry.Gather() // what could not be read is left out
	var page bytes.Buffer
	for _, f := range families {
		_, _ = expfmt.MetricFamilyToText(&page, f) // neither a buffer nor a constant name fails
	}
	p.page, p.read = page.Bytes(), time.Now()
	return p.page
}
