package native

import (
	api "github.com/penstock-llm/penstock/api/native"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// encoder writes the stream of a generation: a message for what has come since
// the last, and a last one with the number of tokens.
type encoder struct {
	id   string
	head []byte // {"id":…,"token":"
}

func newEncoder(id string) *encoder {
	head := append([]byte(`{"id":"`), id...)
	return &encoder{id: id, head: append(head, `","token":"`...)}
}

// Begin appends nothing: cLLM's first message has text.
func (e *encoder) Begin(*serving.Frames, int) {}

// Delta appends text.
func (e *encoder) Delta(f *serving.Frames, _ int, d serving.Delta) {
	f.Open()
	b := append(f.Buf, e.head...)
	b = serving.AppendJSON(b, d.Text)
	f.Buf = append(b, `","done":false}`...)
	f.Close()
}

// End appends how many tokens there were.
func (e *encoder) End(f *serving.Frames, _ int, r *serving.Result) {
	f.JSON(api.StreamEvent{ID: e.id, Done: true, GeneratedTokens: &r.Completion, FinishReason: r.Reason})
}

// Finish appends nothing: there is one generation, and End was the last message.
func (e *encoder) Finish(*serving.Frames, []*serving.Result) {}

// Fail appends an error in place of the last message.
func (e *encoder) Fail(f *serving.Frames, err *serving.Error) {
	f.JSON(api.StreamError{ID: e.id, Error: err.Message, Done: true})
}

// Ping appends a comment.
func (e *encoder) Ping(f *serving.Frames) { f.Comment("ping") }
