package chat

import (
	"regexp"
	"strings"

	"github.com/penstock-llm/penstock/internal/chat/jinja"
)

// habits are what a template expects of messages, read off its source or found
// out by trying.
type habits struct {
	parts     bool   // content is a list of parts; a string gets lost
	developer bool   // it knows the role developer
	function  bool   // it knows the role function
	reasoning string // the name of the field for an assistant's reasoning
}

// habitsOf reads the habits that a source shows. A field counts as known if the
// source mentions it as an attribute or an item.
func habitsOf(source string) habits {
	h := habits{developer: strings.Contains(source, "developer"), reasoning: "reasoning_content"}
	for _, field := range []string{"reasoning_content", "thinking", "reasoning"} {
		if regexp.MustCompile(`\.` + field + `\b|['"]` + field + `['"]`).MatchString(source) {
			h.reasoning = field
			break
		}
	}
	return h
}

// values makes the list that a template knows as messages. This is the only
// place where messages become values of the template language. All strings are
// marked as the client's, but for the names of fields and for roles, of which
// there are only those of Roles: templates write '<|' + message.role + '|>'.
func (h habits) values(messages []Message) *jinja.List {
	list := &jinja.List{Items: make([]jinja.Value, len(messages))}
	for i := range messages {
		list.Items[i] = h.message(&messages[i])
	}
	return list
}

func (h habits) message(m *Message) *jinja.Dict {
	d := jinja.NewDict(4)
	role := m.Role
	switch {
	case role == "developer" && !h.developer:
		role = "system"
	case role == "function" && !h.function: // the older name
		role = "tool"
	}
	d.Set("role", role)
	if h.parts {
		d.Set("content", parts(m.Parts))
	} else {
		d.Set("content", jinja.Client(m.Text()))
	}
	if m.Reasoning != "" {
		d.Set(h.reasoning, jinja.Client(m.Reasoning))
	}
	if len(m.Calls) > 0 {
		list := jinja.NewList()
		for i := range m.Calls {
			list.Items = append(list.Items, call(&m.Calls[i]))
		}
		d.Set("tool_calls", list)
	}
	if m.CallID != "" {
		d.Set("tool_call_id", jinja.Client(m.CallID))
	}
	if m.Name != "" {
		d.Set("name", jinja.Client(m.Name))
	}
	for _, f := range m.Extra {
		d.Set(f.Name, f.Value.value)
	}
	return d
}

func parts(parts []Part) *jinja.List {
	list := jinja.NewList()
	for _, p := range parts {
		d := jinja.NewDict(2)
		d.Set("type", "text")
		d.Set("text", jinja.Client(p.Text))
		list.Items = append(list.Items, d)
	}
	return list
}

// call makes a tool call of the OpenAI form, except that templates get the
// arguments as a mapping. Arguments that are no JSON object stay a string.
func call(c *Call) *jinja.Dict {
	function := jinja.NewDict(2)
	function.Set("name", jinja.Client(c.Name))
	function.Set("arguments", jinja.Client(c.Arguments))
	if v, err := jinja.FromClientJSON([]byte(c.Arguments)); err == nil {
		if m, ok := v.(*jinja.Dict); ok {
			function.Set("arguments", m)
		}
	}
	d := jinja.NewDict(3)
	if c.ID != "" {
		d.Set("id", jinja.Client(c.ID))
	}
	d.Set("type", "function")
	d.Set("function", function)
	return d
}

// Size is roughly the number of bytes of a message, for limits.
func (m *Message) Size() int {
	n := 256 + len(m.Reasoning) + len(m.Name) + len(m.CallID) + 64*len(m.Extra)
	for _, p := range m.Parts {
		n += 64 + len(p.Text)
	}
	for _, c := range m.Calls {
		n += 256 + len(c.Arguments)
	}
	return n
}
