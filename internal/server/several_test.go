package server

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// withOthers is a fixture beside whose model two others can be loaded, other and
// second, which say their names. A load takes a second.
func withOthers(t *testing.T, options ...option) *fixture {
	t.Helper()
	sources := []serving.Source{
		{ID: "org/tiny", Aliases: []string{"tiny"}, Path: "tiny.gguf", Size: 50, Modified: time.Unix(1700000000, 0)},
		{ID: "other", Aliases: []string{"alias"}, Path: "other.gguf", Size: 60, Digest: "abc", Modified: time.Unix(1700000001, 0)},
		{ID: "second", Path: "second.gguf", Size: 70},
	}
	residency := serving.Residency{
		List: func() []serving.Source { return sources }, OnDemand: true, KeepAlive: 5 * time.Minute, Budget: 1000,
		Open: func(s serving.Source) (*serving.Opened, error) { return opened(t, s), nil },
	}
	f := newFixture(t, "tiny\x00", append([]option{func(c *Config, _ *engineConfig) { c.Residency = residency }}, options...)...)
	t.Cleanup(func() {
		if err := f.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return f
}

func opened(t *testing.T, s serving.Source) *serving.Opened {
	memory := serving.Memory{Weights: 100, Cache: 200, Context: 512}
	tok, tmpl := loadTiny(t)
	d := &Deployment{ID: s.ID, Aliases: s.Aliases, Path: s.Path, Config: model.Config{Arch: "qwen3", Vocab: testVocab, Dim: testDim, Context: 512}, Tokenizer: tok, Chat: tmpl, Memory: memory}
	return &serving.Opened{
		Plan: func(limit uint64) (serving.Memory, bool, error) {
			return memory, limit == 0 || limit >= memory.Total(), nil
		},
		Describe: func() (*Deployment, error) { return d, nil },
		Close:    func() error { return nil },
		Load: func(uint64) (*Deployment, error) {
			time.Sleep(time.Second)
			x := newScript(s.ID + "\x00")
			for id := range testVocab {
				x.pieces = append(x.pieces, tok.Piece(int32(id)))
				if tok.IsSpecial(int32(id)) {
					x.pieces[id] = nil
				}
			}
			e, err := engine.New(x, nil, engine.Config{Blocks: 256, Context: 512, MaxBatch: 8, EOG: tok.EOG()})
			if err != nil {
				return nil, err
			}
			d.Engine, d.Close = e, func() error { e.Close(); return nil }
			return d, nil
		},
	}
}

// Every protocol can name a model that is not loaded; clients of Ollama learn how
// long it took, and say how long it stays.
func TestSeveralModels(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := withOthers(t)
		ask := func(path, body, want string) map[string]any {
			t.Helper()
			a := f.post(t, path, body)
			if a.status != 200 || !strings.Contains(a.body, want) {
				t.Errorf("%s %s: %d %s", path, body, a.status, a.body)
				return nil
			}
			return a.get(t)
		}
		ask("/v1/chat/completions", `{`+hello+`}`, `"tiny"`)
		var wait sync.WaitGroup
		for path, body := range map[string]string{
			"/v1/chat/completions": `{"model":"other",` + hello + `}`,
			"/v1/completions":      `{"model":"alias","prompt":"x"}`,
			"/v1/messages":         `{"model":"other","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`,
			"/v1/responses":        `{"model":"other","input":"x"}`,
			"/completion":          `{"model":"other","prompt":"x"}`,
		} {
			wait.Go(func() { ask(path, body, "other") })
		}
		wait.Wait()
		v := ask("/api/chat", `{"model":"second:latest","stream":false,"messages":[{"role":"user","content":"x"}],"keep_alive":"90s"}`, `"content":"second"`)
		if at(t, v, "load_duration") != 1e9 || at(t, v, "model") != "second:latest" {
			t.Errorf("%v", v)
		}
		if v = ask("/api/generate", `{"model":"second","stream":false,"prompt":"x"}`, "second"); at(t, v, "load_duration") != 0.0 {
			t.Errorf("a model that is loaded took %v", v["load_duration"])
		}
		if got := inMemory(t, f); got != "org/tiny other+4m59s second+1m30s" {
			t.Errorf("in memory: %s", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := inMemory(t, f); got != "org/tiny other+2m59s" {
			t.Errorf("later: %s", got)
		}
		if v = ask("/api/generate", `{"model":"other","keep_alive":0}`, "unload"); v["done_reason"] != "unload" {
			t.Errorf("%v", v)
		}
		ask("/api/generate", `{"model":"other","keep_alive":0}`, "unload") // it is as it is
		if v = ask("/api/generate", `{"model":"second","keep_alive":-1}`, "load"); v["done_reason"] != "load" {
			t.Errorf("%v", v)
		}
		time.Sleep(100 * time.Hour)
		if got := inMemory(t, f); got != "org/tiny second" {
			t.Errorf("for ever: %s", got)
		}
		ask("/api/chat", `{"model":"second","stream":false,"messages":[{"role":"user","content":"x"}],"keep_alive":0}`, "second")
		synctest.Wait()
		if got := inMemory(t, f); got != "org/tiny" {
			t.Errorf("at last: %s", got)
		}
	})
}

// inMemory are the models of /api/ps with the time that each has left.
func inMemory(t *testing.T, f *fixture) string {
	t.Helper()
	var list []string
	for _, m := range f.do(t, "GET", "/api/ps", "").get(t)["models"].([]any) {
		expires, err := time.Parse(time.RFC3339, at(t, m, "expires_at").(string))
		if err != nil {
			t.Fatal(err)
		}
		name := at(t, m, "name").(string)
		if left := time.Until(expires); left < 1000*time.Hour {
			name += "+" + left.Round(time.Second).String()
		}
		list = append(list, name)
	}
	return strings.Join(list, " ")
}

// Lists have what is loaded and what would be; a description loads nothing.
func TestListsOfSeveralModels(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := withOthers(t)
		list := func() string {
			var all []string
			for _, m := range f.do(t, "GET", "/v1/models", "").get(t)["data"].([]any) {
				all = append(all, fmt.Sprint(at(t, m, "id"), ":", at(t, m, "status", "value")))
			}
			return strings.Join(all, " ")
		}
		if got := list(); got != "org/tiny:loaded tiny:loaded other:unloaded alias:unloaded second:unloaded" {
			t.Errorf("%s", got)
		}
		go f.post(t, "/v1/completions", `{"model":"second","prompt":"x"}`)
		time.Sleep(time.Millisecond)
		if got := list(); got != "org/tiny:loaded tiny:loaded second:loading other:unloaded alias:unloaded" {
			t.Errorf("%s", got)
		}
		if v := f.do(t, "GET", "/v1/models/alias", "").get(t); at(t, v, "id") != "alias" || at(t, v, "root") != "other" || at(t, v, "status", "value") != "unloaded" {
			t.Errorf("%v", v)
		}
		v := f.post(t, "/api/show", `{"model":"other:latest"}`).get(t)
		if at(t, v, "model_info", "general.architecture") != "qwen3" || at(t, v, "model_info", "qwen3.context_length") != 512.0 || at(t, v, "capabilities", 0) != "completion" {
			t.Errorf("%v", v)
		}
		for _, path := range []string{"/props?model=second", "/slots?model=second"} {
			if a := f.do(t, "GET", path, ""); a.status != 503 || !strings.Contains(a.body, "is not loaded, and this route loads none") {
				t.Errorf("%s while it loads: %d %s", path, a.status, a.body)
			}
		}
		tags := f.do(t, "GET", "/api/tags", "").get(t)["models"].([]any)
		if len(tags) != 5 || at(t, tags[3], "name") != "other" || at(t, tags[3], "size") != 60.0 || at(t, tags[3], "digest") != "abc" {
			t.Errorf("%v", tags)
		}
		time.Sleep(time.Minute)
		if v := f.do(t, "GET", "/props?model=second", "").get(t); v["model_alias"] != "second" {
			t.Errorf("%v", v)
		}
		if a := f.do(t, "GET", "/slots?model=third", ""); a.status != 404 {
			t.Errorf("a model that is not there: %d %s", a.status, a.body)
		}
		if got := list(); got != "org/tiny:loaded tiny:loaded second:loaded other:unloaded alias:unloaded" {
			t.Errorf("%s", got)
		}
	})
}

// What is wrong with a model is said in the form of each protocol.
func TestSeveralModelsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := withOthers(t, func(c *Config, _ *engineConfig) { c.Residency.Budget = 250 })
		for path, body := range map[string]string{
			"/v1/chat/completions": `{"model":"other",` + hello + `}`,
			"/v1/messages":         `{"model":"other","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`,
			"/completion":          `{"model":"other","prompt":"x"}`,
			"/api/chat":            `{"model":"other","messages":[{"role":"user","content":"x"}]}`,
			"/generate":            `{"model":"other","prompt":"x"}`,
		} {
			a := f.post(t, path, body)
			if a.status != 503 || !strings.Contains(a.body, `there is no memory for the model \"other\"`) || !json.Valid([]byte(a.body)) {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
			if a.header.Get("X-Should-Retry") != "false" {
				t.Errorf("%s: clients would ask again", path)
			}
		}
		for _, path := range []string{"/models/load", "/models/unload"} {
			if a := f.post(t, path, `{"model":"other"}`); a.status != 403 {
				t.Errorf("%s from another machine: %d %s", path, a.status, a.body)
			}
		}
	})
}

// Metrics of vLLM's names have one series each, however many models there are, and
// totals do not shrink when one is unloaded.
func TestMetricsOfSeveralModels(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := withOthers(t)
		for _, name := range []string{"tiny", "other", "second"} {
			f.post(t, "/v1/completions", fmt.Sprintf(`{"model":%q,"prompt":"x"}`, name))
		}
		tokens := func(name string) (sum float64) {
			for _, s := range scrape(t, f)[name].GetMetric() {
				sum += s.GetCounter().GetValue()
			}
			return sum
		}
		all := tokens("vllm:generation_tokens_total")
		if all < 15 || tokens("penstock_model_generation_tokens_total") != all || tokens("penstock_generation_tokens_total") != all {
			t.Errorf("%v tokens, of the models %v", all, tokens("penstock_model_generation_tokens_total"))
		}
		f.post(t, "/api/generate", `{"model":"other","keep_alive":0}`)
		f.post(t, "/api/generate", `{"model":"second","keep_alive":0}`)
		synctest.Wait()
		m := scrape(t, f)
		if now := tokens("vllm:generation_tokens_total"); now != all {
			t.Errorf("%v tokens before, %v after", all, now)
		}
		if h := m["vllm:e2e_request_latency_seconds"].GetMetric()[0].GetHistogram(); h.GetSampleCount() != 3 {
			t.Errorf("%d requests in the histogram", h.GetSampleCount())
		}
		for name, family := range m {
			if strings.HasPrefix(name, "vllm:") && family.GetType() == dto.MetricType_GAUGE && len(family.GetMetric()) != 1 {
				t.Errorf("%s has %d series", name, len(family.GetMetric()))
			}
			for _, s := range family.GetMetric() {
				for _, l := range s.GetLabel() {
					if l.GetName() == "model_name" && l.GetValue() != "org/tiny" {
						t.Errorf("%s is of the model %s", name, l.GetValue())
					}
				}
			}
		}
		if n := len(m["penstock_model_loads_total"].GetMetric()); n != 3 {
			t.Errorf("%d models have counters", n)
		}
	})
}
