package responses

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	api "github.com/penstock-llm/penstock/api/responses"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// items turns the items of an input into messages. What an assistant said,
// thought and called in one turn is several items here, and one message there.
type items struct {
	messages []chat.Message
	open     bool              // the last message is an assistant's that further items belong to
	names    map[string]string // of the tools that were called, by the call's id
}

// parseInput reads the input. before are the messages of earlier responses.
func parseInput(raw json.RawMessage, before []chat.Message) ([]chat.Message, error) {
	in := items{messages: slices.Clone(before), names: map[string]string{}}
	for _, m := range before {
		for _, c := range m.Calls {
			in.names[c.ID] = c.Name
		}
	}
	const field = "input"
	if len(raw) == 0 || raw[0] == '"' || raw[0] == 'n' { // n: null
		text := ""
		if len(raw) > 0 {
			if err := serving.Read(field, raw, &text); err != nil {
				return nil, err
			}
		}
		return append(in.messages, chat.NewMessage("user", text)), nil
	}
	if raw[0] != '[' {
		return nil, chat.Wrong(field, "must be a string or an array of items")
	}
	var list []json.RawMessage
	if err := serving.Read(field, raw, &list); err != nil {
		return nil, err
	}
	for i, r := range list {
		if err := in.read(r, fmt.Sprintf("%s[%d]", field, i)); err != nil {
			return nil, err
		}
	}
	if len(in.messages) == 0 { // a client that only wants to know whether the server answers
		return []chat.Message{chat.NewMessage("user", "")}, nil
	}
	return in.messages, nil
}

// hosted are items of tools that OpenAI's servers run. They tell this model
// nothing and are left out.
var hosted = []string{
	"web_search_call", "file_search_call", "image_generation_call", "code_interpreter_call", "computer_call", "computer_call_output",
	"local_shell_call", "local_shell_call_output", "shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output",
	"mcp_list_tools", "mcp_call", "mcp_approval_request", "mcp_approval_response", "tool_search_call", "tool_search_output", "compaction",
}

// read adds the item of raw. Of one that is left out only the type is read: the
// others' fields have other values there, such as arguments that are an object.
func (in *items) read(raw json.RawMessage, at string) error {
	var kind struct {
		Type string `json:"type"`
	}
	if err := serving.Read(at, raw, &kind); err != nil || slices.Contains(hosted, kind.Type) {
		return err
	}
	var item api.Item
	if err := serving.Read(at, raw, &item); err != nil {
		return err
	}
	return in.add(&item, at)
}

func (in *items) add(item *api.Item, at string) error {
	switch item.Type {
	case "", "message":
		return in.message(item, at)
	case "reasoning":
		m := in.assistant()
		m.Reasoning += reasoningOf(item)
	case "function_call", "custom_tool_call":
		return in.call(item, at)
	case "function_call_output", "custom_tool_call_output":
		return in.output(item, at)
	case "item_reference":
		return chat.Wrong(at+".type", "is item_reference, but this server keeps whole responses only: send the item itself, or previous_response_id")
	default:
		return chat.Wrong(at+".type", "is %.40q, which this server does not know", item.Type)
	}
	return nil
}

// assistant returns the message that the items of an assistant's turn belong to.
func (in *items) assistant() *chat.Message {
	if !in.open {
		in.messages = append(in.messages, chat.Message{Role: "assistant"})
		in.open = true
	}
	return &in.messages[len(in.messages)-1]
}

func (in *items) message(item *api.Item, at string) error {
	if !slices.Contains([]string{"user", "assistant", "system", "developer"}, item.Role) {
		return chat.Wrong(at+".role", "must be user, assistant, system or developer")
	}
	parts, err := parseContent(item.Content, at+".content")
	if err != nil {
		return err
	}
	if item.Role == "assistant" {
		m := in.assistant()
		if len(m.Calls) > 0 { // text after calls is the next turn's
			in.open = false
			m = in.assistant()
		}
		m.Parts = append(m.Parts, parts...)
		return nil
	}
	in.open = false
	in.messages = append(in.messages, chat.Message{Role: item.Role, Parts: parts})
	return nil
}

// parseContent reads a string, or an array of parts that have text.
func parseContent(raw json.RawMessage, at string) ([]chat.Part, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	if raw[0] == '"' {
		parts := []chat.Part{{Kind: chat.Text}}
		return parts, serving.Read(at, raw, &parts[0].Text)
	}
	if raw[0] != '[' {
		return nil, chat.Wrong(at, "must be a string or an array of parts")
	}
	var list []api.Content
	if err := serving.Read(at, raw, &list); err != nil {
		return nil, err
	}
	parts := make([]chat.Part, 0, len(list))
	for i, c := range list {
		switch c.Type {
		case "input_text", "output_text", "text", "summary_text", "reasoning_text":
			if c.Text == nil {
				return nil, chat.Wrong(fmt.Sprintf("%s[%d].text", at, i), "is required in a part of the type %s", c.Type)
			}
			parts = append(parts, chat.Part{Kind: chat.Text, Text: *c.Text})
		case "refusal":
			parts = append(parts, chat.Part{Kind: chat.Text, Text: c.Refusal})
		default:
			return nil, chat.Wrong(fmt.Sprintf("%s[%d].type", at, i), "is %.40q, but this model takes text only", c.Type)
		}
	}
	return parts, nil
}

func (in *items) call(item *api.Item, at string) error {
	if item.CallID == "" || item.Name == "" {
		return chat.Wrong(at, "must have a call_id and a name")
	}
	c := chat.Call{ID: item.CallID, Name: item.Name, Arguments: item.Arguments}
	if item.Type == "custom_tool_call" {
		b, _ := json.Marshal(customInput{item.Input})
		c.Arguments = string(b)
	}
	m := in.assistant()
	m.Calls = append(m.Calls, c)
	in.names[c.ID] = c.Name
	return nil
}

func (in *items) output(item *api.Item, at string) error {
	m := chat.Message{Role: "tool", CallID: item.CallID, Name: in.names[item.CallID]}
	if item.CallID == "" {
		return chat.Wrong(at+".call_id", "is required: the call_id of the call that this is the output of")
	}
	if m.Name == "" {
		return chat.Wrong(at+".call_id", "is %.60q, but no earlier call has that id", item.CallID)
	}
	var err error
	if m.Parts, err = parseContent(item.Output, at+".output"); err != nil {
		return err
	}
	in.open = false
	in.messages = append(in.messages, m)
	return nil
}

// reasoningOf is what an item says that the model thought: its content, else the
// content that was packed for a client that does not keep it, else the summary.
func reasoningOf(item *api.Item) string {
	if parts, err := parseContent(item.Content, ""); err == nil && len(parts) > 0 {
		m := chat.Message{Parts: parts}
		return m.Text()
	}
	if item.Encrypted != nil {
		if text, ok := unpack(*item.Encrypted); ok {
			return text
		}
	}
	var texts []string
	for _, s := range item.Summary {
		if s.Text != nil {
			texts = append(texts, *s.Text)
		}
	}
	return strings.Join(texts, "\n")
}

// packed marks the reasoning that this server packed.
const packed = "penstock1:"

// pack makes encrypted_content. Clients that keep nothing else of the reasoning
// send it back. Nothing in it is secret from the client, so it is not encrypted.
func pack(reasoning string) string {
	return base64.StdEncoding.EncodeToString([]byte(packed + reasoning))
}

func unpack(text string) (string, bool) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", false
	}
	return strings.CutPrefix(string(b), packed)
}
