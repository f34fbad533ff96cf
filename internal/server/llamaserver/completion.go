package llamaserver

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

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
	return generate(call, &req.Generation, func(ctx context.Context, m *serving.Deployment) ([][]int32, *serving.Error) {
		return prompts(ctx, call, m, req.Prompt)
	})
}

// generate answers a request for text, whose prompts prepare makes after the
// other fields were checked.
func generate(call *serving.Call, r *api.Generation, prepare func(context.Context, *serving.Deployment) ([][]int32, *serving.Error)) *serving.Error {
	m, err := call.AcquireFor(r.Model, serving.Opens(r.Stream, serving.SSE, &encoder{}))
	if err != nil {
		return err
	}
	defer m.Release()
	ctx, cancel := call.Context()
	defer cancel()
	j, err := job(call, m.Deployment, r)
	if err != nil {
		return err
	}
	list, err := prepare(ctx, m.Deployment)
	if err != nil {
		return err
	}
	jobs := make([]*serving.Job, len(list))
	for i, ids := range list {
		one := *j
		one.Prompt = ids
		jobs[i] = &one
	}
	gens, err := m.StartAll(ctx, jobs)
	if err != nil {
		return err
	}
	defer serving.CloseAll(gens)
	w := &writer{model: m, request: r, jobs: jobs, gens: gens}
	if r.Stream {
		return call.Stream(ctx, gens, serving.SSE, newEncoder(w))
	}
	all, err := serving.CollectAll(ctx, gens)
	if err != nil {
		return err
	}
	return call.JSON(200, w.answer(all))
}

// answer is the whole answer, an array if there are several prompts.
func (w *writer) answer(all []*serving.Collected) any {
	answers := make([]any, len(all))
	for i, c := range all {
		a := w.final(i, c.Result)
		a.Content = c.Text
		if w.request.ReturnTokens {
			a.Tokens = append([]int32{}, c.IDs...)
		}
		a.Probabilities = w.probabilities(c.Tokens)
		answers[i] = w.only(a)
	}
	if len(answers) == 1 {
		return answers[0]
	}
	return answers
}

// job makes the job of a request but for its prompt.
func job(call *serving.Call, m *serving.Deployment, r *api.Generation) (*serving.Job, *serving.Error) {
	var c serving.Check
	f := r.Fields
	f.Stop = slices.DeleteFunc(f.Stop, func(text string) bool { return text == "" })
	j := c.Job(call, m, &f, serving.Lenient)
	j.MaxTokens = c.Int("n_predict", r.NPredict, c.Int("max_tokens", r.MaxTokens, -1, -1, math.MaxInt32), -2, math.MaxInt32)
	j.Stream, j.Progress = r.Stream, r.Stream && r.ReturnProgress
	j.Params.TopLogprobs = c.Int("n_probs", r.NProbs, 0, 0, sample.MaxTop)
	j.Params.Logprobs = j.Params.TopLogprobs > 0
	j.Params.PostProbs = r.PostSamplingProbs
	return j, c.Err()
}

// maxPrompts is the largest number of prompts of one request.
const maxPrompts = 128

// prompts makes the tokens of a request's prompts. An empty prompt is the
// beginning of any text.
func prompts(ctx context.Context, call *serving.Call, m *serving.Deployment, data json.RawMessage) ([][]int32, *serving.Error) {
	all, err := parsePrompts("prompt", data, m.Tokenizer.Vocab(), maxPrompts)
	if err != nil {
		return nil, err
	}
	if err := m.Admit(call, "prompt", len(all)); err != nil {
		return nil, err
	}
	bytes := 0
	for _, p := range all {
		bytes += p.bytes()
	}
	list := make([][]int32, len(all))
	return list, m.Prepare(ctx, bytes, func() (err *serving.Error) {
		for i, p := range all {
			if list[i], err = p.encode(true, m.Encode); err != nil {
				return err
			}
			if bos := m.Tokenizer.BOS(); len(list[i]) == 0 && bos >= 0 {
				list[i] = []int32{bos}
			}
		}
		return nil
	})
}

// parsePrompts reads one prompt, or an array of them: texts, arrays of token ids,
// arrays of both, or objects with a text. An array that has a token id itself is one prompt.
func parsePrompts(param string, data json.RawMessage, vocab, most int) ([]mixed, *serving.Error) {
	var parts []json.RawMessage
	several := json.Unmarshal(data, &parts) == nil && len(parts) > 0
	for _, part := range parts {
		several = several && (part[0] == '"' || part[0] == '[' || part[0] == '{')
	}
	if !several {
		p, err := parseMixed(param, data, vocab)
		return []mixed{p}, err
	}
	if len(parts) > most {
		return nil, serving.Bad(param, "%s must have at most %d elements", param, most)
	}
	all := make([]mixed, len(parts))
	for i, part := range parts {
		var err *serving.Error
		if all[i], err = parseMixed(fmt.Sprintf("%s[%d]", param, i), part, vocab); err != nil {
			return nil, err
		}
	}
	return all, nil
}
