package openai

import (
	"strconv"
	"time"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/chat/answer"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// envelope is what is the same in every message of a stream.
type envelope struct {
	head      []byte // {…,"choices":[
	model     *serving.Deployment
	usage     bool // the client wants a last message with the usage
	perPrompt int  // choices of one prompt
}

// head is what an answer begins with, and each message of a stream.
type head struct {
	id, object string
	model      string // as the client called it
	created    int64
}

func newEnvelope(m *serving.Deployment, h head, r *api.Sampling, perPrompt int) envelope {
	b := append([]byte(`{"id":"`), h.id...)
	b = append(b, `","object":"`...)
	b = append(b, h.object...)
	b = append(b, `","created":`...)
	b = strconv.AppendInt(b, h.created, 10)
	b = append(b, `,"model":`...)
	b = serving.AppendQuoted(b, h.model)
	b = append(b, `,"choices":[`...)
	return envelope{head: b, model: m, usage: r.StreamOptions != nil && r.StreamOptions.IncludeUsage, perPrompt: perPrompt}
}

// open appends a message up to the index of its choice.
func (e *envelope) open(f *serving.Frames, choice int) {
	f.Open()
	b := append(f.Buf, e.head...)
	b = append(b, `{"index":`...)
	f.Buf = strconv.AppendInt(b, int64(choice), 10)
}

// close ends a message. Where the client wants the usage, every message but the
// last has a usage of null.
func (e *envelope) close(f *serving.Frames) {
	if e.usage {
		f.Buf = append(f.Buf, `}],"usage":null}`...)
	} else {
		f.Buf = append(f.Buf, "}]}"...)
	}
	f.Close()
}

// end appends why a choice ended, and closes its last message. The timings go
// into the last message that the choice is part of, as llama-server's do.
func (e *envelope) end(f *serving.Frames, r *serving.Result, reason string) {
	f.Buf = append(f.Buf, `,"finish_reason":"`...)
	f.Buf = append(f.Buf, reason...)
	f.Buf = append(f.Buf, '"')
	if reason := stopReason(r); reason != nil {
		f.Buf = append(f.Buf, `,"stop_reason":`...)
		f.Value(reason)
	}
	if e.usage {
		e.close(f)
		return
	}
	f.Buf = append(f.Buf, `}],"timings":`...)
	f.Value(timings(r))
	f.Buf = append(f.Buf, '}')
	f.Close()
}

// Finish appends the usage if it is wanted, and the mark of the end.
func (e *envelope) Finish(f *serving.Frames, results []*serving.Result) {
	if e.usage {
		f.Open()
		f.Buf = append(f.Buf, e.head...)
		f.Buf = append(f.Buf, `],"usage":`...)
		f.Value(usage(results, e.perPrompt))
		f.Buf = append(f.Buf, `,"timings":`...)
		f.Value(timings(results[0]))
		f.Buf = append(f.Buf, '}')
		f.Close()
	}
	f.Text("[DONE]")
}

// Fail appends an error in the form of an answer's.
func (e *envelope) Fail(f *serving.Frames, err *serving.Error) {
	f.JSON(errorBody(err))
	f.Text("[DONE]")
}

// Ping appends a comment.
func (e *envelope) Ping(f *serving.Frames) { f.Comment("ping") }

// appendLogprobs appends the logprobs member; l may be nil.
func appendLogprobs(f *serving.Frames, l any) {
	f.Buf = append(f.Buf, `,"logprobs":`...)
	if l == nil {
		f.Buf = append(f.Buf, "null"...)
		return
	}
	f.Value(l)
}

// chatEncoder writes the stream of a chat completion.
type chatEncoder struct {
	envelope
	logprobs bool
	legacy   bool // a call is a function_call
	hidden   bool // what the model thinks is left out
	gens     []*serving.Generation
	begun    []time.Time // of each choice, when the first news of its prompt came
}

// Begin appends the role, which comes with an empty text.
func (e *chatEncoder) Begin(f *serving.Frames, choice int) {
	e.open(f, choice)
	f.Buf = append(f.Buf, `,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null`...)
	e.close(f)
}

// progress appends a message that says how much of the prompt is computed.
func (e *chatEncoder) progress(f *serving.Frames, choice int) {
	if e.begun == nil {
		e.begun = make([]time.Time, len(e.gens))
	}
	if e.begun[choice].IsZero() {
		e.begun[choice] = time.Now()
	}
	p := e.gens[choice].Progress()
	e.open(f, choice)
	f.Buf = append(f.Buf, `,"delta":{},"logprobs":null,"finish_reason":null}],"prompt_progress":`...)
	f.Value(api.Progress{Total: p.Prompt, Cache: p.Cached, Processed: p.Computed, TimeMS: time.Since(e.begun[choice]).Milliseconds()})
	if e.usage {
		f.Buf = append(f.Buf, `,"usage":null`...)
	}
	f.Buf = append(f.Buf, '}')
	f.Close()
}

// Delta appends a message for each part. Log-probabilities, of which one part
// may have several and several parts one, come with the first.
func (e *chatEncoder) Delta(f *serving.Frames, choice int, d serving.Delta) {
	if d.Progress {
		e.progress(f, choice)
		if len(d.Parts)+len(d.Tokens) == 0 {
			return
		}
	}
	if e.hidden {
		d.Parts = spoken(d.Parts)
		if len(d.Parts) == 0 && !e.logprobs {
			return
		}
	}
	if len(d.Parts) == 0 {
		d.Parts = noText
	}
	for i, p := range d.Parts {
		e.open(f, choice)
		f.Buf = append(f.Buf, `,"delta":{`...)
		if e.legacy && p.Kind == answer.Call {
			f.Buf = appendLegacyCall(f.Buf, p.Name, p.Text)
		} else {
			f.Buf = appendPart(f.Buf, p)
		}
		f.Buf = append(f.Buf, '}')
		if e.logprobs && i == 0 {
			appendLogprobs(f, chatLogprobs(e.model, d.Tokens))
		} else {
			appendLogprobs(f, nil)
		}
		f.Buf = append(f.Buf, `,"finish_reason":null`...)
		e.close(f)
	}
}

var noText = []answer.Part{{}}

// spoken are the parts that are not what the model thinks.
func spoken(parts []answer.Part) (rest []answer.Part) {
	for _, p := range parts {
		if p.Kind != answer.Reasoning {
			rest = append(rest, p)
		}
	}
	return rest
}

// appendPart appends the member of a delta for one part of the answer.
func appendPart(b []byte, p answer.Part) []byte {
	switch {
	case p.Kind == answer.Text:
		b = append(b, `"content":"`...)
	case p.Kind == answer.Reasoning:
		b = append(b, `"reasoning_content":"`...)
	default:
		b = append(b, `"tool_calls":[{"index":`...)
		b = strconv.AppendInt(b, int64(p.Index), 10)
		if p.Name != "" {
			b = append(b, `,"id":`...)
			b = serving.AppendQuoted(b, p.ID)
			b = append(b, `,"type":"function","function":{"name":`...)
			b = serving.AppendQuoted(b, p.Name)
			b = append(b, `,"arguments":"`...)
		} else {
			b = append(b, `,"function":{"arguments":"`...)
		}
		return append(serving.AppendJSON(b, p.Text), `"}}]`...)
	}
	return append(serving.AppendJSON(b, p.Text), '"')
}

// End appends why the choice ended.
func (e *chatEncoder) End(f *serving.Frames, choice int, r *serving.Result) {
	e.open(f, choice)
	f.Buf = append(f.Buf, `,"delta":{},"logprobs":null`...)
	reason := finishReason(r)
	if e.legacy && reason == "tool_calls" {
		reason = "function_call"
	}
	e.end(f, r, reason)
}

// textEncoder writes the stream of a text completion.
type textEncoder struct {
	envelope
	work     *work
	logprobs []*textLogprobs // of each choice; nil where the client does not want them
}

func newTextEncoder(e envelope, w *work, logprobs bool) *textEncoder {
	t := &textEncoder{envelope: e, work: w}
	if logprobs {
		for i := range w.jobs {
			t.logprobs = append(t.logprobs, newTextLogprobs(e.model, w.echo(i)))
		}
	}
	return t
}

// Begin appends the prompt if it is to be repeated.
func (e *textEncoder) Begin(f *serving.Frames, choice int) {
	if echoed := e.work.echo(choice); echoed != "" {
		e.text(f, choice, []byte(echoed), nil)
		f.Buf = append(f.Buf, `,"finish_reason":null`...)
		e.close(f)
	}
}

// Delta appends text and log-probabilities.
func (e *textEncoder) Delta(f *serving.Frames, choice int, d serving.Delta) {
	var l any
	if e.logprobs != nil {
		e.logprobs[choice].text.add(d.Text)
		l = e.logprobs[choice].add(d.Tokens)
	}
	e.text(f, choice, d.Text, l)
	f.Buf = append(f.Buf, `,"finish_reason":null`...)
	e.close(f)
}

// End appends why the choice ended.
func (e *textEncoder) End(f *serving.Frames, choice int, r *serving.Result) {
	e.text(f, choice, nil, nil)
	e.end(f, r, r.Reason)
}

func (e *textEncoder) text(f *serving.Frames, choice int, text []byte, logprobs any) {
	e.open(f, choice)
	b := append(f.Buf, `,"text":"`...)
	b = serving.AppendJSON(b, text)
	f.Buf = append(b, '"')
	appendLogprobs(f, logprobs)
}
