// Package fakeserver is a server for the tests of the benchmarks: it answers completions as a model would that takes a fixed time
// for each token. It computes nothing, and only tests import it.
package fakeserver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// New starts a server that answers completions like a model that takes step for a token and never stops early.
func New(t *testing.T, model string, step time.Duration, tokens func(asked int) int) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"data":[{"id":%q}]}`, model) })
	mux.HandleFunc("POST /v1/completions", func(w http.ResponseWriter, r *http.Request) {
		var req struct {
			Prompt string `json:"prompt"`
			Max    int    `json:"max_tokens"`
			Stream bool   `json:"stream"`
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		n := tokens(req.Max)
		usage := fmt.Sprintf(`"model":%q,"usage":{"prompt_tokens":%d,"completion_tokens":%d}`, model, len(strings.Fields(req.Prompt)), n)
		if !req.Stream {
			time.Sleep(time.Duration(n) * step)
			fmt.Fprintf(w, `{"choices":[{"text":"x","finish_reason":"length"}],%s}`, usage)
			return
		}
		for range n {
			time.Sleep(step)
			io.WriteString(w, `data: {"choices":[{"text":"x"}]}`+"\n\n")
			w.(http.Flusher).Flush()
		}
		fmt.Fprintf(w, "data: {\"choices\":[],%s}\n\ndata: [DONE]\n\n", usage)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// All generates as many tokens as are asked for.
func All(asked int) int { return asked }
