package responses

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	api "github.com/penstock-llm/penstock/api/responses"
	"github.com/penstock-llm/penstock/api/sampling"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// work is a request on its way to a response.
type work struct {
	response     *api.Response
	conversation *serving.Conversation
	input        []chat.Message // without the instructions
	custom       []string       // tools that take one text
	pack         bool           // reasoning is packed for the client, too
}

// create is POST /v1/responses.
func (h handlers) create(call *serving.Call) *serving.Error {
	var req api.Request
	if err := call.Decode(&req); err != nil {
		return err
	}
	m, err := call.AcquireFor(req.Model, serving.Opens(req.Stream, serving.SSE, silence{call, &req}))
	if err != nil {
		return err
	}
	defer m.Release()
	w, err := h.prepare(call, &req)
	if err != nil {
		return err
	}
	j, err := job(call, m.Deployment, &req)
	if err != nil {
		return err
	}
	if err := m.Admit(call, "", 1); err != nil {
		return err
	}
	if err := m.Converse(call, w.conversation, j); err != nil {
		return err
	}
	w.response = response(call, &req, j, m.Name)
	ctx, cancel := call.Context()
	defer cancel()
	g, err := m.Start(ctx, j)
	if err != nil {
		return err
	}
	defer g.Close()
	out := &output{work: w, keep: h.keeper(call, w)}
	if req.Stream {
		return call.Stream(ctx, []*serving.Generation{g}, serving.SSE, &encoder{output: out})
	}
	answer, err := g.Collect(ctx)
	if err != nil {
		return err
	}
	out.collected(answer)
	return call.JSON(200, w.response)
}

// inputTokens is POST /v1/responses/input_tokens.
func (h handlers) inputTokens(call *serving.Call) *serving.Error {
	var req api.Request
	m, err := call.Open(&req, &req.Model)
	if err != nil {
		return err
	}
	defer m.Release()
	w, err := h.prepare(call, &req)
	if err != nil {
		return err
	}
	n, err := m.Measure(call.R.Context(), w.conversation)
	if err != nil {
		return err
	}
	return call.JSON(200, api.InputTokens{Object: "response.input_tokens", InputTokens: n})
}

// get is GET /v1/responses/{id}. The events of a response are not kept, so that they
// cannot be streamed again.
func (h handlers) get(call *serving.Call) *serving.Error {
	if text := call.R.URL.Query().Get("stream"); text != "" {
		if again, err := strconv.ParseBool(text); err != nil || again {
			return serving.Unsupported("stream")
		}
	}
	k := h.store.get(call.R.PathValue("id"), call.Client.Name)
	if k == nil {
		return missing("", call.R.PathValue("id"))
	}
	return call.JSON(200, k.body)
}

// delete is DELETE /v1/responses/{id}.
func (h handlers) delete(call *serving.Call) *serving.Error {
	id := call.R.PathValue("id")
	if !h.store.delete(id, call.Client.Name) {
		return missing("", id)
	}
	return call.JSON(200, api.Deleted{ID: id, Object: "response.deleted", Deleted: true})
}

// missing says that a response is not there: never made, no longer kept, or
// somebody else's.
func missing(param, id string) *serving.Error {
	e := serving.Bad(param, "there is no response %q: it was not stored, or is no longer kept", id)
	e.Status, e.Type = http.StatusNotFound, "not_found_error"
	if param != "" {
		e.Status, e.Type, e.Code = http.StatusBadRequest, "invalid_request_error", "previous_response_not_found"
	}
	return e
}

// prepare makes the conversation of a request.
func (h handlers) prepare(call *serving.Call, req *api.Request) (*work, *serving.Error) {
	var before []chat.Message
	if id := req.PreviousResponseID; id != nil && *id != "" {
		k := h.store.get(*id, call.Client.Name)
		if k == nil {
			return nil, missing("previous_response_id", *id)
		}
		before = k.messages
	}
	w, err := prepare(req, before)
	if err != nil {
		return nil, serving.FromChat(err)
	}
	return w, nil
}

func prepare(req *api.Request, before []chat.Message) (w *work, err error) {
	w = &work{conversation: &serving.Conversation{OneCall: req.ParallelToolCalls != nil && !*req.ParallelToolCalls}}
	if w.input, err = parseInput(req.Input, before); err != nil {
		return nil, err
	}
	c := w.conversation
	if req.Instructions != nil && *req.Instructions != "" {
		c.Messages = append(c.Messages, chat.NewMessage("system", *req.Instructions))
	}
	c.Messages = append(c.Messages, w.input...)
	var allowed []string
	if c.Tools, w.custom, err = parseTools(req.Tools); err != nil {
		return nil, err
	}
	if c.Choice, allowed, err = parseChoice(req.ToolChoice); err != nil {
		return nil, err
	}
	if c.Tools, err = serving.Allow(c.Tools, allowed); err != nil {
		return nil, err
	}
	for _, name := range req.Include {
		switch {
		case name == "reasoning.encrypted_content":
			w.pack = true
		case name == "message.output_text.logprobs":
			return nil, chat.Wrong("include", "has message.output_text.logprobs, which this server does not have")
		case !strings.Contains(name, "_call") && !strings.HasPrefix(name, "message."):
			return nil, chat.Wrong("include", "has %.60q, which this server does not know", name)
		} // the others belong to tools that never run here
	}
	return w, effort(c, req.Reasoning)
}

// efforts are how much a model may be asked to think.
var efforts = []string{"none", "minimal", "low", "medium", "high", "xhigh"}

// effort tells the template how much the model is to think. Templates that know
// no efforts can at least be told to do without.
func effort(c *serving.Conversation, r *api.Reasoning) error {
	if r == nil || r.Effort == nil || *r.Effort == "" {
		return nil
	}
	if !slices.Contains(efforts, *r.Effort) {
		return chat.Wrong("reasoning.effort", "must be one of %s", strings.Join(efforts, ", "))
	}
	if *r.Effort == "none" {
		c.Variables.SetBool("enable_thinking", false)
		return nil
	}
	c.Variables.SetText("reasoning_effort", *r.Effort)
	return nil
}

// job makes the job of a request, without its prompt.
func job(call *serving.Call, m *serving.Deployment, req *api.Request) (*serving.Job, *serving.Error) {
	var c serving.Check
	j := c.Job(call, m, &sampling.Fields{
		Temperature: req.Temperature, TopP: req.TopP, PresencePenalty: req.PresencePenalty, FrequencyPenalty: req.FrequencyPenalty,
		CacheSalt: req.CacheSalt,
	}, serving.Strict)
	j.MaxTokens = c.Int("max_output_tokens", req.MaxOutputTokens, -1, 1, math.MaxInt32)
	j.Stream = req.Stream
	if req.Text != nil {
		c.Form(j, "text.format", req.Text.Format)
	}
	return j, c.Err()
}

// response is the answer before there is any output.
func response(call *serving.Call, req *api.Request, j *serving.Job, model string) *api.Response {
	r := &api.Response{
		ID: serving.NewID("resp_"), Object: "response", CreatedAt: call.Start.Unix(), Status: "in_progress", Model: model,
		PreviousResponseID: req.PreviousResponseID, Instructions: req.Instructions, Output: []any{},
		Tools: echoTools(req.Tools), ToolChoice: orJSON(req.ToolChoice, `"auto"`), Truncation: "disabled",
		ParallelToolCalls: req.ParallelToolCalls == nil || *req.ParallelToolCalls,
		Text:              api.Text{Format: json.RawMessage(`{"type":"text"}`)},
		Temperature:       serving.Decimal(j.Params.Temperature), TopP: serving.Decimal(j.Params.TopP),
		PresencePenalty: serving.Decimal(j.Params.PresencePenalty), FrequencyPenalty: serving.Decimal(j.Params.FrequencyPenalty),
		User: req.User, MaxOutputTokens: req.MaxOutputTokens, MaxToolCalls: req.MaxToolCalls,
		Store: req.Store == nil || *req.Store, ServiceTier: "default", Metadata: orJSON(req.Metadata, "{}"),
		SafetyIdentifier: req.SafetyIdentifier, PromptCacheKey: req.PromptCacheKey,
	}
	if req.Reasoning != nil {
		r.Reasoning = *req.Reasoning
	}
	if req.Text != nil {
		r.Text.Format = orJSON(req.Text.Format, `{"type":"text"}`)
	}
	return r
}

func orJSON(raw json.RawMessage, absent string) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return json.RawMessage(absent)
	}
	return raw
}

// keeper returns what keeps the finished response, or nil if the client does not
// want that.
func (h handlers) keeper(call *serving.Call, w *work) func(answer chat.Message) {
	if !w.response.Store {
		return nil
	}
	owner := call.Client.Name
	return func(answer chat.Message) {
		body, err := json.Marshal(w.response)
		if err != nil {
			return // the answer itself fails in the same way, and says so
		}
		h.store.put(&kept{id: w.response.ID, owner: owner, body: body, messages: append(slices.Clone(w.input), answer)})
	}
}
