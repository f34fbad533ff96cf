package native

import (
	"encoding/json"
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
	m, err := call.Acquire(req.Model)
	if err != nil {
		return err
	}
	defer m.Release()
	req.Stream = req.Stream || streamed
	ctx, cancel := call.Context()
	defer cancel()
	j, err := job(call, &req)
	if err != nil {
		return err
	}
	if err := m.Admit("", 1); err != nil {
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
	id := serving.NewID("gen-")
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

func job(call *serving.Call, r *api.GenerateRequest) (*serving.Job, *serving.Error) {
	var c serving.Check
	if r.Prompt == nil {
		return nil, serving.Bad("prompt", "prompt is required")
	}
	j := &serving.Job{
		MaxTokens: c.Int("max_tokens", r.MaxTokens, 100, 1, math.MaxInt32),
		Stop:      c.Stops("stop", stops(&c, r.Stop)),
		IgnoreEOS: r.IgnoreEOS,
		Stream:    r.Stream,
		Priority:  call.Client.Priority,
		Client:    call.Client.Name,
	}
	p := &j.Params
	p.Temperature = c.Float("temperature", r.Temperature, 0.7, 0, 2)
	p.TopP = max(c.Float("top_p", r.TopP, 0.9, 0, 1), 1e-9)
	p.TopK = max(c.Int("top_k", r.TopK, 0, -1, math.MaxInt32), 0)
	p.MinP = c.Float("min_p", r.MinP, 0, 0, 1)
	p.RepeatPenalty = c.Float("repetition_penalty", r.RepetitionPenalty, 1.1, 0.01, 10)
	p.PresencePenalty = c.Float("presence_penalty", r.PresencePenalty, 0, -2, 2)
	p.FrequencyPenalty = c.Float("frequency_penalty", r.FrequencyPenalty, 0, -2, 2)
	p.Seed = c.Seed(r.Seed)
	return j, c.Err()
}

// stops reads a string or an array of strings.
func stops(c *serving.Check, data json.RawMessage) []string {
	if len(data) == 0 || string(data) == "null" || string(data) == `""` {
		return nil
	}
	var one string
	if json.Unmarshal(data, &one) == nil {
		return []string{one}
	}
	var many []string
	if json.Unmarshal(data, &many) != nil {
		c.Fail(serving.Bad("stop", "stop must be a string or an array of strings"))
	}
	return many
}
