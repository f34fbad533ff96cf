package native

import (
	"math"
	"time"

	api "github.com/penstock-llm/penstock/api/native"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// generate is POST /generate; with "stream": true it is /generate_stream.
func generate(call *serving.Call) *serving.Error { return run(call, false) }

// generateStream is POST /generate_stream.
func generateStream(call *serving.Call) *serving.Error { return run(call, true) }

func run(call *serving.Call, streamed bool) *serving.Error {
	var req api.GenerateRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	id := serving.NewID("gen-")
	req.Stream = req.Stream || streamed
	m, err := call.AcquireFor(req.Model, serving.Opens(req.Stream, serving.SSE, newEncoder(id)))
	if err != nil {
		return err
	}
	defer m.Release()
	ctx, cancel := call.Context()
	defer cancel()
	j, err := job(call, m.Deployment, &req)
	if err != nil {
		return err
	}
	if err := m.Admit(call, "", 1); err != nil {
		return err
	}
	err = m.Prepare(ctx, len(*req.Prompt), func() (err *serving.Error) {
		j.Prompt, err = m.Encode(*req.Prompt, true)
		return err
	})
	if err != nil {
		return err
	}
	g, err := m.Start(ctx, j)
	if err != nil {
		return err
	}
	defer g.Close()
	if req.Stream {
		return call.Stream(ctx, []*serving.Generation{g}, serving.SSE, newEncoder(id))
	}
	c, err := g.Collect(ctx)
	if err != nil {
		return err
	}
	seconds := time.Since(call.Start).Seconds()
	return answer(call, api.Generated{
		ID:              id,
		Text:            c.Text,
		ResponseTime:    seconds,
		TokensPerSecond: float64(c.Result.Completion) / max(seconds, 1e-9),
		GeneratedTokens: c.Result.Completion,
		PromptTokens:    c.Result.Prompt,
		MaxTokens:       j.MaxTokens,
		FinishReason:    c.Result.Reason,
	})
}

func job(call *serving.Call, m *serving.Deployment, r *api.GenerateRequest) (*serving.Job, *serving.Error) {
	var c serving.Check
	if r.Prompt == nil {
		return nil, serving.Bad("prompt", "prompt is required")
	}
	j := c.Job(call, m, &r.Fields, serving.Strict)
	j.MaxTokens = c.Int("max_tokens", r.MaxTokens, 100, 1, math.MaxInt32)
	j.Stream = r.Stream
	return j, c.Err()
}
