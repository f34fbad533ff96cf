package chat

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/chat/jinja"
)

// Message is one turn of a conversation: its fields as the client sent them.
type Message struct{ fields *jinja.Dict }

// NewMessage returns a message of plain text.
func NewMessage(role, content string) Message {
	d := &jinja.Dict{}
	d.Set("role", role)
	d.Set("content", content)
	return Message{d}
}

// FieldError says what is wrong with which field of a conversation.
type FieldError struct {
	Field  string // such as messages[2].role
	Reason string
}

func (e *FieldError) Error() string { return e.Field + " " + e.Reason }

func fieldError(field, format string, a ...any) error {
	return &FieldError{field, fmt.Sprintf(format, a...)}
}

var roles = []string{"system", "developer", "user", "assistant", "tool", "function"}

// ParseMessages reads the JSON array of a chat request. Errors are *FieldError.
func ParseMessages(data []byte) ([]Message, error) {
	v, err := jinja.FromJSON(data)
	if err != nil {
		return nil, fieldError("messages", "is not valid JSON: %v", err)
	}
	list, ok := v.(*jinja.List)
	if !ok {
		return nil, fieldError("messages", "must be an array")
	}
	if len(list.Items) == 0 {
		return nil, fieldError("messages", "must not be empty")
	}
	messages := make([]Message, len(list.Items))
	for i, item := range list.Items {
		at := fmt.Sprintf("messages[%d]", i)
		d, ok := item.(*jinja.Dict)
		if !ok {
			return nil, fieldError(at, "must be an object")
		}
		if err := check(d, at); err != nil {
			return nil, err
		}
		messages[i] = Message{d}
	}
	return messages, nil
}

// check validates one message and brings its content into one of three forms:
// a string, nil, or a list of text parts.
func check(d *jinja.Dict, at string) error {
	v, _ := d.Get("role")
	role, ok := v.(string)
	if !ok {
		return fieldError(at+".role", "must be a string")
	}
	if !slices.Contains(roles, role) {
		return fieldError(at+".role", "must be one of %s", strings.Join(roles, ", "))
	}
	content, given := d.Get("content")
	switch c := content.(type) {
	case string:
	case nil:
		_, calls := d.Get("tool_calls")
		if role != "assistant" || !given && !calls {
			return fieldError(at+".content", "must be a string or an array of text parts")
		}
	case *jinja.List:
		if err := checkParts(c, at+".content"); err != nil {
			return err
		}
	default:
		return fieldError(at+".content", "must be a string or an array of text parts")
	}
	return checkCalls(d, at)
}

func checkParts(parts *jinja.List, at string) error {
	for i, p := range parts.Items {
		at := fmt.Sprintf("%s[%d]", at, i)
		d, ok := p.(*jinja.Dict)
		if !ok {
			return fieldError(at, "must be an object")
		}
		kind, _ := d.Get("type")
		if kind != "text" {
			return fieldError(at+".type", "must be text: this model takes no other input")
		}
		text, _ := d.Get("text")
		if _, ok := text.(string); !ok {
			return fieldError(at+".text", "must be a string")
		}
	}
	return nil
}

// checkCalls validates the tool calls of an earlier answer, and gives templates
// the arguments as a mapping, which OpenAI's format holds as a JSON text.
func checkCalls(d *jinja.Dict, at string) error {
	v, given := d.Get("tool_calls")
	if !given || v == nil {
		return nil
	}
	calls, ok := v.(*jinja.List)
	if !ok {
		return fieldError(at+".tool_calls", "must be an array")
	}
	for i, c := range calls.Items {
		at := fmt.Sprintf("%s.tool_calls[%d]", at, i)
		call, ok := c.(*jinja.Dict)
		if !ok {
			return fieldError(at, "must be an object")
		}
		f, _ := call.Get("function")
		function, ok := f.(*jinja.Dict)
		if !ok {
			return fieldError(at+".function", "must be an object")
		}
		text, ok := function.Get("arguments")
		if s, isText := text.(string); ok && isText {
			if parsed, err := jinja.FromJSON([]byte(s)); err == nil {
				if m, isMap := parsed.(*jinja.Dict); isMap {
					function.Set("arguments", m)
				}
			}
		}
	}
	return nil
}

// shape returns the message in the form that the template wants. The original
// is not changed.
func (t *Template) shape(m Message) Message {
	content, _ := m.fields.Get("content")
	role, _ := m.fields.Get("role")
	parts, isList := content.(*jinja.List)
	text, isText := content.(string)
	rename := role == "developer" && !t.developer
	if !rename && !(isList && !t.typed) && !(isText && t.typed) {
		return m
	}
	c := &jinja.Dict{}
	for i := range m.fields.Len() {
		c.Set(m.fields.At(i))
	}
	if rename {
		c.Set("role", "system")
	}
	switch {
	case isList && !t.typed:
		c.Set("content", joinParts(parts))
	case isText && t.typed:
		c.Set("content", textParts(text))
	}
	return Message{c}
}

func joinParts(parts *jinja.List) string {
	var texts []string
	for _, p := range parts.Items {
		if d, ok := p.(*jinja.Dict); ok {
			text, _ := d.Get("text")
			s, _ := text.(string)
			texts = append(texts, s)
		}
	}
	return strings.Join(texts, "\n")
}

// size is roughly the number of bytes of a message, for the limits.
func (m Message) size() int {
	content, _ := m.fields.Get("content")
	n := 64 * m.fields.Len()
	switch c := content.(type) {
	case string:
		n += len(c)
	case *jinja.List:
		n += len(joinParts(c))
	}
	return n
}

// reserved are the variables that Extra must not replace.
var reserved = []string{"messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token"}

// ParseExtra reads the JSON object chat_template_kwargs.
func ParseExtra(data []byte) (*jinja.Dict, error) {
	const field = "chat_template_kwargs"
	v, err := jinja.FromJSON(data)
	if err != nil {
		return nil, fieldError(field, "is not valid JSON: %v", err)
	}
	d, ok := v.(*jinja.Dict)
	if !ok {
		return nil, fieldError(field, "must be an object")
	}
	for i := range d.Len() {
		if key, _ := d.At(i); slices.Contains(reserved, key) {
			return nil, fieldError(field, "must not contain %s", key)
		}
	}
	return d, nil
}
