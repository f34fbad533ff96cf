package clients

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"
)

func response(text string, tokens int64) responses.ResponseNewParams {
	p := responses.ResponseNewParams{Model: model, MaxOutputTokens: openai.Int(tokens), Temperature: openai.Float(0)}
	p.Input.OfString = openai.String(text)
	return p
}

func TestResponses(t *testing.T) {
	client, wire := newOpenAI()
	var first *responses.Response
	t.Run("create", func(t *testing.T) {
		var err error
		if first, err = client.Responses.New(t.Context(), response(counting, 8)); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(first.OutputText(), "1, 2, 3") || first.Status != "incomplete" || first.IncompleteDetails.Reason != "max_output_tokens" ||
			first.Usage.OutputTokens != 8 || !first.Usage.InputTokensDetails.JSON.CachedTokens.Valid() {
			t.Errorf("%s", first.RawJSON())
		}
	})
	t.Run("no reasoning", wire.noReasoning)
	t.Run("previous response", func(t *testing.T) {
		p := response("And again.", 4)
		p.PreviousResponseID = openai.String(first.ID)
		a, err := client.Responses.New(t.Context(), p)
		if err != nil || a.PreviousResponseID != first.ID || a.Usage.InputTokens <= first.Usage.InputTokens+first.Usage.OutputTokens {
			t.Fatalf("%v %+v", err, a)
		}
		if a.Usage.InputTokensDetails.CachedTokens < first.Usage.InputTokens-16 {
			t.Errorf("%d of %d tokens were cached", a.Usage.InputTokensDetails.CachedTokens, a.Usage.InputTokens)
		}
	})
	t.Run("get and delete", func(t *testing.T) {
		got, err := client.Responses.Get(t.Context(), first.ID, responses.ResponseGetParams{})
		if err != nil || got.OutputText() != first.OutputText() {
			t.Fatalf("%v %+v", err, got)
		}
		if err := client.Responses.Delete(t.Context(), first.ID); err != nil {
			t.Error(err)
		}
		var api *openai.Error
		if _, err = client.Responses.Get(t.Context(), first.ID, responses.ResponseGetParams{}); !errors.As(err, &api) || api.StatusCode != 404 {
			t.Errorf("after it was deleted: %v", err)
		}
	})
	t.Run("unknown previous response", func(t *testing.T) {
		p := response("hi", 1)
		p.PreviousResponseID = openai.String("resp_none")
		_, err := client.Responses.New(t.Context(), p)
		var api *openai.Error
		if !errors.As(err, &api) || api.StatusCode != 400 || api.Code != "previous_response_not_found" || api.Param != "previous_response_id" {
			t.Errorf("%v %+v", err, api)
		}
	})
	t.Run("input tokens", func(t *testing.T) {
		p := responses.InputTokenCountParams{Model: openai.String(model)}
		p.Input.OfString = openai.String(counting)
		n, err := client.Responses.InputTokens.Count(t.Context(), p)
		if err != nil || n.InputTokens != first.Usage.InputTokens {
			t.Errorf("%v %+v", err, n)
		}
	})
}

func TestResponsesStream(t *testing.T) {
	client, _ := newOpenAI()
	stream := client.Responses.NewStreaming(t.Context(), response(counting, 8))
	text, kinds, sequence := "", []string{}, int64(0)
	var last responses.Response
	for ; stream.Next(); sequence++ {
		e := stream.Current()
		if e.SequenceNumber != sequence {
			t.Errorf("%s has the sequence number %d, want %d", e.Type, e.SequenceNumber, sequence)
		}
		if len(kinds) == 0 || kinds[len(kinds)-1] != e.Type {
			kinds = append(kinds, e.Type)
		}
		switch e := e.AsAny().(type) {
		case responses.ResponseTextDeltaEvent:
			text += e.Delta
		case responses.ResponseTextDoneEvent:
			if e.Text != text {
				t.Errorf("%q is done, %q was streamed", e.Text, text)
			}
		case responses.ResponseIncompleteEvent:
			last = e.Response
		}
	}
	want := strings.Fields(`response.created response.in_progress response.output_item.added response.content_part.added response.output_text.delta
		response.output_text.done response.content_part.done response.output_item.done response.incomplete`)
	if stream.Err() != nil || !slices.Equal(kinds, want) {
		t.Errorf("%v, events %v", stream.Err(), kinds)
	}
	if last.OutputText() != text || last.Usage.OutputTokens != 8 {
		t.Errorf("%q, %s", text, last.RawJSON())
	}
}

func TestResponsesTools(t *testing.T) {
	client, _ := newOpenAI()
	p := response(question, 60)
	p.Tools = []responses.ToolUnionParam{responses.ToolParamOfFunction(toolName, schema, false)}
	p.ToolChoice.OfFunctionTool = &responses.ToolChoiceFunctionParam{Name: toolName}
	a, err := client.Responses.New(t.Context(), p)
	if err != nil || len(a.Output) != 1 {
		t.Fatalf("%v %+v", err, a)
	}
	call := a.Output[0].AsFunctionCall()
	checkCall(t, call.Name, call.Arguments)
	stream, streamed := client.Responses.NewStreaming(t.Context(), p), ""
	for stream.Next() {
		if e, ok := stream.Current().AsAny().(responses.ResponseFunctionCallArgumentsDeltaEvent); ok {
			streamed += e.Delta
		}
	}
	if stream.Err() != nil || streamed != call.Arguments {
		t.Errorf("%v, streamed %q, whole %q", stream.Err(), streamed, call.Arguments)
	}
	output := responses.ResponseInputItemParamOfFunctionCallOutput("Sunny, 23 degrees")
	output.OfFunctionCallOutput.CallID = openai.String(call.CallID)
	next := responses.ResponseNewParams{Model: model, MaxOutputTokens: openai.Int(12), PreviousResponseID: openai.String(a.ID)}
	next.Input.OfInputItemList = responses.ResponseInputParam{output}
	if a, err = client.Responses.New(t.Context(), next); err != nil || a.OutputText() == "" {
		t.Errorf("with the result of the call: %v %+v", err, a)
	}
}
