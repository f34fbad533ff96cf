package server

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-llm/penstock/internal/engine"
)

// TestLivezWhileAStepHangs: /livez and /readyz turn 503 when a step does not end,
// new requests are refused with 503, and all is well again when it has ended.
func TestLivezWhileAStepHangs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		told := make(chan engine.Stuck, 3)
		f := newFixture(t, "abc\x00", func(_ *Config, e *engineConfig) {
			e.StepLimit, e.OnStuck = time.Minute, func(s engine.Stuck) { told <- s }
		})
		slow(10*time.Minute, f)
		done := make(chan answer, 1)
		go func() { done <- f.post(t, "/v1/completions", `{"prompt":"abc","max_tokens":1}`) }()
		time.Sleep(30 * time.Second)
		if a := f.do(t, "GET", "/livez", ""); a.status != 200 {
			t.Errorf("/livez is %d before the limit", a.status)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, path := range []string{"/livez", "/readyz", "/health"} {
			if a := f.do(t, "GET", path, ""); a.status != 503 || !strings.Contains(a.body, "has not ended for 1m") {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
		if a := f.post(t, "/v1/completions", `{"prompt":"abc"}`); a.status != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("a request: %d %s", a.status, a.body)
		}
		if m := scrape(t, f)["penstock_step_stuck_seconds"]; m.GetMetric()[0].GetGauge().GetValue() < 60 {
			t.Errorf("/metrics has %v", m)
		}
		slow(0, f)
		if a := <-done; a.status != 200 {
			t.Errorf("the request that hung: %d %s", a.status, a.body)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if a := f.do(t, "GET", "/livez", ""); a.status != 200 {
			t.Errorf("/livez is %d afterwards: %s", a.status, a.body)
		}
		if len(told) != 3 {
			t.Errorf("%d reports", len(told))
		}
	})
}
