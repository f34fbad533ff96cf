package anthropic

import (
	"strconv"

	api "github.com/penstock-llm/penstock/api/anthropic"
	"github.com/penstock-llm/penstock/internal/chat/answer"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// encoder writes the events of a message: message_start, then for each block its
// start, deltas and stop, and at last message_delta and message_stop.
type encoder struct {
	head      *api.MessageResponse
	maxTokens int
	requestID string

	begun bool
	open  bool // a block has begun and not ended
	kind  answer.Kind
	call  int // index of the call that the open block is
	block int // index of the open block, or of the next one
}

// Begin starts the message, unless a ping has.
func (e *encoder) Begin(f *serving.Frames, _ int) {
	if e.begun {
		return
	}
	e.begun = true
	f.Event("message_start")
	f.JSON(struct {
		Type    string               `json:"type"`
		Message *api.MessageResponse `json:"message"`
	}{"message_start", e.head})
}

// Delta appends an event for each part of the answer.
func (e *encoder) Delta(f *serving.Frames, _ int, d serving.Delta) {
	for _, p := range d.Parts {
		if !e.open || p.Kind != e.kind || p.Kind == answer.Call && p.Index != e.call {
			e.stop(f)
			e.start(f, p)
		}
		if len(p.Text) > 0 {
			e.delta(f, p)
		}
	}
}

var deltas = map[answer.Kind]string{
	answer.Text:      `,"delta":{"type":"text_delta","text":"`,
	answer.Reasoning: `,"delta":{"type":"thinking_delta","thinking":"`,
	answer.Call:      `,"delta":{"type":"input_json_delta","partial_json":"`,
}

func (e *encoder) delta(f *serving.Frames, p answer.Part) {
	e.event(f, "content_block_delta")
	f.Buf = append(f.Buf, deltas[p.Kind]...)
	f.Buf = append(serving.AppendJSON(f.Buf, p.Text), `"}}`...)
	f.Close()
}

// event opens an event of the current block.
func (e *encoder) event(f *serving.Frames, name string) {
	f.Event(name)
	f.Open()
	f.Buf = append(f.Buf, `{"type":"`...)
	f.Buf = append(f.Buf, name...)
	f.Buf = append(f.Buf, `","index":`...)
	f.Buf = strconv.AppendInt(f.Buf, int64(e.block), 10)
}

// start begins the block that a part belongs to.
func (e *encoder) start(f *serving.Frames, p answer.Part) {
	e.open, e.kind, e.call = true, p.Kind, p.Index
	e.event(f, "content_block_start")
	f.Buf = append(f.Buf, `,"content_block":`...)
	switch p.Kind {
	case answer.Text:
		f.Value(api.TextBlock{Type: "text"})
	case answer.Reasoning:
		f.Value(api.ThinkingBlock{Type: "thinking"})
	case answer.Call:
		f.Value(api.ToolUseBlock{Type: "tool_use", ID: p.ID, Name: p.Name, Input: []byte("{}")})
	}
	f.Buf = append(f.Buf, '}')
	f.Close()
}

// stop ends the open block. Thinking is signed first: clients send the signature
// back with it and expect one.
func (e *encoder) stop(f *serving.Frames) {
	if !e.open {
		return
	}
	if e.kind == answer.Reasoning {
		e.event(f, "content_block_delta")
		f.Buf = append(f.Buf, `,"delta":{"type":"signature_delta","signature":`...)
		f.Buf = append(serving.AppendQuoted(f.Buf, e.head.ID), "}}"...)
		f.Close()
	}
	e.event(f, "content_block_stop")
	f.Buf = append(f.Buf, '}')
	f.Close()
	e.open = false
	e.block++
}

// End ends the last block.
func (e *encoder) End(f *serving.Frames, _ int, _ *serving.Result) { e.stop(f) }

// Finish says why the message ended, and what it cost.
func (e *encoder) Finish(f *serving.Frames, results []*serving.Result) {
	r := results[0]
	type delta struct {
		StopReason   string  `json:"stop_reason"`
		StopSequence *string `json:"stop_sequence"`
	}
	f.Event("message_delta")
	f.JSON(struct {
		Type  string    `json:"type"`
		Delta delta     `json:"delta"`
		Usage api.Usage `json:"usage"`
	}{"message_delta", delta{stopReason(r, e.maxTokens), stopSequence(r)}, usage(r)})
	f.Event("message_stop")
	f.Text(`{"type":"message_stop"}`)
}

// Fail appends an error event.
func (e *encoder) Fail(f *serving.Frames, err *serving.Error) {
	f.Event("error")
	f.JSON(errorBody(err, e.requestID))
}

// Ping appends a ping event. The message must have begun before it.
func (e *encoder) Ping(f *serving.Frames) {
	e.Begin(f, 0)
	f.Event("ping")
	f.Text(`{"type":"ping"}`)
}

// silence is a stream without a message yet, since the model is being loaded. It
// shows that it is alive with comments: clients may want a message before events.
type silence struct{ requestID string }

// Ping appends a comment.
func (s silence) Ping(f *serving.Frames) { f.Comment("ping") }

// Fail appends an error event.
func (s silence) Fail(f *serving.Frames, err *serving.Error) {
	(&encoder{requestID: s.requestID}).Fail(f, err)
}
