package openai

import (
	"context"
	"fmt"
	"unicode/utf8"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// completions is POST /v1/completions.
func completions(call *serving.Call) *serving.Error {
	var req api.CompletionRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	m, err := call.AcquireFor(req.Model, serving.Opens(req.Stream, serving.SSE, &envelope{}))
	if err != nil {
		return err
	}
	defer m.Release()
	ctx, cancel := call.Context()
	defer cancel()
	w, err := completionWork(ctx, call, m.Deployment, &req)
	if err != nil {
		return err
	}
	gens, err := m.StartAll(ctx, w.jobs)
	if err != nil {
		return err
	}
	defer serving.CloseAll(gens)
	h := head{id: serving.NewID("cmpl-"), object: "text_completion", model: m.Name, created: call.Start.Unix()}
	if req.Stream {
		enc := newTextEncoder(newEnvelope(m.Deployment, h, &req.Sampling, w.best), w, req.Logprobs != nil)
		return call.Stream(ctx, gens, serving.SSE, enc)
	}
	all, err := serving.CollectAll(ctx, gens)
	if err != nil {
		return err
	}
	return call.JSON(200, completionAnswer(m.Deployment, h, all, w, req.Logprobs != nil))
}

// work are the jobs of a completion request: best for each prompt, of which n
// become choices.
type work struct {
	jobs    []*serving.Job
	n, best int
	echoed  []string // of each job: the prompt's text if it is to be repeated
}

func completionWork(ctx context.Context, call *serving.Call, m *serving.Deployment, req *api.CompletionRequest) (*work, *serving.Error) {
	var c serving.Check
	j := job(&c, &req.Sampling, call, m)
	w := &work{n: count(&c, &req.Sampling)}
	j.MaxTokens = maxTokens(&c, &req.Sampling, 16, 0)
	j.Params.TopLogprobs = c.Int("logprobs", req.Logprobs, 0, 0, 20)
	w.best = bestOf(&c, req, w.n)
	j.Params.Logprobs = req.Logprobs != nil || w.best > w.n
	j.Echo = req.Echo && req.Logprobs != nil
	size := checkPrompts(&c, m, req)
	if err := c.Err(); err != nil {
		return nil, err
	}
	prompts := max(len(req.Prompt.Texts), len(req.Prompt.Tokens))
	total := prompts * w.best
	param := "n"
	switch {
	case prompts > w.best:
		param = "prompt"
	case w.best > w.n:
		param = "best_of"
	}
	if total > maxChoices {
		return nil, serving.Bad(param, "%d prompts with %d answers each are %d, more than %d", prompts, w.best, total, maxChoices)
	}
	if err := m.Admit(call, param, total); err != nil {
		return nil, err
	}
	var encoded []completionPrompt
	err := m.Prepare(ctx, size, func() (err *serving.Error) {
		encoded, err = encodePrompts(m, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, p := range encoded {
		one := *j
		one.Prompt = p.ids
		w.jobs = append(w.jobs, choices(&one, w.best)...)
		for range w.best {
			if req.Echo {
				w.echoed = append(w.echoed, p.text(m))
			}
		}
	}
	return w, nil
}

type completionPrompt struct {
	ids   []int32
	given *string // the text that the ids came from
}

func (p completionPrompt) text(m *serving.Deployment) string {
	if p.given != nil {
		return *p.given
	}
	return m.Tokenizer.Decode(p.ids, false)
}

// checkPrompts checks the prompts before any is encoded, and returns how many
// bytes of text they are.
func checkPrompts(c *serving.Check, m *serving.Deployment, req *api.CompletionRequest) (bytes int) {
	p := &req.Prompt
	if len(p.Texts)+len(p.Tokens) == 0 {
		c.Fail(serving.Bad("prompt", "prompt must be a string, an array of strings, of token ids, or of arrays of token ids, and not empty"))
	}
	if len(p.Texts)+len(p.Tokens) > maxChoices {
		c.Fail(serving.Bad("prompt", "prompt must have at most %d elements", maxChoices))
	}
	for _, text := range p.Texts {
		bytes += len(text) + len(req.Suffix)
	}
	if req.Suffix != "" {
		checkSuffix(c, m, req)
	}
	for i, ids := range p.Tokens {
		param := "prompt"
		if p.Many {
			param = fmt.Sprintf("prompt[%d]", i)
		}
		if len(ids) == 0 {
			c.Fail(serving.Bad(param, "%s must not be empty", param))
		}
		c.Tokens(param, ids, m.Tokenizer.Vocab())
	}
	return bytes
}

// checkSuffix checks that the model can fill the gap between prompt and suffix.
// The log-probabilities of an echoed prompt would be those of another text.
func checkSuffix(c *serving.Check, m *serving.Deployment, req *api.CompletionRequest) {
	switch err := m.CanInfill("suffix"); {
	case err != nil:
		c.Fail(err)
	case len(req.Prompt.Tokens) > 0:
		c.Fail(serving.Bad("suffix", "suffix can be used only with prompts that are texts"))
	case req.Echo && req.Logprobs != nil:
		c.Fail(serving.Bad("suffix", "suffix cannot be used together with echo and logprobs"))
	}
}

func encodePrompts(m *serving.Deployment, req *api.CompletionRequest) ([]completionPrompt, *serving.Error) {
	if req.Suffix != "" {
		return encodeGaps(m, req)
	}
	special := req.AddSpecialTokens == nil || *req.AddSpecialTokens
	var prompts []completionPrompt
	for i := range req.Prompt.Texts {
		text := &req.Prompt.Texts[i]
		ids, err := m.Encode(*text, special)
		if err != nil {
			return nil, err
		}
		if bos := m.Tokenizer.BOS(); len(ids) == 0 && bos >= 0 {
			ids = []int32{bos} // an empty prompt is the beginning of any text
		}
		prompts = append(prompts, completionPrompt{ids, text})
	}
	for _, ids := range req.Prompt.Tokens {
		prompts = append(prompts, completionPrompt{ids: ids})
	}
	return prompts, nil
}

// encodeGaps makes prompts in which the model fills the gap before the suffix.
func encodeGaps(m *serving.Deployment, req *api.CompletionRequest) ([]completionPrompt, *serving.Error) {
	var prompts []completionPrompt
	for i := range req.Prompt.Texts {
		text := &req.Prompt.Texts[i]
		ids, err := m.EncodeInfill(&serving.Infill{Prefix: *text, Suffix: req.Suffix})
		if err != nil {
			return nil, err
		}
		prompts = append(prompts, completionPrompt{ids, text})
	}
	return prompts, nil
}

func completionAnswer(m *serving.Deployment, h head, all []*serving.Collected, w *work, logprobs bool) *api.Completion {
	a := &api.Completion{ID: h.id, Object: h.object, Created: h.created, Model: h.model}
	results := make([]*serving.Result, len(all))
	for i, g := range all {
		results[i] = g.Result
	}
	for at, i := range w.chosen(all) {
		g := all[i]
		choice := api.CompletionChoice{
			Index:        at,
			Text:         w.echo(i) + g.Text,
			FinishReason: &g.Result.Reason,
			StopReason:   stopReason(g.Result),
		}
		if logprobs {
			l := newTextLogprobs(m, w.echo(i))
			l.text.add([]byte(g.Text))
			choice.Logprobs = l.add(g.Tokens)
		}
		a.Choices = append(a.Choices, choice)
	}
	a.Usage = usage(results, w.best)
	a.Timings = timings(results[0])
	return a
}

func (w *work) echo(i int) string {
	if w.echoed == nil {
		return ""
	}
	return w.echoed[i]
}

// charCount turns byte offsets of a text that grows into character offsets.
type charCount struct {
	chars []int32 // [bytes] the character that each byte belongs to
	n     int32   // characters that have begun
}

// add appends bytes, which may begin or end within a character.
func (c *charCount) add(text []byte) {
	for _, b := range text {
		if utf8.RuneStart(b) || c.n == 0 {
			c.n++
		}
		c.chars = append(c.chars, c.n-1)
	}
}

func (c *charCount) at(offset int) int {
	if offset >= len(c.chars) {
		return int(c.n)
	}
	return int(c.chars[offset])
}
