package layers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// handlerLayer calls the HTTP handler in memory: JSON decoding, tokenizer, engine, JSON encoding. There is no socket; of net/http only
// the types of request and response are used.
type handlerLayer struct {
	*site
	s    *Scenario
	body []byte
}

func newHandlerLayer(s *Scenario) (measurable, error) {
	x, err := s.site(false)
	if err != nil {
		return nil, err
	}
	h := &handlerLayer{site: x, s: s}
	h.body, err = json.Marshal(map[string]any{"prompt": x.hello.Prompt, "max_tokens": s.Gen, "temperature": s.Temperature, "ignore_eos": true})
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (h *handlerLayer) close() error { return h.site.close() }

func (h *handlerLayer) run(ctx context.Context, requests int) (*LayerRun, error) {
	before := h.engine.Stats()
	r, err := clients(h.s.Concurrency, requests, func(int) (prompt, tokens int, err error) { return h.request(ctx) })
	if err != nil {
		return nil, err
	}
	r.occupied(before, h.engine.Stats())
	return r, nil
}

func (h *handlerLayer) request(ctx context.Context) (prompt, tokens int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1/v1/completions", bytes.NewReader(h.body))
	if err != nil {
		return 0, 0, err
	}
	req.RemoteAddr = "127.0.0.1:1"
	w := &memoryWriter{header: http.Header{}}
	h.server.ServeHTTP(w, req)
	if w.status != http.StatusOK {
		return 0, 0, fmt.Errorf("the handler answers %d: %s", w.status, w.body.Bytes())
	}
	var answer struct {
		Usage struct {
			Prompt     int `json:"prompt_tokens"`
			Completion int `json:"completion_tokens"`
		} `json:"usage"`
	}
	if err := json.Unmarshal(w.body.Bytes(), &answer); err != nil {
		return 0, 0, fmt.Errorf("the handler's answer: %w", err)
	}
	return answer.Usage.Prompt, answer.Usage.Completion, nil
}

// memoryWriter is an http.ResponseWriter that keeps the answer in memory.
type memoryWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *memoryWriter) Header() http.Header { return w.header }

func (w *memoryWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *memoryWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}
