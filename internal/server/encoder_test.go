package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/model"
)

// withEncoder serves a mock that makes embeddings only.
func withEncoder(t testing.TB) *fixture {
	t.Helper()
	f := withStates(t, func(_ *Config, c *engine.Config) { c.Encoder = true })
	f.model.Config.Encoder, f.model.Config.Pooling = true, model.MeanPooling
	return f
}

// TestEncoderRoutes: the routes of embeddings serve an encoder, and each route that
// generates says what to use instead.
func TestEncoderRoutes(t *testing.T) {
	f := withEncoder(t)
	want := unit(f.stateOf(t, f.ids("one"), model.MeanPooling))
	if got := floats(t, at(t, f.post(t, "/v1/embeddings", `{"input":"one"}`).get(t), "data", 0, "embedding")); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for path, body := range map[string]string{
		"/v1/completions":      `{"prompt":"a"}`,
		"/v1/chat/completions": `{"messages":[{"role":"user","content":"a"}]}`,
		"/v1/responses":        `{"input":"a"}`,
		"/v1/messages":         `{"max_tokens":5,"messages":[{"role":"user","content":"a"}]}`,
		"/api/generate":        `{"model":"` + f.model.ID + `","prompt":"a"}`,
		"/api/chat":            `{"model":"` + f.model.ID + `","messages":[{"role":"user","content":"a"}]}`,
		"/completion":          `{"prompt":"a"}`,
		"/generate":            `{"prompt":"a"}`,
	} {
		if a := f.post(t, path, body); a.status != 400 || !strings.Contains(a.body, "use /v1/embeddings") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}
