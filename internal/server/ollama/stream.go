package ollama

import (
	"encoding/json"
	"time"

	api "github.com/penstock-llm/penstock/api/ollama"
	wire "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/chat/answer"
	"github.com/penstock-llm/penstock/internal/server/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// encoder writes the lines of an answer. A call comes in one line, when its
// arguments are complete.
type encoder struct {
	model string
	start time.Time
	chat  bool

	loading time.Duration // that the request has waited for its model

	raw bool    // the prompt was raw: there is no context
	ids []int32 // of the context, for generate

	tokens   *serving.Deployment // whose tokens they are
	logprobs []wire.TokenLogprob // of tokens whose text has not been written

	call      *chat.Call // that is being written
	arguments []byte     // its arguments so far
	calls     int        // that were written
}

// Begin appends nothing: the first line has the first text.
func (e *encoder) Begin(*serving.Frames, int) {}

// Delta appends a line for each part of the answer.
func (e *encoder) Delta(f *serving.Frames, _ int, d serving.Delta) {
	if !e.chat && !e.raw {
		e.ids = append(e.ids, d.IDs...)
	}
	e.logprobs = append(e.logprobs, openai.TokenLogprobs(e.tokens, d.Tokens)...)
	for _, p := range d.Parts {
		if p.Kind == answer.Call {
			if p.Name != "" {
				e.endCall(f)
				e.call, e.arguments = &chat.Call{ID: p.ID, Name: p.Name}, e.arguments[:0]
			}
			e.arguments = append(e.arguments, p.Text...)
			continue
		}
		e.endCall(f)
		e.text(f, p)
	}
}

// text appends a line by hand: there is one for every token.
func (e *encoder) text(f *serving.Frames, p answer.Part) {
	f.Open()
	b := serving.AppendQuoted(append(f.Buf, `{"model":`...), e.model)
	b = append(b, `,"created_at":"`...)
	b = time.Now().UTC().AppendFormat(b, time.RFC3339Nano)
	switch {
	case e.chat && p.Kind == answer.Reasoning:
		b = append(b, `","message":{"role":"assistant","content":"","thinking":"`...)
	case e.chat:
		b = append(b, `","message":{"role":"assistant","content":"`...)
	case p.Kind == answer.Reasoning:
		b = append(b, `","response":"","thinking":"`...)
	default:
		b = append(b, `","response":"`...)
	}
	b = append(serving.AppendJSON(b, p.Text), '"')
	if e.chat {
		b = append(b, '}')
	}
	f.Buf = append(e.appendLogprobs(b), `,"done":false}`...)
	f.Close()
}

// appendLogprobs appends those of the tokens that the line has.
func (e *encoder) appendLogprobs(b []byte) []byte {
	if len(e.logprobs) == 0 {
		return b
	}
	list, _ := json.Marshal(e.logprobs)
	e.logprobs = e.logprobs[:0]
	return append(append(b, `,"logprobs":`...), list...)
}

// endCall appends the call that was being written.
func (e *encoder) endCall(f *serving.Frames) {
	if e.call == nil {
		return
	}
	e.call.Arguments = string(e.arguments)
	f.JSON(api.ChatResponse{Model: e.model, CreatedAt: now(), Message: api.Message{Role: "assistant", ToolCalls: []api.ToolCall{toolCall(e.calls, *e.call)}}})
	e.call = nil
	e.calls++
}

// End appends the last call.
func (e *encoder) End(f *serving.Frames, _ int, _ *serving.Result) { e.endCall(f) }

// Finish appends the line with the counts and durations.
func (e *encoder) Finish(f *serving.Frames, results []*serving.Result) {
	r := results[0]
	if e.chat {
		f.JSON(api.ChatResponse{Model: e.model, CreatedAt: now(), Message: api.Message{Role: "assistant"}, Done: true, DoneReason: r.Reason, Metrics: metrics(r, e.start, e.loading), Logprobs: e.logprobs})
		return
	}
	last := api.GenerateResponse{Model: e.model, CreatedAt: now(), Done: true, DoneReason: r.Reason, Metrics: metrics(r, e.start, e.loading), Logprobs: e.logprobs}
	if !e.raw {
		last.Context = e.ids
	}
	f.JSON(last)
}

// Fail appends a line with the error.
func (e *encoder) Fail(f *serving.Frames, err *serving.Error) { f.JSON(api.Error{Error: err.Message}) }

// Ping appends a line without text, which clients add to the answer as nothing.
func (e *encoder) Ping(f *serving.Frames) { e.text(f, answer.Part{}) }
