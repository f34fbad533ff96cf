package llamaserver

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	api "github.com/penstock-llm/penstock/api/llamaserver"
	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// writer makes the answers of one request, streamed or not.
type writer struct {
	model   *serving.Lease
	request *api.Generation
	jobs    []*serving.Job // one for each prompt
	gens    []*serving.Generation
}

// final is the last message of a prompt's stream, or its answer but for the
// text.
func (w *writer) final(index int, r *serving.Result) *api.Completion {
	j := w.jobs[index]
	prompt := w.model.Tokenizer.Decode(j.Prompt, true)
	no := false
	a := &api.Completion{
		Index:              index,
		Tokens:             []int32{},
		Stop:               true,
		Model:              w.model.Name,
		TokensPredicted:    r.Completion,
		TokensEvaluated:    r.Prompt,
		GenerationSettings: settings(j, w.request),
		Prompt:             &prompt,
		Truncated:          &no,
		StopType:           "limit",
		StoppingWord:       &r.StopWord,
		TokensCached:       &r.Cached,
		Timings:            timings(serving.Milliseconds(r)),
	}
	switch {
	case r.StopWord != "":
		a.StopType = "word"
	case r.Reason == "stop":
		a.StopType = "eos"
	}
	return a
}

func timings(t serving.Timing) *api.Timings {
	drafted, accepted := t.Drafts()
	return &api.Timings{
		CacheN: t.Cached, PromptN: t.Prompt, PromptMS: t.PromptMS, PromptPerTokenMS: t.PromptPerToken, PromptPerSecond: t.PromptPerSecond,
		PredictedN: t.Predicted, PredictedMS: t.PredictedMS, PredictedPerTokenMS: t.PredictedPerToken, PredictedPerSecond: t.PredictedPerSecond,
		DraftN: drafted, DraftNAccepted: accepted,
	}
}

// settings are the parameters that a job ran with, in a form that can be sent.
func settings(j *serving.Job, r *api.Generation) *api.Settings {
	p := &j.Params
	return &api.Settings{
		NPredict:            j.MaxTokens,
		Seed:                uint32(p.Seed),
		Temperature:         serving.Decimal(p.Temperature),
		DynatempRange:       serving.Decimal(p.DynatempRange),
		DynatempExponent:    serving.Decimal(p.DynatempExponent),
		TopK:                p.TopK,
		TopP:                serving.Decimal(p.TopP),
		MinP:                serving.Decimal(p.MinP),
		TopNSigma:           serving.Decimal(p.TopNSigma),
		XTCProbability:      serving.Decimal(p.XTCProbability),
		XTCThreshold:        serving.Decimal(p.XTCThreshold),
		TypicalP:            serving.Decimal(p.TypicalP),
		RepeatLastN:         p.RepeatLastN,
		RepeatPenalty:       serving.Decimal(p.RepeatPenalty),
		PresencePenalty:     serving.Decimal(p.PresencePenalty),
		FrequencyPenalty:    serving.Decimal(p.FrequencyPenalty),
		DryMultiplier:       serving.Decimal(p.DRY.Multiplier),
		DryBase:             serving.Decimal(p.DRY.Base),
		DryAllowedLength:    p.DRY.AllowedLength,
		DryPenaltyLastN:     p.DRY.LastN,
		DrySequenceBreakers: list(j.Breakers),
		Samplers:            samplers(p.Order),
		MinKeep:             p.MinKeep,
		LogitBias:           biases(p.LogitBias),
		MinTokens:           p.MinTokens,
		BadWords:            list(j.BadWords),
		AllowedTokenIDs:     r.AllowedTokenIDs,
		Stop:                list(j.Stop),
		StopTokenIDs:        list(j.StopTokens),
		IgnoreEOS:           j.IgnoreEOS,
		TMaxPredictMS:       int(j.MaxPredict.Milliseconds()),
		CachePrompt:         !j.NoPrefix,
		Stream:              j.Stream,
		NProbs:              p.TopLogprobs,
		PostSamplingProbs:   r.PostSamplingProbs,
		ReturnTokens:        r.ReturnTokens,
		TimingsPerToken:     r.TimingsPerToken,
		ReturnProgress:      j.Progress,
		ResponseFields:      r.ResponseFields,
	}
}

// list is v, which is [] in JSON even if there is nothing in it.
func list[T any](v []T) []T { return append([]T{}, v...) }

func samplers(order []sample.Stage) []string {
	if order == nil {
		order = sample.DefaultOrder
	}
	names := make([]string, len(order))
	for i, stage := range order {
		names[i] = stage.String()
	}
	return names
}

func biases(list []sample.Bias) []api.Bias {
	out := make([]api.Bias, len(list))
	for i, b := range list {
		out[i] = api.Bias{b.Token, b.Value}
		if math.IsInf(float64(b.Value), -1) {
			out[i][1] = false
		}
	}
	return out
}

// only keeps the fields of an answer that the request named, a/b being b in a. A
// field that is not there is left out.
func (w *writer) only(a *api.Completion) any {
	if len(w.request.ResponseFields) == 0 {
		return a
	}
	data, err := json.Marshal(a)
	var whole map[string]any
	if err != nil || json.Unmarshal(data, &whole) != nil {
		return a
	}
	some := map[string]any{}
	for _, path := range w.request.ResponseFields {
		var v any = whole
		there := true
		for key := range strings.SplitSeq(path, "/") {
			object, _ := v.(map[string]any)
			if v, there = object[key]; !there {
				break
			}
		}
		if there {
			some[path] = v
		}
	}
	return some
}

// soFar are the timings of a generation that runs: predicted tokens since the
// first of them came.
func (w *writer) soFar(index, predicted int, first time.Time) *api.Timings {
	p := w.gens[index].Progress()
	t := serving.Rates(p.Prefill, time.Since(first), p.Prompt-p.Cached, predicted)
	t.Cached = p.Cached
	return timings(t)
}

// finite is p, or the lowest float32 in place of minus infinity, which JSON does
// not have. llama-server does the same.
func finite(p float32) float32 {
	if p >= -math.MaxFloat32 {
		return p
	}
	return -math.MaxFloat32
}

func (w *writer) probabilities(tokens []serving.TokenInfo) []api.TokenLogprobs {
	var out []api.TokenLogprobs
	for _, t := range tokens {
		top := []api.TokenLogprob{}
		for _, alt := range t.Top {
			top = append(top, w.probability(alt.Token, alt.Value))
		}
		p := api.TokenLogprobs{TokenLogprob: w.probability(t.ID, t.Logprob)}
		if w.request.PostSamplingProbs {
			p.TopProbs = top
		} else {
			p.TopLogprobs = top
		}
		out = append(out, p)
	}
	return out
}

// probability is a token with its log-probability, or with post_sampling_probs
// its probability.
func (w *writer) probability(id int32, logprob float32) api.TokenLogprob {
	t := api.TokenLogprob{ID: id}
	t.Token, t.Bytes = w.piece(id)
	if w.request.PostSamplingProbs {
		prob := float32(math.Exp(float64(logprob)))
		t.Prob = &prob
	} else {
		logprob = finite(logprob)
		t.Logprob = &logprob
	}
	return t
}

// piece is a token's text and bytes; bytes that are no character show as U+FFFD.
func (w *writer) piece(id int32) (string, []int) {
	b := w.model.Tokenizer.Piece(id)
	raw := make([]int, len(b))
	for i, x := range b {
		raw[i] = int(x)
	}
	return strings.ToValidUTF8(string(b), string(utf8.RuneError)), raw
}

// encoder writes the stream of a completion: a message for what has come since
// the last, and a last one with everything about the generation.
type encoder struct {
	*writer
	counts []int       // tokens so far, of each prompt
	first  []time.Time // when the first of them came
	begun  []time.Time // of each prompt, when its computation began; with return_progress
}

func newEncoder(w *writer) *encoder {
	return &encoder{writer: w, counts: make([]int, len(w.jobs)), first: make([]time.Time, len(w.jobs)), begun: make([]time.Time, len(w.jobs))}
}

// Begin appends nothing: the first message has text.
func (e *encoder) Begin(*serving.Frames, int) {}

// Delta appends text, tokens and, where wanted, their probabilities.
func (e *encoder) Delta(f *serving.Frames, index int, d serving.Delta) {
	if e.counts[index] == 0 {
		e.first[index] = time.Now()
	}
	e.counts[index] += len(d.IDs)
	f.Open()
	b := append(f.Buf, `{"index":`...)
	b = strconv.AppendInt(b, int64(index), 10)
	b = append(b, `,"content":"`...)
	b = serving.AppendJSON(b, d.Text)
	b = append(b, `","tokens":[`...)
	for i, id := range d.IDs {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(id), 10)
	}
	b = append(b, `],"id_slot":0,"stop":false,"tokens_predicted":`...)
	b = strconv.AppendInt(b, int64(e.counts[index]), 10)
	b = append(b, `,"tokens_evaluated":`...)
	f.Buf = strconv.AppendInt(b, int64(len(e.jobs[index].Prompt)), 10)
	if len(d.Tokens) > 0 {
		f.Buf = append(f.Buf, `,"completion_probabilities":`...)
		f.Value(e.probabilities(d.Tokens))
	}
	switch {
	case d.Progress:
		f.Buf = append(f.Buf, `,"prompt_progress":`...)
		f.Value(e.progress(index))
	case e.request.TimingsPerToken:
		f.Buf = append(f.Buf, `,"timings":`...)
		f.Value(e.soFar(index, e.counts[index], e.first[index]))
	}
	f.Buf = append(f.Buf, '}')
	f.Close()
}

// progress is how much of a prompt is computed.
func (e *encoder) progress(index int) api.Progress {
	if e.begun[index].IsZero() {
		e.begun[index] = time.Now()
	}
	p := e.gens[index].Progress()
	return api.Progress{Total: p.Prompt, Cache: p.Cached, Processed: p.Computed, TimeMS: time.Since(e.begun[index]).Milliseconds()}
}

// End appends everything about a prompt's generation.
func (e *encoder) End(f *serving.Frames, index int, r *serving.Result) {
	f.JSON(e.only(e.final(index, r)))
}

// Finish appends nothing: the clients stop at the message that says so.
func (e *encoder) Finish(*serving.Frames, []*serving.Result) {}

// Fail appends an error in the form of an answer's.
func (e *encoder) Fail(f *serving.Frames, err *serving.Error) { f.JSON(errorBody(err)) }

// Ping appends a comment.
func (e *encoder) Ping(f *serving.Frames) { f.Comment("ping") }
