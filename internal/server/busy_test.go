package server

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

// Whoever is refused because of a full queue or a long wait, and comes again when
// Retry-After says so, begins within a second or so.
func TestRetryAfterIsHonest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for name, wait := range map[string]time.Duration{"queue_full": 0, "wait_too_long": 20 * time.Second} {
			f := newFixture(t, "abc", func(_ *Config, e *engineConfig) { e.MaxBatch, e.MaxQueue, e.MaxWait = 1, 3, wait })
			slow(100*time.Millisecond, f)
			body := func(tokens int) string {
				return fmt.Sprintf(`{"prompt":"abc","max_tokens":%d,"ignore_eos":true}`, tokens)
			}
			f.post(t, "/v1/completions", body(100)) // to measure by: 10 s
			done := make(chan answer)
			for range 3 {
				go func() { done <- f.post(t, "/v1/completions", body(100)) }()
				time.Sleep(time.Second)
			}
			if wait == 0 {
				go func() { done <- f.post(t, "/v1/completions", body(100)) }()
				time.Sleep(time.Second)
			}
			a := f.post(t, "/v1/completions", body(1))
			seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
			if a.status != 429 || at(t, a.get(t), "error", "code") != name || err != nil || seconds < 20 {
				t.Fatalf("%s: %d %v %s", name, a.status, a.header, a.body)
			}
			time.Sleep(time.Duration(seconds) * time.Second)
			start := time.Now()
			if a := f.post(t, "/v1/completions", body(1)); a.status != 200 || time.Since(start) > 2*time.Second {
				t.Errorf("%s: after the %d s of Retry-After: %d, and it took %v", name, seconds, a.status, time.Since(start))
			}
			for range 3 {
				<-done
			}
			if wait == 0 {
				<-done
			}
			f.engine.Close()
		}
	})
}
