package server

import (
	"net/http"
	"runtime"
	"strconv"
	"sync"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/metrics"
	"github.com/penstock-llm/penstock/internal/prefixstore"
	"github.com/penstock-llm/penstock/internal/server/promtext"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// collector makes the metrics from the engine's atomic counters whenever /metrics
// is read. Routers read it up to 20 times a second, so it takes no lock that a step
// might wait for. They also use only the first series of a name, so most names have
// exactly one: that of all models together, under the name of the one that requests
// get which name none. metrics_models.go has those of each model.
type collector struct {
	server  *Server
	process *processMetrics
	pages   sync.Pool // of *promtext.Page
}

func newCollector(s *Server) *collector {
	return &collector{server: s, process: newProcessMetrics(), pages: sync.Pool{New: func() any { return &promtext.Page{} }}}
}

func (s *Server) serveMetrics(call *serving.Call) *serving.Error {
	s.metrics.ServeHTTP(call.W, call.R)
	return nil
}

// ServeHTTP answers with all metrics.
func (c *collector) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	page := c.pages.Get().(*promtext.Page)
	defer c.pages.Put(page)
	page.Reset()
	c.collect(page)
	w.Header().Set("Content-Type", promtext.ContentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(page.Bytes())))
	_, _ = w.Write(page.Bytes()) // whoever asked may have left
}

// emitter writes each metric under its own name, and under vLLM's if the server is
// configured to.
type emitter struct {
	page  *promtext.Page
	model string
	vllm  bool
}

// names are a metric's own name and vLLM's, if it has one.
type names struct{ own, vllm, help string }

// each writes the series of a metric, under each of its names.
func (e *emitter) each(n names, kind promtext.Kind, series func(f *promtext.Family)) {
	own := e.page.Family("penstock_", n.own, kind, n.help)
	series(&own)
	if n.vllm != "" && e.vllm {
		alias := e.page.Family("vllm:", n.vllm, kind, n.help, "model_name", e.model, "engine", "0")
		series(&alias)
	}
}

func (e *emitter) value(kind promtext.Kind, n names, v float64) {
	e.each(n, kind, func(f *promtext.Family) { f.Value(v) })
}

func (e *emitter) gauge(n names, v float64)   { e.value(promtext.Gauge, n, v) }
func (e *emitter) total(n names, v uint64)    { e.value(promtext.Counter, n, float64(v)) }
func (e *emitter) seconds(n names, v float64) { e.value(promtext.Counter, n, v) }

// kept sends what the folder of prefixes has and has done.
func (e *emitter) kept(n prefixstore.Counts) {
	e.gauge(names{"kv_store_bytes", "", "bytes in the folder of prefixes"}, float64(n.Bytes))
	e.gauge(names{"kv_store_blocks", "", "blocks in the folder of prefixes"}, float64(n.Blocks))
	e.total(names{"kv_store_written_total", "", "blocks written to the folder of prefixes"}, uint64(n.Written))
	e.total(names{"kv_store_read_total", "", "blocks read from the folder of prefixes"}, uint64(n.Read))
	e.total(names{"kv_store_removed_total", "", "blocks that went because the folder of prefixes had reached its limit"}, uint64(n.Removed))
	e.total(names{"kv_store_damaged_total", "", "files of the folder of prefixes that were not what was written"}, uint64(n.Damaged))
	e.total(names{"kv_store_failed_total", "", "blocks that could not be written to the folder of prefixes"}, uint64(n.Failed))
}

func (e *emitter) histogram(n names, h *metrics.Histogram) {
	s := h.Snapshot()
	e.each(n, promtext.Histogram, func(f *promtext.Family) { f.Histogram(s) })
}

// collect writes everything.
func (c *collector) collect(page *promtext.Page) {
	e := &emitter{page: page, vllm: c.server.cfg.MetricsVLLM}
	ready := 0.0
	if err := c.server.app.Models.Ready(); err == nil {
		ready = 1
	}
	e.gauge(names{"ready", "", "1 when the server takes requests"}, ready)
	e.gauge(names{"goroutines", "", "goroutines of the process"}, float64(runtime.NumGoroutine()))
	e.gauge(names{"http_requests_in_flight", "", "requests that are being answered"}, float64(c.server.answers.running.Load()))
	c.server.answers.collect(page)
	c.server.collectUsage(e)
	page.Append(c.process.text())
	if p := c.server.events.Load(); p != nil {
		e.total(names{"kv_events_dropped_total", "", "batches of cache events that a subscriber was too slow for"}, p.Dropped())
	}
	if p := c.server.cfg.Prefixes; p != nil {
		e.kept(p.Counts())
	}
	u := c.server.app.Models.Usage()
	if u.Main == "" {
		return
	}
	e.model = u.Main
	st := u.All.Stats
	e.load(&st)
	st.Refused += u.All.Refused
	e.totals(&st)
	e.histograms(u.Histograms)
	e.histogram(names{"request_choices", "request_params_n", "answers of a request"}, c.server.shapes.choices)
	e.histogram(names{"request_longest_tokens", "request_max_num_generation_tokens", "tokens of a request's longest answer"}, c.server.shapes.longest)
	if c.server.cfg.MetricsLlamaCPP {
		e.llamaCPP(&st)
	}
	c.models(page, u)
	m := c.server.app.Models.Loaded()
	if m == nil {
		return
	}
	cfg := m.Engine.Config()
	e.gauge(names{"kv_cache_bytes", "", "memory of the KV cache"}, float64(m.CacheBytes))
	e.gauge(names{"kv_cache_saved_bytes", "", "memory that the KV cache would take beside that if layers with a sliding window kept everything"}, float64(m.CacheSaved))
	e.each(names{"cache_config_info", "cache_config_info", "size of the KV cache"}, promtext.Gauge, func(f *promtext.Family) {
		f.Value(1, "block_size", strconv.Itoa(cfg.BlockTokens), "num_gpu_blocks", strconv.Itoa(cfg.Blocks))
	})
	e.each(names{"model_info", "", "the model that is served"}, promtext.Gauge, func(f *promtext.Family) {
		f.Value(1, "model", m.ID, "architecture", m.Config.Arch, "quantization", m.Config.Quantization, "cpu", m.CPU, "version", c.server.cfg.Version)
	})
}

// load are the gauges that balancers decide by.
func (e *emitter) load(s *engine.Stats) {
	e.gauge(names{"requests_running", "num_requests_running", "requests that have a place in the batch"}, float64(s.Running))
	e.gauge(names{"requests_waiting", "num_requests_waiting", "requests in the queue"}, float64(s.Waiting))
	e.gauge(names{"batch_size", "", "requests that have room in the batch"}, float64(s.MaxRunning))
	e.gauge(names{"queue_size", "", "requests that have room in the queue"}, float64(s.MaxWaiting))
	e.gauge(names{"kv_cache_usage_ratio", "kv_cache_usage_perc", "used part of the KV cache, 0 to 1"}, s.KVUsage)
	e.gauge(names{"step_stuck_seconds", "", "for which a step has not ended; 0: all is well"}, s.Stuck.Seconds())
	e.gauge(names{"kv_cache_cached_blocks", "", "free blocks whose content can be found again"}, float64(s.CachedBlocks))
	e.gauge(names{"kv_cache_window_blocks", "", "blocks of the layers with a sliding window"}, float64(s.WindowBlocks))
	e.gauge(names{"kv_cache_window_blocks_free", "", "of these, blocks that no sequence holds"}, float64(s.FreeWindowBlocks))
}

func (e *emitter) totals(s *engine.Stats) {
	e.total(names{"prompt_tokens_total", "prompt_tokens_total", "tokens of prompts"}, s.PromptTokens)
	e.total(names{"prompt_tokens_cached_total", "prompt_tokens_cached_total", "tokens of prompts that the prefix cache had"}, s.PromptTokensCached)
	e.total(names{"generation_tokens_total", "generation_tokens_total", "generated tokens"}, s.GeneratedTokens)
	e.total(names{"prefix_cache_queries_total", "prefix_cache_queries_total", "prompt tokens looked up in the prefix cache"}, s.PrefixQueryTokens)
	e.total(names{"prefix_cache_hits_total", "prefix_cache_hits_total", "prompt tokens found in the prefix cache"}, s.PrefixHitTokens)
	e.total(names{"preemptions_total", "num_preemptions_total", "sequences that lost their blocks and were computed again"}, s.Preemptions)
	e.total(names{"cache_evictions_total", "", "cached blocks that were given up"}, s.Evictions)
	e.total(names{"requests_refused_total", "admission_rejections_total", "requests refused by a full queue"}, s.Refused)
	e.total(names{"steps_total", "", "steps of the engine"}, s.Steps)
	e.total(names{"rows_total", "", "rows of all steps"}, s.Rows)
	e.drafts(s)
	e.seconds(names{"step_seconds_total", "", "time in steps"}, s.StepTime.Seconds())
	e.seconds(names{"forward_seconds_total", "", "time in the model"}, s.ForwardTime.Seconds())
	e.seconds(names{"sample_seconds_total", "", "time in sampling"}, s.SampleTime.Seconds())
	e.each(names{"requests_finished_total", "request_success_total", "requests by how they ended"}, promtext.Counter, func(f *promtext.Family) {
		for _, why := range []engine.Reason{engine.Stop, engine.Length, engine.Aborted, engine.Failed} {
			f.Value(float64(s.Finished[why]), "finished_reason", why.String())
		}
	})
}

// drafts are the counts of tokens that were guessed ahead.
func (e *emitter) drafts(s *engine.Stats) {
	e.total(names{"drafts_total", "spec_decode_num_drafts_total", "guesses of the next tokens that had rows in a step"}, s.Drafts)
	e.total(names{"draft_tokens_total", "spec_decode_num_draft_tokens_total", "tokens of these guesses"}, s.DraftTokens)
	e.total(names{"draft_tokens_accepted_total", "spec_decode_num_accepted_tokens_total", "tokens of these guesses that were right"}, accepted(s))
	e.each(names{"draft_tokens_accepted_by_position_total", "spec_decode_num_accepted_tokens_per_pos_total", "the same by the place in the guess"},
		promtext.Counter, func(f *promtext.Family) {
			for i, n := range s.Accepted {
				f.Value(float64(n), "position", strconv.Itoa(i))
			}
		})
}

func accepted(s *engine.Stats) (n uint64) {
	for _, at := range s.Accepted {
		n += at
	}
	return n
}

// llamaCPP sends what llama-server measures and this server does, too, under its
// names.
func (e *emitter) llamaCPP(s *engine.Stats) {
	busy := uint64(0)
	for seqs, steps := range s.Occupancy {
		busy += uint64(seqs) * steps
	}
	for _, m := range []struct {
		name, help string
		kind       promtext.Kind
		value      float64
	}{
		{"prompt_tokens_total", "Number of prompt tokens processed.", promtext.Counter, float64(s.PromptRows)},
		{"tokens_predicted_total", "Number of generation tokens processed.", promtext.Counter, float64(s.GeneratedTokens)},
		{"n_decode_total", "Total number of steps.", promtext.Counter, float64(s.Steps)},
		{"n_busy_slots_per_decode", "Average number of busy slots per step.", promtext.Counter, float64(busy) / float64(max(s.Steps, 1))},
		{"spec_decode_num_drafts_total", "Number of drafts.", promtext.Counter, float64(s.Drafts)},
		{"spec_decode_num_draft_tokens_total", "Number of draft tokens.", promtext.Counter, float64(s.DraftTokens)},
		{"spec_decode_num_accepted_tokens_total", "Number of accepted draft tokens.", promtext.Counter, float64(accepted(s))},
		{"requests_processing", "Number of requests processing.", promtext.Gauge, float64(s.Running)},
		{"requests_deferred", "Number of requests deferred.", promtext.Gauge, float64(s.Waiting)},
	} {
		f := e.page.Family("llamacpp:", m.name, m.kind, m.help)
		f.Value(m.value)
	}
}

func (e *emitter) histograms(h engine.Histograms) {
	for _, one := range []struct {
		n names
		h *metrics.Histogram
	}{
		{names{"time_to_first_token_seconds", "time_to_first_token_seconds", "from submission to the first token"}, h.FirstToken},
		{names{"inter_token_latency_seconds", "inter_token_latency_seconds", "between two tokens of a request"}, h.Interval},
		{names{"time_per_output_token_seconds", "request_time_per_output_token_seconds", "mean time between the tokens of a request"}, h.PerToken},
		{names{"request_seconds", "e2e_request_latency_seconds", "from submission to the end"}, h.Total},
		{names{"queue_seconds", "request_queue_time_seconds", "from submission to the first step"}, h.Queue},
		{names{"prefill_seconds", "request_prefill_time_seconds", "from the first step to the first token"}, h.Prefill},
		{names{"decode_seconds", "request_decode_time_seconds", "from the first token to the last"}, h.Decode},
		{names{"inference_seconds", "request_inference_time_seconds", "from the first step to the last token"}, h.Inference},
		{names{"step_tokens", "iteration_tokens_total", "rows of a step"}, h.StepTokens},
		{names{"request_prompt_tokens", "request_prompt_tokens", "tokens of a prompt"}, h.Prompt},
		{names{"request_computed_tokens", "request_prefill_kv_computed_tokens", "tokens of a prompt that the prefix cache did not have"}, h.Computed},
		{names{"request_generation_tokens", "request_generation_tokens", "tokens of an answer"}, h.Generated},
		{names{"request_max_tokens", "request_params_max_tokens", "tokens that a request allowed for its answer"}, h.MaxToken},
	} {
		e.histogram(one.n, one.h)
	}
}
