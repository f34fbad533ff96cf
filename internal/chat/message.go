package chat

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/chat/jinja"
)

// Message is one turn of a conversation. Each protocol parses its own JSON into
// this type; values.go makes of it what templates read.
type Message struct {
	Role      string // one of Roles
	Name      string // of the speaker or of the tool, if the client gave one
	Parts     []Part // the content, in order; none is an empty content
	Reasoning string // what an assistant thought before it answered
	Calls     []Call // what an assistant asked tools to do
	CallID    string // of the call that a tool's message answers
	Extra     []Field
}

// Part is a piece of a message's content.
type Part struct {
	Kind Kind
	Text string
}

// Kind is what a part of a content is.
type Kind uint8

// Text is the only kind so far; parsers refuse all others by name.
const Text Kind = iota

// Call is one tool call of an assistant.
type Call struct {
	ID        string // empty if the client gave none
	Name      string // of the tool
	Arguments string // as the model wrote them: a JSON object, unless it made a mistake
}

// Field is a further field of a message, which only some templates know.
type Field struct {
	Name  string
	Value Data
}

// Roles are the roles that a message may have.
var Roles = []string{"system", "developer", "user", "assistant", "tool", "function"}

// NewMessage returns a message of plain text.
func NewMessage(role, content string) Message {
	return Message{Role: role, Parts: []Part{{Text, content}}}
}

// FieldError says what is wrong with which field of a conversation.
type FieldError struct {
	Field  string // such as messages[2].role
	Reason string
}

func (e *FieldError) Error() string { return e.Field + " " + e.Reason }

// Wrong returns a *FieldError.
func Wrong(field, format string, a ...any) error {
	return &FieldError{field, fmt.Sprintf(format, a...)}
}

// Data is a JSON value that a client sent for templates to read, such as the
// schema of a tool. The zero Data is null.
type Data struct{ value jinja.Value }

// ParseData reads a JSON text. field is what errors, which are *FieldError, call it.
func ParseData(field string, text []byte) (Data, error) {
	v, err := jinja.FromClientJSON(text)
	if err != nil {
		return Data{}, Wrong(field, "is not valid JSON: %v", err)
	}
	return Data{v}, nil
}

// ParseTools reads the tools of a request: an array of objects, or null.
func ParseTools(text []byte) (Data, error) {
	const field = "tools"
	d, err := ParseData(field, text)
	if err != nil || d.value == nil {
		return Data{}, err
	}
	list, ok := d.value.(*jinja.List)
	if !ok {
		return Data{}, Wrong(field, "must be an array")
	}
	for i, item := range list.Items {
		if _, ok := item.(*jinja.Dict); !ok {
			return Data{}, Wrong(fmt.Sprintf("%s[%d]", field, i), "must be an object")
		}
	}
	if len(list.Items) == 0 {
		return Data{}, nil
	}
	return d, nil
}

// Variables are further variables of a template, such as enable_thinking.
type Variables struct{ fields []Field }

// maxVariables is more variables than any template has.
const maxVariables = 256

// reserved are the variables that clients must not replace.
var reserved = []string{"messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token"}

// ParseVariables reads the JSON object chat_template_kwargs, or null.
func ParseVariables(text []byte) (Variables, error) {
	const field = "chat_template_kwargs"
	var vars Variables
	data, err := ParseData(field, text)
	if err != nil || data.value == nil {
		return vars, err
	}
	d, ok := data.value.(*jinja.Dict)
	if !ok {
		return vars, Wrong(field, "must be an object")
	}
	if d.Len() > maxVariables {
		return vars, Wrong(field, "must not have more than %d entries", maxVariables)
	}
	for i := range d.Len() {
		key, v := d.At(i)
		if slices.Contains(reserved, key) {
			return vars, Wrong(field, "must not contain %s", key)
		}
		vars.Set(key, Data{v})
	}
	return vars, nil
}

// Set adds a variable, or replaces it.
func (v *Variables) Set(name string, value Data) {
	for i := range v.fields {
		if v.fields[i].Name == name {
			v.fields[i].Value = value
			return
		}
	}
	v.fields = append(v.fields, Field{name, value})
}

// Has reports whether there is a variable of that name.
func (v *Variables) Has(name string) bool {
	return slices.ContainsFunc(v.fields, func(f Field) bool { return f.Name == name })
}

// SetText adds a variable that is a string.
func (v *Variables) SetText(name, text string) { v.Set(name, Data{jinja.Client(text)}) }

// SetBool adds a variable that is true or false.
func (v *Variables) SetBool(name string, value bool) { v.Set(name, Data{value}) }

// Text returns the content of a message with its parts on lines of their own.
func (m *Message) Text() string {
	if len(m.Parts) == 1 {
		return m.Parts[0].Text
	}
	texts := make([]string, len(m.Parts))
	for i, p := range m.Parts {
		texts[i] = p.Text
	}
	return strings.Join(texts, "\n")
}
