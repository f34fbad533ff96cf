package native

import (
	"context"
	"encoding/json"

	api "github.com/penstock-llm/penstock/api/native"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// stream sends one event for what has come since the last, and a last one with
// the number of tokens.
func stream(ctx context.Context, call *serving.Call, g *serving.Generation, id string) *serving.Error {
	events := call.Events()
	defer events.Close()
	head := append([]byte(`data: {"id":"`), id...)
	head = append(head, `","token":"`...)
	for {
		d, err := g.Next(ctx)
		if err != nil {
			return fail(events, id, err)
		}
		if len(d.Text) > 0 {
			events.Buf = append(events.Buf, head...)
			events.Buf = serving.AppendJSON(events.Buf, d.Text)
			events.Buf = append(events.Buf, "\",\"done\":false}\n\n"...)
		}
		if d.Done {
			r := g.Result()
			appendEvent(events, api.StreamEvent{ID: id, Done: true, GeneratedTokens: &r.Completion, FinishReason: r.Reason})
		}
		if !events.Flush() || d.Done {
			return nil
		}
	}
}

func appendEvent(events *serving.Events, e any) {
	b, _ := json.Marshal(e)
	events.Buf = append(append(append(events.Buf, "data: "...), b...), "\n\n"...)
}

// fail ends a stream with an error: with a status while nothing was sent, else
// with an event.
func fail(events *serving.Events, id string, err *serving.Error) *serving.Error {
	if !events.Begun() {
		return err
	}
	events.Buf = events.Buf[:0]
	appendEvent(events, struct {
		ID    string `json:"id"`
		Error string `json:"error"`
		Done  bool   `json:"done"`
	}{id, err.Message, true})
	events.Flush()
	return nil
}
