package promtext

import (
	"bytes"
	"math"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/penstock-llm/penstock/internal/alloctest"
	"github.com/penstock-llm/penstock/internal/metrics"
)

func ptr[T any](v T) *T { return &v }

// library is what Prometheus' own library writes for a family.
func library(t *testing.T, name, help string, kind dto.MetricType, series ...*dto.Metric) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := expfmt.MetricFamilyToText(&b, &dto.MetricFamily{Name: &name, Help: &help, Type: &kind, Metric: series}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func pairs(labels ...string) (p []*dto.LabelPair) {
	for i := 0; i < len(labels); i += 2 {
		p = append(p, &dto.LabelPair{Name: &labels[i], Value: &labels[i+1]})
	}
	return p
}

// TestAsTheLibraryWrites: the text is that of Prometheus' library, byte for byte.
func TestAsTheLibraryWrites(t *testing.T) {
	h := metrics.NewHistogram(.001, .5, 1, 2.5, 1e6)
	for _, v := range []float64{.0001, .0002, .7, 1, 3, 2e6} {
		h.Observe(v)
	}
	s := h.Snapshot()
	buckets := []*dto.Bucket{}
	for i, sum := range []uint64{2, 2, 4, 4, 5} {
		buckets = append(buckets, &dto.Bucket{UpperBound: &s.Bounds[i], CumulativeCount: ptr(sum)})
	}
	histogram := &dto.Histogram{SampleCount: &s.Count, SampleSum: &s.Sum, Bucket: buckets}
	awkward := "a \"name\"\nof a \\ model, ü"
	base := []string{"model_name", awkward, "engine", "0"}

	var p Page
	p.Append([]byte("something before\n"))
	p.Reset()
	want := ""
	values := []float64{0, 1, -3, .25, 1e-9, 1 << 53, 1e21, 123456789, math.Inf(1), math.Inf(-1), math.NaN()}
	gauge := p.Family("own_", "gauge", Gauge, awkward)
	for _, v := range values {
		gauge.Value(v)
	}
	series := []*dto.Metric{}
	for _, v := range values {
		series = append(series, &dto.Metric{Gauge: &dto.Gauge{Value: ptr(v)}})
	}
	want += library(t, "own_gauge", awkward, dto.MetricType_GAUGE, series...)

	counter := p.Family("vllm:", "requests_total", Counter, "requests", base...)
	counter.Value(7, "finished_reason", "stop")
	counter.Value(8, "finished_reason", "length")
	want += library(t, "vllm:requests_total", "requests", dto.MetricType_COUNTER,
		&dto.Metric{Label: pairs(append(base, "finished_reason", "stop")...), Counter: &dto.Counter{Value: ptr(7.0)}},
		&dto.Metric{Label: pairs(append(base, "finished_reason", "length")...), Counter: &dto.Counter{Value: ptr(8.0)}})

	plain := p.Family("own_", "seconds", Histogram, "how long")
	plain.Histogram(s)
	labelled := p.Family("vllm:", "seconds", Histogram, "how long", base...)
	labelled.Histogram(s)
	want += library(t, "own_seconds", "how long", dto.MetricType_HISTOGRAM, &dto.Metric{Histogram: histogram})
	want += library(t, "vllm:seconds", "how long", dto.MetricType_HISTOGRAM, &dto.Metric{Label: pairs(base...), Histogram: histogram})
	if got := string(p.Bytes()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestAPageIsUsedAgain: once its memory is there, a page is written without any more.
func TestAPageIsUsedAgain(t *testing.T) {
	h := metrics.NewHistogram(.1, 1, 10)
	h.Observe(.3)
	s := h.Snapshot()
	var p Page
	if n := alloctest.PerRun(10, func() {
		p.Reset()
		f := p.Family("vllm:", "seconds", Histogram, "how long", "model_name", "tiny", "engine", "0")
		f.Histogram(s)
		g := p.Family("own_", "gauge", Gauge, "how many")
		g.Value(1.5, "position", "3")
	}); n > 2 { // the names of a histogram's last lines
		t.Errorf("%v allocations", n)
	}
}
