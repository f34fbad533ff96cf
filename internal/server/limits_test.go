package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/access"
)

// metered is a server whose key "a" has these limits.
func metered(t *testing.T, limits access.Limits) (*fixture, *access.Meters) {
	t.Helper()
	k := key("a", access.Scopes()...)
	k.Limits = limits
	meters := access.NewMeters()
	return newFixture(t, "abcdefgh\x00", withKeys(k, key("other", access.Scopes()...)), func(c *Config, _ *engineConfig) { c.Meters = meters }), meters
}

// bodies are a request for each protocol's main route.
var bodies = map[string]string{
	"/v1/chat/completions": "{" + hello + `,"max_tokens":4}`,
	"/v1/completions":      `{"prompt":"hi","max_tokens":4}`,
	"/v1/responses":        `{"input":"hi","max_output_tokens":16}`,
	"/v1/messages":         `{"max_tokens":4,` + hello + "}",
	"/api/generate":        `{"model":"tiny","prompt":"hi","options":{"num_predict":4}}`,
	"/completion":          `{"prompt":"hi","n_predict":4}`,
	"/generate":            `{"prompt":"hi","max_tokens":4}`,
}

// A key that has reached a limit gets 429 on every route, in the form of the
// protocol, with the time to wait; other keys do not.
func TestLimitsInEachProtocol(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for path, body := range bodies {
			f, _ := metered(t, access.Limits{RequestsPerMinute: 2})
			for i := range 3 {
				a := f.do(t, "POST", path, body, "X-Api-Key", "a")
				if want := map[bool]int{true: 200, false: 429}[i < 2]; a.status != want {
					t.Fatalf("%s, request %d: %d %s", path, i, a.status, a.body)
				}
				if i < 2 {
					continue
				}
				if a.header.Get("Retry-After") != "30" || !strings.Contains(a.body, "the key a has reached its limit: requests-per-minute=2") {
					t.Errorf("%s: %v %s", path, a.header, a.body)
				}
				kind := map[string]string{"/api/generate": `{"error":"the key`, "/generate": `"success":false`}[path]
				if kind == "" {
					kind = `"rate_limit_error"`
				}
				if !strings.Contains(a.body, kind) {
					t.Errorf("%s: %s is not in %s", path, kind, a.body)
				}
			}
			if a := f.do(t, "POST", path, body, "X-Api-Key", "other"); a.status != 200 {
				t.Errorf("%s: another key: %d", path, a.status)
			}
			if a := f.do(t, "GET", "/v1/models", "", "X-Api-Key", "a"); a.status != 200 {
				t.Errorf("what runs no model is refused: %d", a.status)
			}
			time.Sleep(30 * time.Second)
			if a := f.do(t, "POST", path, body, "X-Api-Key", "a"); a.status != 200 {
				t.Errorf("%s: after Retry-After: %d", path, a.status)
			}
			f.engine.Close()
		}
	})
}

// Answers say what is left, in the headers of each protocol.
func TestRateLimitHeaders(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f, _ := metered(t, access.Limits{RequestsPerMinute: 60, TokensPerMinute: 600})
		a := f.do(t, "POST", "/v1/completions", `{"prompt":[5,6,7,8,9,10],"max_tokens":4}`, "X-Api-Key", "a")
		for name, want := range map[string]string{"limit-requests": "60", "remaining-requests": "59", "reset-requests": "1s",
			"limit-tokens": "600", "remaining-tokens": "594", "reset-tokens": "600ms"} {
			if got := a.header.Get("x-ratelimit-" + name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		b := f.do(t, "POST", "/v1/messages", bodies["/v1/messages"], "X-Api-Key", "a")
		reset, err := time.Parse(time.RFC3339, b.header.Get("anthropic-ratelimit-requests-reset"))
		if b.header.Get("anthropic-ratelimit-requests-limit") != "60" || b.header.Get("anthropic-ratelimit-requests-remaining") != "58" ||
			b.header.Get("anthropic-ratelimit-tokens-limit") != "600" || err != nil || time.Until(reset).Abs() > 3*time.Second || b.header.Get("x-ratelimit-limit-requests") != "" {
			t.Errorf("%v", b.header)
		}
		c := f.do(t, "POST", "/v1/completions", `{"prompt":"hi","max_tokens":4}`, "X-Api-Key", "other")
		for name := range c.header {
			if strings.Contains(strings.ToLower(name), "ratelimit") {
				t.Errorf("a key without limits gets %s", name)
			}
		}
		f.engine.Close()
	})
}

// Tokens of prompts, of answers and of embeddings count, streamed or not, also those
// of a client who leaves; and quotas are errors of their own.
func TestTokensAreCounted(t *testing.T) {
	f, meters := metered(t, access.Limits{TokensPerDay: 60})
	ask := func(path, body string) answer { return f.do(t, "POST", path, body, "X-Api-Key", "a") }
	for i, body := range []string{`{"prompt":[5,6,7],"max_tokens":4}`, `{"prompt":[5,6,7],"max_tokens":4,"stream":true}`, `{"prompt":[5,6,7],"max_tokens":4,"n":2}`} {
		if a := ask("/v1/completions", body); a.status != 200 {
			t.Fatalf("%d: %d %s", i, a.status, a.body)
		}
	}
	want := access.Use{Requests: 3, Prompt: 12, Completion: 16}
	if got := meters.Totals()["a"]; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if a := ask("/v1/embeddings", `{"input":[[5,6,7,8],[9,10]]}`); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if got := meters.Totals()["a"]; got.Prompt != 18 || got.Requests != 4 {
		t.Errorf("with embeddings: %+v", got)
	}
	for ask("/v1/completions", `{"prompt":[5,6,7],"max_tokens":4}`).status == 200 {
	}
	a := ask("/v1/completions", `{"prompt":[5,6,7],"max_tokens":4}`)
	if a.status != 429 || at(t, a.get(t), "error", "code") != "insufficient_quota" || !strings.Contains(a.body, "tokens-per-day=60") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if got := meters.Totals()["a"]; got.Tokens() < 60 || got.Tokens() > 67 {
		t.Errorf("%+v", got)
	}
	b := f.do(t, "GET", "/metrics", "", "X-Api-Key", "a")
	for _, want := range []string{`penstock_key_tokens_total{key="a",kind="prompt"} `, `penstock_key_requests_total{key="a"} `} {
		if !strings.Contains(b.body, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

// Of two answers to a prompt the queue takes one, so that neither is given: the other is not
// charged.
func TestRefusedPromptsAreNotCharged(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		limited := key("a", access.Scopes()...)
		limited.Limits = access.Limits{TokensPerMinute: 100}
		meters := access.NewMeters()
		f := newFixture(t, "abc", withKeys(limited, key("other", access.Scopes()...)), func(c *Config, e *engineConfig) {
			c.Meters, e.MaxBatch, e.MaxQueue = meters, 1, 1
		})
		slow(100*time.Millisecond, f)
		done := make(chan answer)
		go func() {
			done <- f.do(t, "POST", "/v1/completions", `{"prompt":"abc","max_tokens":100,"ignore_eos":true}`, "X-Api-Key", "other")
		}()
		time.Sleep(time.Second)
		a := f.do(t, "POST", "/v1/completions", `{"prompt":[5,6,7],"max_tokens":4,"n":2}`, "X-Api-Key", "a")
		if got := meters.Totals()["a"]; a.status != 429 || got != (access.Use{Requests: 1, Prompt: 3}) {
			t.Errorf("%d %s: %+v", a.status, a.body, got)
		}
		<-done
		f.engine.Close()
	})
}

// Of a thousand keys /metrics has a hundred series, and all of the sum.
func TestSeriesOfKeysAreBounded(t *testing.T) {
	totals := map[string]access.Use{}
	for i := range 1000 {
		totals[fmt.Sprint("k", i)] = access.Use{Requests: 1, Prompt: uint64(i)}
	}
	names, sum := busiest(totals), access.Use{}
	for _, n := range names {
		sum.Add(totals[n])
	}
	if len(names) != keySeries || names[0] != "k999" || names[keySeries-1] != "other" || sum.Requests != 1000 || sum.Prompt != 999*1000/2 {
		t.Errorf("%d names, %s to %s, %+v", len(names), names[0], names[len(names)-1], sum)
	}
}

// TestCompressedBodies: what a client has compressed is refused as such, not as bad JSON.
func TestCompressedBodies(t *testing.T) {
	f := newFixture(t, "ok\x00")
	for kind, want := range map[string]int{"gzip": 415, "zstd": 415, "identity": 200, "": 200} {
		a := f.do(t, "POST", "/v1/completions", `{"prompt":"x"}`, "Content-Encoding", kind)
		if a.status != want || want == 415 && !strings.Contains(a.body, kind+": send it uncompressed") {
			t.Errorf("%q: %d %s", kind, a.status, a.body)
		}
	}
}
