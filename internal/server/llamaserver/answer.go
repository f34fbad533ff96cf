package llamaserver

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	api "github.com/penstock-llm/penstock/api/llamaserver"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// writer makes the answers of one request, streamed or not.
type writer struct {
	model *serving.Lease
	jobs  []*serving.Job // one for each prompt
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
		GenerationSettings: settings(j),
		Prompt:             &prompt,
		Truncated:          &no,
		StopType:           "limit",
		StoppingWord:       &r.StopWord,
		TokensCached:       &r.Cached,
		Timings:            timings(r),
	}
	switch {
	case r.StopWord != "":
		a.StopType = "word"
	case r.Reason == "stop":
		a.StopType = "eos"
	}
	return a
}

func timings(r *serving.Result) *api.Timings {
	t := serving.Milliseconds(r)
	return &api.Timings{
		CacheN: t.Cached, PromptN: t.Prompt, PromptMS: t.PromptMS, PromptPerTokenMS: t.PromptPerToken, PromptPerSecond: t.PromptPerSecond,
		PredictedN: t.Predicted, PredictedMS: t.PredictedMS, PredictedPerTokenMS: t.PredictedPerToken, PredictedPerSecond: t.PredictedPerSecond,
	}
}

// settings are the parameters that a job ran with.
func settings(j *serving.Job) *api.Settings {
	p := j.Params
	s := &api.Settings{
		NPredict: j.MaxTokens, Seed: p.Seed, Temperature: round(p.Temperature), TopK: p.TopK, TopP: round(p.TopP), MinP: round(p.MinP),
		RepeatLastN: p.RepeatLastN, RepeatPenalty: round(p.RepeatPenalty), PresencePenalty: round(p.PresencePenalty),
		FrequencyPenalty: round(p.FrequencyPenalty), Stop: j.Stop, IgnoreEOS: j.IgnoreEOS, Stream: j.Stream, NProbs: p.TopLogprobs,
	}
	if s.Stop == nil {
		s.Stop = []string{}
	}
	return s
}

// round hides that a parameter such as 0.8 was kept as a float32.
func round(v float32) float64 { return math.Round(float64(v)*1e6) / 1e6 }

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
		p := api.TokenLogprobs{ID: t.ID, Logprob: finite(t.Logprob), TopLogprobs: []api.TokenLogprob{}}
		p.Token, p.Bytes = w.piece(t.ID)
		for _, alt := range t.Top {
			text, raw := w.piece(alt.Token)
			p.TopLogprobs = append(p.TopLogprobs, api.TokenLogprob{ID: alt.Token, Token: text, Bytes: raw, Logprob: finite(alt.Value)})
		}
		out = append(out, p)
	}
	return out
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
	counts []int // tokens so far, of each prompt
}

func newEncoder(w *writer) *encoder { return &encoder{writer: w, counts: make([]int, len(w.jobs))} }

// Begin appends nothing: the first message has text.
func (e *encoder) Begin(*serving.Frames, int) {}

// Delta appends text, tokens and, where wanted, their probabilities.
func (e *encoder) Delta(f *serving.Frames, index int, d serving.Delta) {
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
	f.Buf = append(f.Buf, '}')
	f.Close()
}

// End appends everything about a prompt's generation.
func (e *encoder) End(f *serving.Frames, index int, r *serving.Result) { f.JSON(e.final(index, r)) }

// Finish appends nothing: the clients stop at the message that says so.
func (e *encoder) Finish(*serving.Frames, []*serving.Result) {}

// Fail appends an error in the form of an answer's.
func (e *encoder) Fail(f *serving.Frames, err *serving.Error) { f.JSON(errorBody(err)) }

// Ping appends a comment.
func (e *encoder) Ping(f *serving.Frames) { f.Comment("ping") }
