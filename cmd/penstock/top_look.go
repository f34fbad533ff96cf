package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"

	llamaapi "github.com/penstock-llm/penstock/api/llamaserver"
)

// look is what a server said of itself at one moment.
type look struct {
	at         time.Time
	models     []string           // in memory, the one that requests get which name none first
	values     map[string]float64 // of gauges and counters, without penstock_; those with labels added up
	ended      map[string]float64 // requests by how they ended
	histograms map[string][]bucket
	busy       []string // models that requests run on
	seats      []seat
}

// seat is a request in the batch of a model.
type seat struct {
	model string
	slot  llamaapi.Slot
}

// take adds the requests in a model's batch.
func (l *look) take(model string, slots []llamaapi.Slot) {
	for _, s := range slots {
		if s.IsProcessing {
			l.seats = append(l.seats, seat{model, s})
		}
	}
}

// bucket is how many observations were at most as large as bound.
type bucket struct{ bound, count float64 }

func newLook(at time.Time, families map[string]*dto.MetricFamily) *look {
	const own = "penstock_"
	l := &look{at: at, values: map[string]float64{}, ended: map[string]float64{}, histograms: map[string][]bucket{}}
	for name, family := range families {
		if len(name) > len(own) && name[:len(own)] == own {
			name = name[len(own):]
		}
		for _, m := range family.Metric {
			l.add(name, m)
		}
	}
	for i := len(l.models) - 1; i > 0; i-- { // the first has been noted twice
		if l.models[i] == l.models[0] {
			l.models = slices.Delete(l.models, i, i+1)
		}
	}
	return l
}

func (l *look) add(name string, m *dto.Metric) {
	switch {
	case m.Gauge != nil:
		l.values[name] += m.Gauge.GetValue()
	case m.Counter != nil:
		l.values[name] += m.Counter.GetValue()
	case m.Histogram != nil && l.histograms[name] == nil:
		var buckets []bucket
		for _, b := range m.Histogram.Bucket {
			buckets = append(buckets, bucket{b.GetUpperBound(), float64(b.GetCumulativeCount())})
		}
		if n := len(buckets); n == 0 || !math.IsInf(buckets[n-1].bound, 1) {
			buckets = append(buckets, bucket{math.Inf(1), float64(m.Histogram.GetSampleCount())})
		}
		l.histograms[name] = buckets
	}
	for _, label := range m.Label {
		switch {
		case name == "model_info" && label.GetName() == "model":
			l.models = append([]string{label.GetValue()}, l.models...)
		case name == "model_memory_bytes" && label.GetName() == "model" && !slices.Contains(l.models, label.GetValue()):
			l.models = append(l.models, label.GetValue())
		case name == "model_requests_running" && label.GetName() == "model" && m.GetGauge().GetValue() > 0:
			l.busy = append(l.busy, label.GetValue())
		case name == "requests_finished_total" && label.GetName() == "finished_reason":
			l.ended[label.GetValue()] = m.GetCounter().GetValue()
		}
	}
}

// pace is what a server did between two looks.
type pace struct {
	generated, prompts float64 // tokens, and rows of prompts, a second
	hits               float64 // share of prompt tokens that the prefix cache had; NaN: there were none
	first, between     quantiles
}

// quantiles are in seconds; NaN where nothing was observed.
type quantiles struct{ p50, p90, p99 float64 }

// since compares two looks. A server that was started again has counted from 0.
func (l *look) since(before *look) pace {
	seconds := l.at.Sub(before.at).Seconds()
	grown := func(name string) float64 {
		d := l.values[name] - before.values[name]
		if d < 0 {
			d = l.values[name]
		}
		return d
	}
	p := pace{generated: grown("generation_tokens_total") / seconds}
	p.prompts = max(0, grown("rows_total")/seconds-p.generated)
	p.hits = grown("prefix_cache_hits_total") / grown("prefix_cache_queries_total")
	p.first = quantilesOf(l.histograms["time_to_first_token_seconds"], before.histograms["time_to_first_token_seconds"])
	p.between = quantilesOf(l.histograms["inter_token_latency_seconds"], before.histograms["inter_token_latency_seconds"])
	return p
}

func quantilesOf(now, before []bucket) quantiles {
	grown := make([]bucket, len(now))
	for i, b := range now {
		grown[i] = b
		if len(before) == len(now) && before[len(before)-1].count <= now[len(now)-1].count {
			grown[i].count -= before[i].count
		}
	}
	return quantiles{quantile(grown, 0.5), quantile(grown, 0.9), quantile(grown, 0.99)}
}

// quantile finds the value below which a share of the observations lies, as
// Prometheus does: within a bucket they are taken to be spread evenly.
func quantile(buckets []bucket, share float64) float64 {
	if len(buckets) == 0 || buckets[len(buckets)-1].count == 0 {
		return math.NaN()
	}
	rank := share * buckets[len(buckets)-1].count
	low, below := 0.0, 0.0
	for _, b := range buckets {
		if b.count >= rank {
			if math.IsInf(b.bound, 1) || b.count == below {
				return low
			}
			return low + (b.bound-low)*(rank-below)/(b.count-below)
		}
		low, below = b.bound, b.count
	}
	return low
}

// lineHead is above the lines of top.
const lineHead = "time      running  waiting   kv %  tokens/s  prompt/s  ttft p50  ttft p99   itl p50   itl p99"

// line is a look on one line.
func (p pace) line(l *look) string {
	return fmt.Sprintf("%s  %7.0f  %7.0f  %5.1f  %8.1f  %8.1f  %8s  %8s  %8s  %8s", l.at.Format(time.TimeOnly), l.values["requests_running"],
		l.values["requests_waiting"], 100*l.values["kv_cache_usage_ratio"], p.generated, p.prompts,
		timeText(p.first.p50), timeText(p.first.p99), timeText(p.between.p50), timeText(p.between.p99))
}

// timeText is a time in seconds as people read it; "-" if it is not known.
func timeText(seconds float64) string {
	switch {
	case math.IsNaN(seconds):
		return "-"
	case seconds < 0.01:
		return fmt.Sprintf("%.1fms", seconds*1e3)
	case seconds < 1:
		return fmt.Sprintf("%.0fms", seconds*1e3)
	default:
		return fmt.Sprintf("%.1fs", seconds)
	}
}
