package server

import (
	"strings"
	"testing"
	"time"
)

func TestRouters(t *testing.T) {
	f := newFixture(t, "abcdefgh", func(_ *Config, e *engineConfig) { e.PrefixCache = true })
	get := func(path string) map[string]any {
		t.Helper()
		a := f.do(t, "GET", path, "")
		if a.status != 200 {
			t.Fatalf("%s: %d %s", path, a.status, a.body)
		}
		return a.get(t)
	}
	if m := get("/version"); m["version"] != "test" {
		t.Errorf("%v", m)
	}
	for _, path := range []string{"/ping", "/health_generate"} {
		if m := get(path); len(m) != 0 {
			t.Errorf("%s: %v", path, m)
		}
	}
	if n := f.engine.Stats().GeneratedTokens; n != 1 {
		t.Errorf("/health_generate generated %d tokens", n)
	}
	if a := f.post(t, "/ping", ""); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, path := range []string{"/get_model_info", "/model_info"} {
		if m := get(path); m["model_path"] != "tiny.gguf" || m["served_model_name"] != "org/tiny" || m["is_generation"] != true || m["max_context_length"] != 512.0 {
			t.Errorf("%s: %v", path, m)
		}
	}
	for _, path := range []string{"/get_server_info", "/server_info"} {
		if m := get(path); m["max_total_num_tokens"] != 4096.0 || m["max_running_requests"] != 8.0 || m["max_model_len"] != 512.0 || m["disable_radix_cache"] != false {
			t.Errorf("%s: %v", path, m)
		}
	}
	a := f.post(t, "/pooling", `{"input":"x"}`)
	if a.status != 501 || !strings.Contains(a.body, "/pooling is not served") || a.header.Get("X-Should-Retry") != "false" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// What routers decide by moves with the load.
func TestLoads(t *testing.T) {
	f := newFixture(t, "abcdefgh", func(_ *Config, e *engineConfig) { e.MaxBatch = 2 })
	f.script.delay.Store(int64(50 * time.Millisecond))
	load := func() map[string]any {
		m := f.do(t, "GET", "/v1/loads?include=core,queues", "").get(t)
		if m["dp_rank_count"] != 1.0 || m["timestamp"] == "" {
			t.Errorf("%v", m)
		}
		return at(t, m, "loads", 0).(map[string]any)
	}
	if l := load(); l["num_total_reqs"] != 0.0 || l["token_usage"] != 0.0 || l["max_running_requests"] != 2.0 || l["max_total_num_tokens"] != 4096.0 {
		t.Errorf("idle: %v", l)
	}
	ts := f.listen(t)
	one := make([]byte, 1)
	for i := range 2 {
		r := postTo(t, ts.Client(), ts.URL+"/completion", `{"prompt":"xyz","n_predict":400,"stream":true}`)
		defer r.Body.Close()
		if _, err := r.Body.Read(one); err != nil {
			t.Fatal(err)
		}
		if m := f.do(t, "GET", "/load", "").get(t); m["server_load"] != float64(i+1) {
			t.Errorf("%d requests: %v", i+1, m)
		}
		if m := f.do(t, "GET", "/get_load", "").get(t); m["load"] != float64(i+1) || m["num_waiting_reqs"] != 0.0 || m["num_tokens"].(float64) < 16 {
			t.Errorf("%d requests: %v", i+1, m)
		}
	}
	l := load()
	if l["num_running_reqs"] != 2.0 || l["utilization"] != 1.0 || l["num_used_tokens"].(float64) < 32 || l["token_usage"].(float64) <= 0 {
		t.Errorf("busy: %v", l)
	}
	if a := f.do(t, "GET", "/health_generate", ""); a.status != 200 {
		t.Errorf("a busy server is not healthy: %d %s", a.status, a.body)
	}
	if a := f.do(t, "GET", "/v1/loads?include=everything", ""); a.status != 400 || !strings.Contains(a.body, "include must name some of core") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Only those who may change the machine may empty its cache.
func TestFlushCache(t *testing.T) {
	f := newFixture(t, "abc\x00", func(c *Config, e *engineConfig) { e.PrefixCache = true; c.Keys = keyring("key") })
	cached := func() any {
		a := f.do(t, "POST", "/completion", `{"prompt":"`+strings.Repeat("x", 100)+`","n_predict":2}`, "Authorization", "Bearer key")
		return at(t, a.get(t), "timings", "cache_n")
	}
	cached()
	if n := cached(); n == 0.0 {
		t.Fatal("nothing is cached")
	}
	for _, path := range []string{"/flush_cache", "/reset_prefix_cache"} {
		if a := f.do(t, "POST", path, ""); a.status != 401 {
			t.Errorf("%s without a key: %d", path, a.status)
		}
		if a := f.do(t, "POST", path, "", "Authorization", "Bearer key"); a.status != 200 || at(t, a.get(t), "blocks") == 0.0 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		if n := cached(); n != 0.0 {
			t.Errorf("%s: %v tokens are cached afterwards", path, n)
		}
	}
	if a := newFixture(t, "abc").do(t, "POST", "/flush_cache", ""); a.status != 403 || !strings.Contains(a.body, "needs an API key") {
		t.Errorf("without keys, from elsewhere: %d %s", a.status, a.body)
	}
	if a := f.do(t, "GET", "/flush_cache", ""); a.status != 405 {
		t.Errorf("GET: %d", a.status)
	}
}

func TestRoutersWhileDraining(t *testing.T) {
	f := newFixture(t, "abc\x00")
	f.Server.app.Models.StartDraining()
	for path, want := range map[string]int{"/ping": 503, "/health_generate": 503, "/load": 200, "/v1/loads": 200, "/version": 200, "/server_info": 200} {
		if a := f.do(t, "GET", path, ""); a.status != want {
			t.Errorf("%s: %d, want %d: %s", path, a.status, want, a.body)
		}
	}
	empty := New(Config{Version: "test"})
	g := &fixture{Server: empty}
	for path, want := range map[string]int{"/ping": 503, "/health_generate": 503, "/load": 503, "/get_load": 503, "/v1/loads": 503, "/version": 200, "/server_info": 503, "/model_info": 503} {
		if a := g.do(t, "GET", path, ""); a.status != want {
			t.Errorf("loading: %s: %d, want %d: %s", path, a.status, want, a.body)
		}
	}
}
