package llamaserver

import (
	"context"
	"encoding/json"
	"math"

	api "github.com/penstock-llm/penstock/api/llamaserver"
	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// completion is POST /completion.
func completion(call *serving.Call) *serving.Error {
	var req api.CompletionRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	m, err := call.Acquire(req.Model)
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
	if j.Prompt, err = prompt(ctx, m.Deployment, req.Prompt); err != nil {
		return err
	}
	g, err := m.Start(ctx, j)
	if err != nil {
		return err
	}
	defer g.Close()
	w := &writer{model: m, jobs: []*serving.Job{j}}
	if req.Stream {
		return call.Stream(ctx, []*serving.Generation{g}, serving.SSE, newEncoder(w))
	}
	c, err := g.Collect(ctx)
	if err != nil {
		return err
	}
	a := w.final(0, c.Result)
	a.Content = c.Text
	if req.ReturnTokens {
		a.Tokens = c.IDs
	}
	a.Probabilities = w.probabilities(c.Tokens)
	return call.JSON(200, a)
}

func job(call *serving.Call, m *serving.Deployment, r *api.CompletionRequest) (*serving.Job, *serving.Error) {
	var c serving.Check
	refuse(&c, r)
	j := &serving.Job{
		MaxTokens: c.Int("n_predict", r.NPredict, c.Int("max_tokens", r.MaxTokens, -1, -1, math.MaxInt32), -2, math.MaxInt32),
		Stop:      c.Stops("stop", withoutEmpty(r.Stop)),
		IgnoreEOS: r.IgnoreEOS,
		Stream:    r.Stream,
		Priority:  call.Client.Priority,
		Client:    call.Client.Name,
	}
	p := &j.Params
	p.Temperature = max(c.Float("temperature", r.Temperature, 0.8, math.Inf(-1), 1000), 0)
	p.TopK = max(c.Int("top_k", r.TopK, 40, math.MinInt32, math.MaxInt32), 0)
	p.TopP = min(max(c.Float("top_p", r.TopP, 0.95, 0, math.MaxFloat32), 1e-9), 1)
	p.MinP = c.Float("min_p", r.MinP, 0.05, 0, 1)
	p.RepeatPenalty = c.Float("repeat_penalty", r.RepeatPenalty, 1, 0.01, 10)
	p.RepeatLastN = c.Int("repeat_last_n", r.RepeatLastN, 64, -1, math.MaxInt32)
	p.PresencePenalty = c.Float("presence_penalty", r.PresencePenalty, 0, -100, 100)
	p.FrequencyPenalty = c.Float("frequency_penalty", r.FrequencyPenalty, 0, -100, 100)
	if p.RepeatLastN == 0 { // llama-server: no penalties at all
		p.RepeatPenalty, p.PresencePenalty, p.FrequencyPenalty = 1, 0, 0
	}
	p.RepeatLastN = max(p.RepeatLastN, 0)
	if p.Seed = c.Seed(r.Seed); r.Seed != nil && *r.Seed < 0 {
		p.Seed = c.Seed(nil)
	}
	p.LogitBias = bias(&c, r.LogitBias, m.Tokenizer.Vocab())
	p.TopLogprobs = c.Int("n_probs", r.NProbs, 0, 0, 20)
	p.Logprobs = p.TopLogprobs > 0
	return j, c.Err()
}

// prompt makes the tokens of a request. An empty prompt is the beginning of any
// text.
func prompt(ctx context.Context, m *serving.Deployment, data json.RawMessage) (ids []int32, err *serving.Error) {
	p, err := parseMixed("prompt", data, m.Tokenizer.Vocab())
	if err == nil {
		err = m.Admit("prompt", 1)
	}
	if err == nil {
		err = m.Prepare(ctx, p.bytes(), func() (err *serving.Error) {
			ids, err = p.encode(true, m.Encode)
			return err
		})
	}
	if bos := m.Tokenizer.BOS(); len(ids) == 0 && bos >= 0 {
		ids = []int32{bos}
	}
	return ids, err
}

func withoutEmpty(words []string) []string {
	var kept []string
	for _, w := range words {
		if w != "" {
			kept = append(kept, w)
		}
	}
	return kept
}

// refuse turns down what would change the answer and is not implemented.
func refuse(c *serving.Check, r *api.CompletionRequest) {
	c.Inert("grammar", r.Grammar, `""`)
	c.Inert("json_schema", r.JSONSchema)
	c.Inert("mirostat", r.Mirostat, "0")
	c.Inert("dry_multiplier", r.DryMultiplier, "0", "0.0")
	c.Inert("xtc_probability", r.XTCProb, "0", "0.0")
	c.Inert("typical_p", r.TypicalP, "1", "1.0")
	c.Inert("dynatemp_range", r.DynatempRange, "0", "0.0")
	c.Inert("image_data", r.ImageData, "[]")
	c.Inert("n_indent", r.NIndent, "0")
	c.Inert("lora", r.Lora, "[]")
}

// bias reads {"id": value} or [[id, value]…]; false means never.
func bias(c *serving.Check, data json.RawMessage, vocab int) []sample.Bias {
	if len(data) == 0 || string(data) == "null" {
		return nil
	}
	m := map[string]float64{}
	if json.Unmarshal(data, &m) == nil {
		return c.Bias("logit_bias", m, vocab)
	}
	var pairs [][2]json.RawMessage
	if json.Unmarshal(data, &pairs) != nil {
		c.Fail(serving.Bad("logit_bias", "logit_bias must be an object or an array of pairs of token id and value"))
		return nil
	}
	for _, p := range pairs {
		v := -100.0
		if string(p[1]) != "false" && json.Unmarshal(p[1], &v) != nil {
			c.Fail(serving.Bad("logit_bias", "the values of logit_bias must be numbers, or false"))
		}
		m[string(p[0])] = v
	}
	return c.Bias("logit_bias", m, vocab)
}
