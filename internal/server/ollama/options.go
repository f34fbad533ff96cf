package ollama

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	api "github.com/penstock-llm/penstock/api/ollama"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// known is the name by which the server knows a model. Clients add the tag latest to
// names that have none.
func known(call *serving.Call, name string) (string, *serving.Error) {
	if name == "" {
		return "", serving.Bad("model", "model is required")
	}
	short, latest := strings.CutSuffix(name, ":latest")
	if !latest {
		return name, nil
	}
	if _, err := call.App.Models.Lookup(name); err == nil {
		return name, nil
	}
	return short, nil
}

// acquire finds a model, and says how long it stays when the request has ended. o is
// how the answer begins if it is a stream.
func acquire(call *serving.Call, name string, keepAlive json.RawMessage, o *serving.Opening) (*serving.Lease, *serving.Error) {
	keep, set, err := stay(keepAlive)
	if err != nil {
		return nil, err
	}
	short, err := known(call, name)
	if err != nil {
		return nil, err
	}
	m, err := call.AcquireFor(short, o)
	if err != nil {
		return nil, err
	}
	m.Name = name
	if set {
		m.KeepFor(keep)
	}
	return m, nil
}

// stay reads a keep_alive: a number of seconds, or a duration as a text; negative
// ones mean for ever.
func stay(raw json.RawMessage) (keep time.Duration, set bool, err *serving.Error) {
	if len(raw) == 0 || string(raw) == "null" {
		return 0, false, nil
	}
	const forEver, most = -1, float64(math.MaxInt64 / 2)
	var seconds float64
	text := ""
	switch {
	case json.Unmarshal(raw, &seconds) == nil:
	case json.Unmarshal(raw, &text) == nil:
		if d, err := time.ParseDuration(text); err == nil {
			seconds = d.Seconds()
			break
		}
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || n-n != 0 {
			return 0, false, serving.Bad("keep_alive", "keep_alive must be a number of seconds or a duration such as 10m, not %q", text)
		}
		seconds = n
	default:
		return 0, false, serving.Bad("keep_alive", "keep_alive must be a number of seconds or a duration such as 10m")
	}
	if seconds < 0 || seconds*float64(time.Second) > most {
		return forEver, true, nil
	}
	return time.Duration(seconds * float64(time.Second)), true, nil
}

// loadOnly answers a request without a prompt: it wants the model to be loaded, or
// with a keep_alive of zero, to be unloaded.
func loadOnly(call *serving.Call, name string, keepAlive json.RawMessage) (reason string, err *serving.Error) {
	keep, set, err := stay(keepAlive)
	if err != nil {
		return "", err
	}
	if !set || keep != 0 {
		m, err := acquire(call, name, keepAlive, nil)
		if err != nil {
			return "", err
		}
		m.Release()
		return "load", nil
	}
	if name, err = known(call, name); err != nil {
		return "", err
	}
	if _, err = call.Expire(name); err != nil && err.Code == serving.NotLoaded {
		err = nil // it is as the client wants it
	}
	return "unload", err
}

// job makes the job of a request, without its prompt.
func job(call *serving.Call, m *serving.Deployment, r *api.Common) (*serving.Job, *serving.Error) {
	var c serving.Check
	o := r.Options
	if o == nil {
		o = &api.Options{}
	}
	if o.Mirostat != nil && *o.Mirostat != 0 {
		c.Fail(serving.Unsupported("options.mirostat"))
	}
	checkContext(&c, m, o.NumCtx)
	j := c.Job(call, m, &o.Fields, serving.Lenient)
	j.Stream = streams(r.Stream)
	j.MaxTokens = max(c.Int("num_predict", o.NumPredict, -1, math.MinInt32, math.MaxInt32), -1)
	j.Params.Logprobs = r.Logprobs
	j.Params.TopLogprobs = c.Int("top_logprobs", r.TopLogprobs, 0, 0, 20)
	if j.Params.TopLogprobs > 0 && !r.Logprobs {
		c.Fail(serving.Bad("top_logprobs", "top_logprobs is only allowed when logprobs is true"))
	}
	switch format := string(r.Format); {
	case format == "" || format == "null" || format == `""`:
	case format == `"json"`:
		c.Schema(j, "format", []byte(`{"type":"object"}`))
	case format[0] == '{':
		c.Schema(j, "format", r.Format)
	default:
		c.Fail(serving.Bad("format", "format must be json, or a JSON Schema"))
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	return j, m.Admit(call, "", 1)
}

// checkContext refuses a context that is larger than the server's.
func checkContext(c *serving.Check, m *serving.Deployment, numCtx *int) {
	if numCtx != nil && *numCtx > m.Context() {
		c.Fail(serving.Bad("num_ctx", "num_ctx is %d, but this server was started with a context of %d tokens: start it with a larger --ctx", *numCtx, m.Context()))
	}
}

func streams(stream *bool) bool { return stream == nil || *stream }

// asked reports whether a value of think, which think accepts, wants the model to think.
func asked(raw json.RawMessage) bool {
	text := string(raw)
	return text != "" && text != "null" && text != "false"
}

// think tells the template whether the model is to think, and how much.
func think(c *serving.Conversation, m *serving.Deployment, raw json.RawMessage) *serving.Error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	wrong := serving.Bad("think", "think must be true, false, low, medium or high")
	var on bool
	var effort string
	switch {
	case json.Unmarshal(raw, &on) == nil:
	case json.Unmarshal(raw, &effort) != nil:
		return wrong
	case effort == "low" || effort == "medium" || effort == "high":
		on = true
		c.Variables.SetText("reasoning_effort", effort)
	default:
		return wrong
	}
	if on && m.Chat.Reasoner() == nil {
		return serving.Bad("think", "%q does not support thinking", m.ID)
	}
	c.Variables.SetBool("enable_thinking", on)
	return nil
}

// parseMessages makes the messages of a conversation. Calls have no ids in older
// clients, which name the tool instead.
func parseMessages(list []api.Message) ([]chat.Message, error) {
	all := make([]chat.Message, 0, len(list))
	for i, m := range list {
		out := chat.NewMessage(m.Role, m.Content)
		out.Reasoning, out.Name, out.CallID = m.Thinking, m.ToolName, m.ToolCallID
		if len(m.Images) > 0 && string(m.Images) != "null" && string(m.Images) != "[]" {
			return nil, chat.Wrong(field(i, "images"), "must be empty: this model takes text only")
		}
		switch m.Role {
		case "system", "user", "assistant", "tool":
		default:
			return nil, chat.Wrong(field(i, "role"), "must be system, user, assistant or tool")
		}
		for _, c := range m.ToolCalls {
			if c.Function.Name == "" {
				return nil, chat.Wrong(field(i, "tool_calls"), "must have functions with names")
			}
			if raw := c.Function.Arguments; len(raw) > 0 && raw[0] != '{' && string(raw) != "null" {
				return nil, chat.Wrong(field(i, "tool_calls"), "must have functions whose arguments are objects")
			}
			out.Calls = append(out.Calls, chat.Call{ID: c.ID, Name: c.Function.Name, Arguments: string(c.Function.Arguments)})
		}
		all = append(all, out)
	}
	return all, nil
}
