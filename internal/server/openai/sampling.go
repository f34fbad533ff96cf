package openai

import (
	"math"
	"strconv"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

const maxChoices = 128

// job checks the fields that both kinds of request share. The prompt and the
// limits of the answer are the caller's to add.
func job(c *serving.Check, r *api.Sampling, call *serving.Call, m *serving.Deployment) *serving.Job {
	refuse(c, &r.Unsupported, r.N)
	if r.StreamOptions != nil && !r.Stream {
		c.Fail(serving.Bad("stream_options", "stream_options is only allowed when stream is true"))
	}
	j := &serving.Job{
		Stop:        c.Stops("stop", r.Stop),
		StopTokens:  r.StopTokenIDs,
		IgnoreEOS:   r.IgnoreEOS,
		IncludeStop: r.IncludeStop,
		Special:     r.SkipSpecialTokens != nil && !*r.SkipSpecialTokens,
		Stream:      r.Stream,
		Priority:    call.Client.Priority,
		Client:      call.Client.Name,
	}
	if r.Priority != nil && *r.Priority > 0 { // as in vLLM: larger is later
		j.Priority = min(j.Priority, engine.Low)
	}
	vocab := m.Tokenizer.Vocab()
	c.Tokens("stop_token_ids", r.StopTokenIDs, vocab)
	p := &j.Params
	p.Temperature = c.Float("temperature", r.Temperature, 1, 0, 2)
	p.TopP = max(c.Float("top_p", r.TopP, 1, 0, 1), 1e-9) // 0: the likeliest token alone
	p.TopK = max(c.Int("top_k", r.TopK, 0, -1, math.MaxInt32), 0)
	p.MinP = c.Float("min_p", r.MinP, 0, 0, 1)
	p.PresencePenalty = c.Float("presence_penalty", r.PresencePenalty, 0, -2, 2)
	p.FrequencyPenalty = c.Float("frequency_penalty", r.FrequencyPenalty, 0, -2, 2)
	p.RepeatPenalty = c.Float("repetition_penalty", r.RepeatPenalty, 1, 0.01, 10)
	p.LogitBias = c.Bias("logit_bias", r.LogitBias, vocab)
	p.Seed = c.Seed(r.Seed)
	return j
}

// refuse turns down what would change the answer and is not implemented.
func refuse(c *serving.Check, u *api.Unsupported, n *int) {
	c.Inert("functions", u.Functions, "[]")
	c.Inert("function_call", u.FunctionCall, `"none"`, `"auto"`)
	c.Inert("response_format", u.ResponseFormat, `{"type":"text"}`)
	c.Inert("structured_outputs", u.StructuredOutputs, "{}")
	c.Inert("guided_json", u.GuidedJSON)
	c.Inert("guided_regex", u.GuidedRegex)
	c.Inert("guided_choice", u.GuidedChoice)
	c.Inert("guided_grammar", u.GuidedGrammar)
	c.Inert("grammar", u.Grammar, `""`)
	c.Inert("json_schema", u.JSONSchema)
	c.Inert("modalities", u.Modalities, `["text"]`)
	c.Inert("audio", u.Audio)
	c.Inert("prediction", u.Prediction)
	c.Inert("web_search_options", u.WebSearch)
	c.Inert("use_beam_search", u.UseBeamSearch, "false")
	c.Inert("min_tokens", u.MinTokens, "0")
	c.Inert("prompt_logprobs", u.PromptLogprobs)
	c.Inert("truncate_prompt_tokens", u.TruncatePrompt)
	c.Inert("suffix", u.Suffix, `""`)
	c.Inert("chat_template", u.ChatTemplate)
	c.Inert("documents", u.Documents, "[]")
	choices := 1
	if n != nil {
		choices = *n
	}
	c.Inert("best_of", u.BestOf, "1", strconv.Itoa(choices))
}

// choices are n jobs like j that differ in their seeds.
func choices(j *serving.Job, n int) []*serving.Job {
	jobs := make([]*serving.Job, n)
	for i := range jobs {
		one := *j
		one.Params.Seed += uint64(i)
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
	return &api.Timings{
		CacheN: ms.Cached, PromptN: ms.Prompt, PromptMS: ms.PromptMS,
		PromptPerTokenMS: ms.PromptPerToken, PromptPerSecond: ms.PromptPerSecond,
		PredictedN: ms.Predicted, PredictedMS: ms.PredictedMS,
		PredictedPerTokenMS: ms.PredictedPerToken, PredictedPerSecond: ms.PredictedPerSecond,
	}
}
