package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/chat"
)

// ParseMessages reads the JSON array of a chat request. Errors are
// *chat.FieldError and name the field.
func ParseMessages(data []byte) ([]chat.Message, error) {
	if !json.Valid(data) {
		return nil, chat.Wrong("messages", "is not valid JSON")
	}
	var list []json.RawMessage
	if json.Unmarshal(data, &list) != nil || list == nil {
		return nil, chat.Wrong("messages", "must be an array")
	}
	if len(list) == 0 {
		return nil, chat.Wrong("messages", "must not be empty")
	}
	messages := make([]chat.Message, len(list))
	for i, raw := range list {
		if err := parseMessage(&messages[i], raw, fmt.Sprintf("messages[%d]", i)); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

// member is one name and value of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

func (m member) null() bool { return string(m.value) == "null" }

// members returns what a JSON object holds, in order. Names match exactly, and
// none may occur twice: readers would not agree on which one counts.
func members(raw []byte, at string) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, chat.Wrong(at, "must be an object")
	}
	var all []member
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, chat.Wrong(at, "is not valid JSON")
		}
		m := member{name: t.(string)}
		if slices.ContainsFunc(all, func(o member) bool { return o.name == m.name }) {
			return nil, chat.Wrong(at, "has the field %.40q twice", m.name)
		}
		if err := d.Decode(&m.value); err != nil {
			return nil, chat.Wrong(at+"."+m.name, "is not valid JSON")
		}
		if all = append(all, m); len(all) > maxMembers {
			return nil, chat.Wrong(at, "has more than %d fields", maxMembers)
		}
	}
	return all, nil
}

// maxMembers is more fields than a message, a part of one or a call has.
const maxMembers = 64

func parseMessage(m *chat.Message, raw []byte, at string) error {
	fields, err := members(raw, at)
	if err != nil {
		return err
	}
	var content *member
	for i, f := range fields {
		at := at + "." + f.name
		switch f.name {
		case "role":
			err = parseRole(&m.Role, f, at)
		case "content":
			content = &fields[i]
			m.Parts, err = parseContent(f, at)
		case "name":
			err = parseText(&m.Name, f, at)
		case "reasoning_content", "reasoning": // DeepSeek's name, and vLLM's newer one
			if m.Reasoning == "" {
				err = parseText(&m.Reasoning, f, at)
			}
		case "tool_calls":
			m.Calls, err = parseCalls(f, at)
		case "function_call": // the older form
			if !f.null() {
				m.Calls = make([]chat.Call, 1)
				err = parseFunction(&m.Calls[0], f, at)
			}
		case "tool_call_id":
			err = parseText(&m.CallID, f, at)
		default:
			err = parseExtra(m, f, at)
		}
		if err != nil {
			return err
		}
	}
	if m.Role == "" {
		return chat.Wrong(at+".role", "must be one of %s", strings.Join(chat.Roles, ", "))
	}
	if m.Role == "tool" && m.CallID == "" {
		return chat.Wrong(at+".tool_call_id", "must be the id of the call that the message answers")
	}
	if content == nil && len(m.Calls) == 0 {
		return chat.Wrong(at+".content", "must be a string or an array of text parts")
	}
	return nil
}

func parseRole(to *string, f member, at string) error {
	if json.Unmarshal(f.value, to) != nil || f.null() {
		return chat.Wrong(at, "must be a string")
	}
	if !slices.Contains(chat.Roles, *to) {
		return chat.Wrong(at, "must be one of %s", strings.Join(chat.Roles, ", "))
	}
	return nil
}

// parseText reads a string; null is an empty one.
func parseText(to *string, f member, at string) error {
	if json.Unmarshal(f.value, to) != nil {
		return chat.Wrong(at, "must be a string")
	}
	return nil
}

func parseExtra(m *chat.Message, f member, at string) error {
	data, err := chat.ParseData(at, f.value)
	m.Extra = append(m.Extra, chat.Field{Name: f.name, Value: data})
	return err
}

// parseContent reads a string, an array of text parts, or null, which is an
// empty content.
func parseContent(f member, at string) ([]chat.Part, error) {
	if f.null() {
		return nil, nil
	}
	var text string
	if json.Unmarshal(f.value, &text) == nil {
		return []chat.Part{{Kind: chat.Text, Text: text}}, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(f.value, &list) != nil {
		return nil, chat.Wrong(at, "must be a string or an array of text parts")
	}
	parts := make([]chat.Part, len(list))
	for i, raw := range list {
		if err := parsePart(&parts[i], raw, fmt.Sprintf("%s[%d]", at, i)); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

func parsePart(p *chat.Part, raw []byte, at string) error {
	fields, err := members(raw, at)
	if err != nil {
		return err
	}
	var kind, text, refusal *string
	for _, f := range fields {
		switch f.name {
		case "type":
			err = errors.Join(err, json.Unmarshal(f.value, &kind))
		case "text":
			if json.Unmarshal(f.value, &text) != nil {
				return chat.Wrong(at+".text", "must be a string")
			}
		case "refusal": // of an assistant's part that says why there is no answer
			if json.Unmarshal(f.value, &refusal) != nil {
				return chat.Wrong(at+".refusal", "must be a string")
			}
		}
	}
	if err == nil && kind != nil && *kind == "refusal" && refusal != nil {
		*p = chat.Part{Kind: chat.Text, Text: *refusal}
		return nil
	}
	switch {
	case err != nil || kind == nil || *kind != "text":
		return chat.Wrong(at+".type", "must be text: this model takes no other input")
	case text == nil:
		return chat.Wrong(at+".text", "must be a string")
	}
	*p = chat.Part{Kind: chat.Text, Text: *text}
	return nil
}

// parseCalls reads the tool calls of an earlier answer.
func parseCalls(f member, at string) ([]chat.Call, error) {
	var list []json.RawMessage
	if json.Unmarshal(f.value, &list) != nil {
		return nil, chat.Wrong(at, "must be an array")
	}
	if len(list) == 0 {
		return nil, nil
	}
	calls := make([]chat.Call, len(list))
	for i, raw := range list {
		if err := parseCall(&calls[i], raw, fmt.Sprintf("%s[%d]", at, i)); err != nil {
			return nil, err
		}
	}
	return calls, nil
}

func parseCall(c *chat.Call, raw []byte, at string) error {
	fields, err := members(raw, at)
	if err != nil {
		return err
	}
	function := member{}
	for _, f := range fields {
		at := at + "." + f.name
		switch f.name {
		case "id":
			err = parseText(&c.ID, f, at)
		case "type":
			if string(f.value) != `"function"` {
				err = chat.Wrong(at, "must be function")
			}
		case "function":
			function = f
		}
		if err != nil {
			return err
		}
	}
	return parseFunction(c, function, at+".function")
}

func parseFunction(c *chat.Call, function member, at string) error {
	fields, err := members(function.value, at)
	if err != nil {
		return err
	}
	for _, f := range fields {
		at := at + "." + f.name
		switch f.name {
		case "name":
			err = parseText(&c.Name, f, at)
		case "arguments":
			// A string by OpenAI's definition; some clients send the object itself.
			if f.value[0] == '{' {
				c.Arguments = string(f.value)
			} else {
				err = parseText(&c.Arguments, f, at)
			}
		}
		if err != nil {
			return err
		}
	}
	if c.Name == "" {
		return chat.Wrong(at+".name", "must be a string that is not empty")
	}
	return nil
}
