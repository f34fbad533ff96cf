package responses

import (
	"strconv"

	api "github.com/penstock-llm/penstock/api/responses"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/chat/answer"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// encoder writes the events of a response: created and in_progress, then for each
// item that it was added, its deltas and that it is done, and at last completed.
type encoder struct {
	*output
	sequence int
	begun    bool
	open     bool // an item was added that is not done
	kind     answer.Kind
	id       string // of the open item
	text     []byte // of the open item: text, reasoning or arguments
	call     chat.Call
	calls    int // index of the call that the open item is
}

// event is an event that has a whole response.
type event struct {
	Type     string        `json:"type"`
	Sequence int           `json:"sequence_number"`
	Response *api.Response `json:"response"`
}

// itemEvent is an event that has a whole item, or a part of one.
type itemEvent struct {
	Type         string  `json:"type"`
	Sequence     int     `json:"sequence_number"`
	ItemID       string  `json:"item_id,omitempty"`
	OutputIndex  int     `json:"output_index"`
	ContentIndex *int    `json:"content_index,omitempty"`
	Item         any     `json:"item,omitempty"`
	Part         any     `json:"part,omitempty"`
	Text         *string `json:"text,omitempty"`
	Name         string  `json:"name,omitempty"`
	Arguments    *string `json:"arguments,omitempty"`
	Input        *string `json:"input,omitempty"`
	Logprobs     []any   `json:"logprobs,omitzero"`
}

func (e *encoder) next() int {
	e.sequence++
	return e.sequence - 1
}

// whole appends an event that has the response as it is.
func (e *encoder) whole(f *serving.Frames, name string) {
	f.Event(name)
	f.JSON(event{name, e.next(), e.response})
}

// item appends an event about the open item.
func (e *encoder) item(f *serving.Frames, name string, ev itemEvent) {
	ev.Type, ev.Sequence, ev.OutputIndex = name, e.next(), len(e.response.Output)
	f.Event(name)
	f.JSON(ev)
}

// Begin says that the response was created, unless a ping has.
func (e *encoder) Begin(f *serving.Frames, _ int) {
	if e.begun {
		return
	}
	e.begun = true
	e.whole(f, "response.created")
	e.whole(f, "response.in_progress")
}

// Delta appends an event for each part of the answer.
func (e *encoder) Delta(f *serving.Frames, _ int, d serving.Delta) {
	for _, p := range d.Parts {
		if !e.open || p.Kind != e.kind || p.Kind == answer.Call && p.Index != e.calls {
			e.done(f, completed)
			e.add(f, p)
		}
		e.text = append(e.text, p.Text...)
		if len(p.Text) > 0 && !(p.Kind == answer.Call && e.isCustom(e.call.Name)) { // its text comes as one, without JSON around it
			e.delta(f, p)
		}
	}
}

var deltas = map[answer.Kind]struct{ name, fields string }{
	answer.Text:      {"response.output_text.delta", `,"content_index":0,"logprobs":[]`},
	answer.Reasoning: {"response.reasoning_text.delta", `,"content_index":0`},
	answer.Call:      {"response.function_call_arguments.delta", ``},
}

func (e *encoder) delta(f *serving.Frames, p answer.Part) {
	d := deltas[p.Kind]
	f.Event(d.name)
	f.Open()
	b := append(append(f.Buf, `{"type":"`...), d.name...)
	b = strconv.AppendInt(append(b, `","sequence_number":`...), int64(e.next()), 10)
	b = append(append(b, `,"item_id":"`...), e.id...)
	b = strconv.AppendInt(append(b, `","output_index":`...), int64(len(e.response.Output)), 10)
	b = append(append(b, d.fields...), `,"delta":"`...)
	f.Buf = append(serving.AppendJSON(b, p.Text), `"}`...)
	f.Close()
}

var first = new(int) // the only content of an item

// add begins the item that a part belongs to.
func (e *encoder) add(f *serving.Frames, p answer.Part) {
	e.open, e.kind, e.calls, e.text = true, p.Kind, p.Index, e.text[:0]
	switch p.Kind {
	case answer.Text:
		e.id = serving.NewID("msg_")
		e.item(f, "response.output_item.added", itemEvent{Item: api.Message{ID: e.id, Type: "message", Status: inProgress, Role: "assistant", Content: []api.OutputText{}}})
		e.item(f, "response.content_part.added", itemEvent{ItemID: e.id, ContentIndex: first, Part: outputText("")})
	case answer.Reasoning:
		e.id = serving.NewID("rs_")
		e.item(f, "response.output_item.added", itemEvent{Item: api.ReasoningItem{ID: e.id, Type: "reasoning", Status: inProgress, Summary: []any{}, Content: []api.ReasoningText{}}})
		e.item(f, "response.content_part.added", itemEvent{ItemID: e.id, ContentIndex: first, Part: api.ReasoningText{Type: "reasoning_text"}})
	case answer.Call:
		e.id = serving.NewID("fc_")
		e.call = chat.Call{ID: p.ID, Name: p.Name}
		e.item(f, "response.output_item.added", itemEvent{Item: e.callItem(e.id, e.call, inProgress)})
	}
}

// done ends the open item.
func (e *encoder) done(f *serving.Frames, status string) {
	if !e.open {
		return
	}
	e.open = false
	text := string(e.text)
	switch e.kind {
	case answer.Text:
		e.item(f, "response.output_text.done", itemEvent{ItemID: e.id, ContentIndex: first, Text: &text, Logprobs: []any{}})
		e.item(f, "response.content_part.done", itemEvent{ItemID: e.id, ContentIndex: first, Part: outputText(text)})
		e.ended(f, e.message(e.id, text, status))
	case answer.Reasoning:
		e.item(f, "response.reasoning_text.done", itemEvent{ItemID: e.id, ContentIndex: first, Text: &text})
		e.item(f, "response.content_part.done", itemEvent{ItemID: e.id, ContentIndex: first, Part: api.ReasoningText{Type: "reasoning_text", Text: text}})
		e.ended(f, e.reasoning(e.id, text, status))
	case answer.Call:
		e.call.Arguments = text
		if e.isCustom(e.call.Name) {
			e.customInput(f, textOf(text))
		} else {
			e.item(f, "response.function_call_arguments.done", itemEvent{ItemID: e.id, Name: e.call.Name, Arguments: &text})
		}
		e.ended(f, e.output.call(e.id, e.call, status))
	}
}

// customInput appends the text of a custom tool's call.
func (e *encoder) customInput(f *serving.Frames, input string) {
	const name = "response.custom_tool_call_input."
	f.Event(name + "delta")
	f.JSON(struct {
		Type        string `json:"type"`
		Sequence    int    `json:"sequence_number"`
		ItemID      string `json:"item_id"`
		OutputIndex int    `json:"output_index"`
		Delta       string `json:"delta"`
	}{name + "delta", e.next(), e.id, len(e.response.Output), input})
	e.item(f, name+"done", itemEvent{ItemID: e.id, Input: &input})
}

// ended says that an item, which is part of the output now, is done.
func (e *encoder) ended(f *serving.Frames, item any) {
	const name = "response.output_item.done"
	f.Event(name)
	f.JSON(itemEvent{Type: name, Sequence: e.next(), OutputIndex: len(e.response.Output) - 1, Item: item})
}

// End ends the last item. An answer has a message or a call, as it has where it
// is not streamed: a message without text if the model said nothing, or was cut
// while it reasoned.
func (e *encoder) End(f *serving.Frames, _ int, r *serving.Result) {
	status := completed
	if r.Reason == "length" {
		status = incomplete
	}
	if e.open && e.kind == answer.Reasoning {
		e.done(f, completed)
	}
	if !e.open && len(e.answer.Parts)+len(e.answer.Calls) == 0 {
		e.add(f, answer.Part{Kind: answer.Text})
	}
	e.done(f, status)
}

// Finish appends the whole response.
func (e *encoder) Finish(f *serving.Frames, results []*serving.Result) {
	e.finish(results[0])
	e.whole(f, "response."+e.response.Status)
}

// Fail appends the response with the error.
func (e *encoder) Fail(f *serving.Frames, err *serving.Error) {
	e.fail(err)
	e.whole(f, "response.failed")
}

// Ping shows that the response is being made. The first one creates it.
func (e *encoder) Ping(f *serving.Frames) {
	e.Begin(f, 0)
	f.Comment("ping")
}

// silence is a stream without a response yet, since the model is being loaded.
type silence struct {
	call    *serving.Call
	request *api.Request
}

// Ping appends a comment.
func (s silence) Ping(f *serving.Frames) { f.Comment("ping") }

// Fail appends a response that has failed, with all events that come before it:
// clients take no other error for the end.
func (s silence) Fail(f *serving.Frames, err *serving.Error) {
	r := response(s.call, s.request, &serving.Job{}, s.request.Model)
	e := &encoder{output: &output{work: &work{response: r}}}
	e.Begin(f, 0)
	e.Fail(f, err)
}
