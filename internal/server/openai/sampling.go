package openai

import (
	"math"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

const maxChoices = 128

// job checks the fields that both kinds of request share. The prompt and the
// limits of the answer are the caller's to add.
func job(c *serving.Check, r *api.Sampling, call *serving.Call, m *serving.Deployment) *serving.Job {
	switch o := r.StreamOptions; {
	case o != nil && !r.Stream:
		c.Fail(serving.Bad("stream_options", "stream_options is only allowed when stream is true"))
	case o != nil && o.ContinuousUsageStats:
		c.Fail(serving.Unsupported("stream_options.continuous_usage_stats"))
	}
	j := c.Job(call, m, &r.Fields, serving.Strict)
	j.IncludeStop = r.IncludeStop
	j.Special = r.SkipSpecialTokens != nil && !*r.SkipSpecialTokens
	j.Stream = r.Stream
	if r.Priority != nil && *r.Priority > 0 { // as in vLLM, larger numbers are less urgent
		j.Priority = min(j.Priority, engine.Low)
	}
	return j
}

// count reads n, the number of answers to each prompt.
func count(c *serving.Check, r *api.Sampling) int {
	return c.Int("n", r.N, 1, 1, maxChoices)
}

// maxTokens reads the longest answer, under either of its names.
func maxTokens(c *serving.Check, r *api.Sampling, def, least int) int {
	n := c.Int("n_predict", r.NPredict, def, -1, math.MaxInt32)
	return c.Int("max_tokens", r.MaxTokens, n, least, math.MaxInt32)
}

// choices are n jobs like j that differ in their seeds.
func choices(j *serving.Job, n int) []*serving.Job {
	jobs := make([]*serving.Job, n)
	for i := range jobs {
		one := *j
		one.Params.Seed = (one.Params.Seed + uint64(i)) % sample.RandomSeed
		jobs[i] = &one
	}
	return jobs
}

// usage adds up the results of all choices; the tokens of a prompt count once.
func usage(results []*serving.Result, perPrompt int) *api.Usage {
	u := &api.Usage{}
	for i, r := range results {
		u.CompletionTokens += r.Completion
		if i%perPrompt == 0 {
			u.PromptTokens += r.Prompt
			u.PromptTokensDetails.CachedTokens += r.Cached
		}
	}
	u.TotalTokens = u.PromptTokens + u.CompletionTokens
	return u
}

// timings are llama-server's, of one result.
func timings(r *serving.Result) *api.Timings {
	ms := serving.Milliseconds(r)
	drafted, accepted := ms.Drafts()
	return &api.Timings{
		CacheN: ms.Cached, PromptN: ms.Prompt, PromptMS: ms.PromptMS,
		PromptPerTokenMS: ms.PromptPerToken, PromptPerSecond: ms.PromptPerSecond,
		PredictedN: ms.Predicted, PredictedMS: ms.PredictedMS,
		PredictedPerTokenMS: ms.PredictedPerToken, PredictedPerSecond: ms.PredictedPerSecond,
		DraftN: drafted, DraftNAccepted: accepted,
	}
}
