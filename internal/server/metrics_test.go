package server

import (
	"context"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	prommodel "github.com/prometheus/common/model"
)

// scrape reads /metrics as the endpoint picker of llm-d does.
func scrape(t testing.TB, f *fixture) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(prommodel.UTF8Validation)
	families, err := p.TextToMetricFamilies(strings.NewReader(f.do(t, "GET", "/metrics", "").body))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func TestMetrics(t *testing.T) {
	f := newFixture(t, "abc\x00")
	f.post(t, "/v1/chat/completions", "{"+hello+"}")
	f.post(t, "/v1/chat/completions", "{")
	f.settled(t)
	m := scrape(t, f)
	for name, kind := range map[string]dto.MetricType{
		"vllm:num_requests_running":                  dto.MetricType_GAUGE,
		"vllm:num_requests_waiting":                  dto.MetricType_GAUGE,
		"vllm:kv_cache_usage_perc":                   dto.MetricType_GAUGE,
		"vllm:cache_config_info":                     dto.MetricType_GAUGE,
		"vllm:prompt_tokens_total":                   dto.MetricType_COUNTER,
		"vllm:generation_tokens_total":               dto.MetricType_COUNTER,
		"vllm:prefix_cache_queries_total":            dto.MetricType_COUNTER,
		"vllm:prefix_cache_hits_total":               dto.MetricType_COUNTER,
		"vllm:prompt_tokens_cached_total":            dto.MetricType_COUNTER,
		"vllm:admission_rejections_total":            dto.MetricType_COUNTER,
		"vllm:num_preemptions_total":                 dto.MetricType_COUNTER,
		"vllm:spec_decode_num_drafts_total":          dto.MetricType_COUNTER,
		"vllm:request_success_total":                 dto.MetricType_COUNTER,
		"vllm:time_to_first_token_seconds":           dto.MetricType_HISTOGRAM,
		"vllm:inter_token_latency_seconds":           dto.MetricType_HISTOGRAM,
		"vllm:e2e_request_latency_seconds":           dto.MetricType_HISTOGRAM,
		"vllm:request_queue_time_seconds":            dto.MetricType_HISTOGRAM,
		"vllm:request_time_per_output_token_seconds": dto.MetricType_HISTOGRAM,
		"vllm:request_prefill_time_seconds":          dto.MetricType_HISTOGRAM,
		"vllm:request_decode_time_seconds":           dto.MetricType_HISTOGRAM,
		"vllm:request_inference_time_seconds":        dto.MetricType_HISTOGRAM,
		"vllm:request_prompt_tokens":                 dto.MetricType_HISTOGRAM,
		"vllm:request_generation_tokens":             dto.MetricType_HISTOGRAM,
		"vllm:request_params_max_tokens":             dto.MetricType_HISTOGRAM,
		"vllm:request_prefill_kv_computed_tokens":    dto.MetricType_HISTOGRAM,
		"vllm:iteration_tokens_total":                dto.MetricType_HISTOGRAM,
		"penstock_requests_running":                  dto.MetricType_GAUGE,
		"penstock_time_to_first_token_seconds":       dto.MetricType_HISTOGRAM,
		"penstock_http_requests_total":               dto.MetricType_COUNTER,
		"process_resident_memory_bytes":              dto.MetricType_GAUGE,
	} {
		family := m[name]
		if family == nil || family.GetType() != kind {
			t.Errorf("%s: %v", name, family)
			continue
		}
		if n := len(family.Metric); n != 1 && !strings.Contains(name, "success") && !strings.Contains(name, "http") {
			t.Errorf("%s has %d series", name, n)
		}
	}
	if got := m["vllm:generation_tokens_total"].Metric[0].GetCounter().GetValue(); got != 4 {
		t.Errorf("%v tokens generated, want 4", got)
	}
	if got := m["vllm:time_to_first_token_seconds"].Metric[0].GetHistogram().GetSampleCount(); got != 1 {
		t.Errorf("%v first tokens", got)
	}
	if got := m["vllm:cache_config_info"].Metric[0].Label; len(got) != 4 {
		t.Errorf("labels %v", got)
	}
}

func TestGaugesMove(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t, "abc", func(_ *Config, e *engineConfig) { e.MaxBatch = 2 })
		slow(5*time.Millisecond, f)
		done := make(chan answer)
		for range 5 {
			go func() { done <- f.post(t, "/v1/completions", `{"prompt":"abc","max_tokens":60}`) }()
		}
		value := func(name string) float64 { return scrape(t, f)[name].Metric[0].GetGauge().GetValue() }
		waitFor(t, "the gauges", func() bool {
			return value("vllm:num_requests_running") == 2 && value("vllm:num_requests_waiting") == 3 && value("vllm:kv_cache_usage_perc") > 0
		})
		for range 5 {
			if a := <-done; a.status != 200 {
				t.Error(a.body)
			}
		}
		f.settled(t)
		waitFor(t, "the gauges to fall", func() bool { return value("vllm:num_requests_running") == 0 && value("vllm:kv_cache_usage_perc") == 0 })
	})
}

// TestGaugesNeverContradict: in a burst of far more requests than there are places,
// whenever one looks, no number is above its bound, and both together are the
// requests that were accepted and have not ended.
func TestGaugesNeverContradict(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const batch, queue, clients = 4, 16, 60
		f := newFixture(t, "abc", func(_ *Config, e *engineConfig) { e.MaxBatch, e.MaxQueue, e.StepBudget = batch, queue, 8 })
		slow(5*time.Millisecond, f)
		var ended, refused atomic.Int64
		for range clients {
			go func() {
				if a := f.post(t, "/v1/completions", `{"prompt":"a prompt of some steps","max_tokens":5}`); a.status == 429 {
					refused.Add(1)
				}
				ended.Add(1)
			}()
		}
		most := 0
		for ended.Load() < clients {
			synctest.Wait() // every request is somewhere
			st := f.engine.Stats()
			if st.Running > batch || st.Waiting > queue || st.Running+st.Waiting != clients-int(ended.Load()) {
				t.Fatalf("%d of %d run, %d of %d wait, %d of %d have ended", st.Running, batch, st.Waiting, queue, ended.Load(), clients)
			}
			most = max(most, st.Waiting)
			time.Sleep(time.Millisecond)
		}
		if most != queue || refused.Load() != clients-batch-queue {
			t.Errorf("at most %d waited, %d were refused", most, refused.Load())
		}
	})
}

// TestMetricsAreWellFormed has Prometheus' own linter read the page: help and type
// of every family, names and units. The names of vLLM and llama-server are theirs.
func TestMetricsAreWellFormed(t *testing.T) {
	f := newFixture(t, "abc\x00", func(c *Config, _ *engineConfig) { c.MetricsLlamaCPP = true })
	f.post(t, "/v1/chat/completions", "{"+hello+"}")
	f.settled(t)
	problems, err := promlint.New(strings.NewReader(f.do(t, "GET", "/metrics", "").body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if foreign := strings.HasPrefix(p.Metric, "vllm:") || strings.HasPrefix(p.Metric, "llamacpp:"); !foreign || strings.Contains(p.Text, "help") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// TestHistogramsCount: what a request was shows in the histograms.
func TestHistogramsCount(t *testing.T) {
	f := newFixture(t, "abc\x00")
	f.post(t, "/v1/completions", `{"prompt":[5,6,7],"max_tokens":9}`)
	f.post(t, "/v1/completions", `{"prompt":[5,6,7,8,9],"max_tokens":2}`)
	f.post(t, "/v1/embeddings", `{"input":"","model":"tiny"}`) // refused: counts nowhere
	f.settled(t)
	m := scrape(t, f)
	for name, want := range map[string]float64{
		"request_prompt_tokens": 8, "request_generation_tokens": 6, "request_params_max_tokens": 11, "request_params_n": 2, "request_max_num_generation_tokens": 6, "request_prefill_kv_computed_tokens": 8,
	} {
		h := m["vllm:"+name].GetMetric()[0].GetHistogram()
		if h.GetSampleCount() != 2 || h.GetSampleSum() != want {
			t.Errorf("%s: %d requests with %v, want 2 with %v", name, h.GetSampleCount(), h.GetSampleSum(), want)
		}
	}
	for _, name := range []string{"request_prefill_time_seconds", "request_decode_time_seconds", "request_inference_time_seconds", "request_time_per_output_token_seconds"} {
		if n := m["vllm:"+name].GetMetric()[0].GetHistogram().GetSampleCount(); n != 2 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
}

func TestMetricsWithoutVLLM(t *testing.T) {
	f := newFixture(t, "x", func(c *Config, _ *engineConfig) { c.MetricsVLLM = false })
	if body := f.do(t, "GET", "/metrics", "").body; strings.Contains(body, "vllm:") || !strings.Contains(body, "penstock_ready 1") {
		t.Errorf("got %s", body)
	}
}

func TestMetricsOfLlamaServer(t *testing.T) {
	f := newFixture(t, "abc\x00", func(c *Config, _ *engineConfig) { c.MetricsLlamaCPP = true })
	f.post(t, "/completion", `{"prompt":[5,6,7],"n_predict":9}`)
	f.settled(t)
	m := scrape(t, f)
	for name, want := range map[string]float64{"prompt_tokens_total": 3, "tokens_predicted_total": 4, "n_decode_total": 4} {
		if got := m["llamacpp:"+name].GetMetric()[0].GetCounter().GetValue(); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	// The sequence may have left before its last step is counted.
	if busy := m["llamacpp:n_busy_slots_per_decode"].GetMetric()[0].GetCounter().GetValue(); busy < 0.75 || busy > 1 {
		t.Errorf("n_busy_slots_per_decode: %v, want 0.75 or 1", busy)
	}
	for _, name := range []string{"requests_processing", "requests_deferred"} {
		if got := m["llamacpp:"+name].GetMetric()[0].GetGauge(); got == nil || got.GetValue() != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	if body := newFixture(t, "x").do(t, "GET", "/metrics", "").body; strings.Contains(body, "llamacpp:") {
		t.Error("llama-server's names are there unasked")
	}
}

// TestAccessLogSaysWhatWasGenerated: a line has the tokens, the times and the end of
// what a request had generated, also for one whose client went away.
func TestAccessLogSaysWhatWasGenerated(t *testing.T) {
	var l logged
	f := newFixture(t, "abc\x00", withLog(&l), func(_ *Config, e *engineConfig) { e.PrefixCache = true })
	prompt := strings.Repeat("5,", 40) + "6"
	f.post(t, "/v1/completions", `{"prompt":[`+prompt+`],"max_tokens":9}`)
	f.settled(t)
	f.post(t, "/v1/completions", `{"prompt":[`+prompt+`],"max_tokens":2,"n":2}`)
	f.post(t, "/v1/embeddings", `{"input":["ab","cd"]}`)
	f.post(t, "/tokenize", `{"content":"abc"}`)
	lines := strings.Split(strings.TrimSpace(l.String()), "\n")
	for i, want := range []string{
		`model=org/tiny prompt_tokens=41 cached_tokens=0 output_tokens=4 queue=\S+ ttft=\S+ finish=stop`,
		`model=org/tiny prompt_tokens=82 cached_tokens=64 output_tokens=4 queue=\S+ ttft=\S+ runs=2 finish=length`,
		`model=org/tiny prompt_tokens=\d+ cached_tokens=0 output_tokens=0 queue=\S+ runs=2 finish=length`,
		`status=200 time=\S+ request=\S+ client=\S+ address=\S+$`,
	} {
		if i >= len(lines) || !regexp.MustCompile(want).MatchString(lines[i]) {
			t.Errorf("line %d of\n%s\nis not like %s", i, l.String(), want)
		}
	}
}

// TestAccessLogOfAClientThatLeft: what was generated until then is in the line.
func TestAccessLogOfAClientThatLeft(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var l logged
		f := newFixture(t, "abc", withLog(&l))
		slow(time.Second, f)
		ctx, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, "POST", "/v1/completions", strings.NewReader(`{"prompt":[5,6,7],"max_tokens":400,"stream":true}`))
		f.ServeHTTP(httptest.NewRecorder(), r)
		if want := "prompt_tokens=3 cached_tokens=0 output_tokens=5"; !strings.Contains(l.String(), want) || !strings.Contains(l.String(), "finish=abort") {
			t.Errorf("the log has %s", l.String())
		}
	})
}
