package layers

import (
	"fmt"
	"sort"

	"github.com/penstock-llm/penstock/internal/bench/stats"
)

// serverTimes are the moments of one request in the server, in nanoseconds of the wall clock, and the durations that were summed up
// between them. The client's side of the same request is a clientTimes.
type serverTimes struct {
	ID         string `json:"id"`
	Entered    int64  `json:"entered"`    // the handler was called
	Read       int64  `json:"read"`       // the body has been read
	Submitted  int64  `json:"submitted"`  // to the engine
	Scheduled  int64  `json:"scheduled"`  // its first step began
	Finished   int64  `json:"finished"`   // its last token was sampled
	Woken      int64  `json:"woken"`      // the handler runs again
	Decoded    int64  `json:"decoded"`    // all tokens are text
	Writing    int64  `json:"writing"`    // the first write began
	Left       int64  `json:"left"`       // the handler returned
	Forward    int64  `json:"forward"`    // in forward passes
	Sampling   int64  `json:"sampling"`   // in the sampler
	BatchWait  int64  `json:"batch_wait"` // between steps
	Detokenise int64  `json:"detokenise"`
	Write      int64  `json:"write"`
}

// spanNames lists the parts of a request in the order in which they happen. "client" is the time before and after the handler: in the
// client, the sockets and net/http.
var spanNames = []string{"client, sending", "read", "parse", "queue wait", "compute", "sample", "batch wait", "wake", "detokenise", "encode", "write", "client, receiving"}

// Spans are the mean times of the requests of one run, in milliseconds, in the order of spanNames.
type Spans struct {
	Mean    []float64 `json:"mean_ms"`
	Latency float64   `json:"latency_ms"` // mean, as the clients measured it
}

// attribute matches the client's and the server's times of each request and computes the mean of every span. Each span is measured by
// clock readings at its own two ends. None is computed as the remainder of the others: then their sum would always equal the latency,
// and could not show that something was left out.
func attribute(client []clientTimes, server []serverTimes) (*Spans, error) {
	byID := map[string]*serverTimes{}
	for i := range server {
		byID[server[i].ID] = &server[i]
	}
	s := &Spans{Mean: make([]float64, len(spanNames))}
	for _, c := range client {
		v, ok := byID[c.ID]
		if !ok {
			return nil, fmt.Errorf("the server knows no times of request %q", c.ID)
		}
		for i, ns := range []int64{v.Entered - c.Sent, v.Read - v.Entered, v.Submitted - v.Read, v.Scheduled - v.Submitted, v.Forward, v.Sampling, v.BatchWait,
			v.Woken - v.Finished, v.Detokenise, v.Writing - v.Decoded, v.Write, c.End - v.Left} {
			s.Mean[i] += float64(ns) / 1e6
		}
		s.Latency += float64(c.End-c.Sent) / 1e6
	}
	n := float64(len(client))
	if n == 0 {
		return nil, fmt.Errorf("no request was timed")
	}
	for i := range s.Mean {
		s.Mean[i] /= n
	}
	s.Latency /= n
	return s, nil
}

// SpanTable shows which part of a request's latency each span takes, in the run with the median latency.
type SpanTable struct {
	Spans      []SpanRow `json:"spans"`
	Latency    float64   `json:"latency_ms"`
	Attributed float64   `json:"attributed_ms"`
	Share      float64   `json:"attributed_share"` // sum of the spans / latency
	Trusted    bool      `json:"trusted"`
}

// SpanRow is one span.
type SpanRow struct {
	Name  string  `json:"name"`
	Mean  float64 `json:"ms"`
	Share float64 `json:"share"` // of the client's latency
}

const spanTolerance = 0.03

func spanTable(runs []*LayerRun) (*SpanTable, error) {
	t := &SpanTable{}
	var latency []float64
	columns := make([][]float64, len(spanNames))
	for _, r := range runs {
		if r.Spans == nil {
			continue
		}
		if len(r.Spans.Mean) != len(spanNames) {
			return nil, fmt.Errorf("%d spans instead of %d", len(r.Spans.Mean), len(spanNames))
		}
		latency = append(latency, r.Spans.Latency)
		for i, v := range r.Spans.Mean {
			columns[i] = append(columns[i], v)
		}
	}
	if len(latency) == 0 {
		return nil, nil
	}
	// All spans are taken from one run, the one with the median latency: medians of each span by itself would not add up.
	order := make([]int, len(latency))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return latency[order[a]] < latency[order[b]] })
	mid := order[(len(order)-1)/2]
	t.Latency = latency[mid]
	if !stats.Finite(t.Latency) || t.Latency <= 0 {
		return nil, fmt.Errorf("a latency of %g ms", t.Latency)
	}
	for i, name := range spanNames {
		v := columns[i][mid]
		t.Attributed += v
		t.Spans = append(t.Spans, SpanRow{Name: name, Mean: v, Share: v / t.Latency})
	}
	t.Share = t.Attributed / t.Latency
	t.Trusted = t.Share > 1-spanTolerance && t.Share < 1+spanTolerance
	return t, nil
}
