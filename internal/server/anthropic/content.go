package anthropic

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	api "github.com/penstock-llm/penstock/api/anthropic"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// parseMessages makes the messages of a conversation. Errors are
// *chat.FieldError and name the field.
func parseMessages(c *api.Conversation) ([]chat.Message, error) {
	if len(c.Messages) == 0 {
		return nil, chat.Wrong("messages", "must be an array with at least one message")
	}
	t := turns{names: map[string]string{}}
	system, err := parseSystem(c.System)
	if err != nil {
		return nil, err
	}
	if system != "" {
		t.all = append(t.all, chat.NewMessage("system", system))
	}
	for i, m := range c.Messages {
		at := fmt.Sprintf("messages[%d]", i)
		blocks, err := parseContent(m.Content, at+".content")
		if err != nil {
			return nil, err
		}
		switch m.Role {
		case "user":
			err = t.user(blocks, at+".content")
		case "assistant":
			err = t.assistant(blocks, at+".content")
		case "system":
			err = t.system(blocks, at+".content")
		default:
			err = chat.Wrong(at+".role", "must be user, assistant or system")
		}
		if err != nil {
			return nil, err
		}
	}
	return t.all, nil
}

// turns are the messages that were read so far.
type turns struct {
	all   []chat.Message
	names map[string]string // of the tools that were called, by the call's id
}

// parseContent reads a string, which is one block of text, or an array of blocks.
func parseContent(raw json.RawMessage, at string) ([]api.Block, error) {
	if string(raw) == "null" {
		return nil, nil
	}
	if len(raw) > 0 && raw[0] == '"' {
		text := new(string)
		return []api.Block{{Type: "text", Text: text}}, serving.Read(at, raw, text)
	}
	if len(raw) == 0 || raw[0] != '[' {
		return nil, chat.Wrong(at, "must be a string or an array of blocks")
	}
	var blocks []api.Block
	if err := serving.Read(at, raw, &blocks); err != nil {
		return nil, err
	}
	for i, b := range blocks {
		if b.Type == "text" && b.Text == nil {
			return nil, chat.Wrong(fmt.Sprintf("%s[%d].text", at, i), "is required in a block of text")
		}
	}
	return blocks, nil
}

// billing is the part of Claude Code's first system block that is different in
// every request. It is replaced by a constant, or no request would share the
// prefix of the one before.
var billing = regexp.MustCompile(`\bcch=[0-9A-Za-z]+`)

func parseSystem(raw json.RawMessage) (string, error) {
	if len(raw) == 0 {
		return "", nil
	}
	blocks, err := parseContent(raw, "system")
	if err != nil {
		return "", err
	}
	texts := make([]string, 0, len(blocks))
	for i, b := range blocks {
		if b.Type != "text" {
			return "", chat.Wrong(fmt.Sprintf("system[%d].type", i), "must be text")
		}
		text := *b.Text
		if strings.HasPrefix(text, "x-anthropic-billing-header:") {
			text = billing.ReplaceAllString(text, "cch=0")
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "\n"), nil
}

// unknown says that a block is none that this server reads.
func unknown(kind, at string) error {
	switch kind {
	case "image", "document":
		return chat.Wrong(at+".type", "is %s, but this model takes text only", kind)
	}
	return chat.Wrong(at+".type", "is %.40q, which this server does not know here", kind)
}

// user appends the messages of a user's turn: the results of tools are messages
// of their own, in the order of the blocks.
func (t *turns) user(blocks []api.Block, at string) error {
	if len(blocks) == 0 {
		return chat.Wrong(at, "must not be empty in a user's message")
	}
	var parts []chat.Part
	flush := func() {
		if len(parts) > 0 {
			t.all = append(t.all, chat.Message{Role: "user", Parts: parts})
			parts = nil
		}
	}
	for i, b := range blocks {
		at := fmt.Sprintf("%s[%d]", at, i)
		switch b.Type {
		case "text":
			parts = append(parts, chat.Part{Kind: chat.Text, Text: *b.Text})
		case "tool_result":
			flush()
			m, err := t.result(b, at)
			if err != nil {
				return err
			}
			t.all = append(t.all, m)
		default:
			return unknown(b.Type, at)
		}
	}
	flush()
	return nil
}

// failed comes before what a tool says that could not do its work.
const failed = "The tool failed: "

// result makes the message of a tool. Some templates want the tool's name, which
// stands at the call.
func (t *turns) result(b api.Block, at string) (chat.Message, error) {
	m := chat.Message{Role: "tool", CallID: b.ToolUseID, Name: t.names[b.ToolUseID]}
	if b.ToolUseID == "" {
		return m, chat.Wrong(at+".tool_use_id", "is required")
	}
	if m.Name == "" {
		return m, chat.Wrong(at+".tool_use_id", "is %.60q, but no earlier tool_use block has that id", b.ToolUseID)
	}
	var blocks []api.Block
	if len(b.Content) > 0 {
		var err error
		if blocks, err = parseContent(b.Content, at+".content"); err != nil {
			return m, err
		}
	}
	for i, inner := range blocks {
		if inner.Type != "text" {
			return m, unknown(inner.Type, fmt.Sprintf("%s.content[%d]", at, i))
		}
		m.Parts = append(m.Parts, chat.Part{Kind: chat.Text, Text: *inner.Text})
	}
	if b.IsError { // no template has a place for it, so that it is said in words
		if len(m.Parts) == 0 {
			m.Parts = []chat.Part{{Kind: chat.Text}}
		}
		m.Parts[0].Text = failed + m.Parts[0].Text
	}
	return m, nil
}

// assistant appends an earlier answer.
func (t *turns) assistant(blocks []api.Block, at string) error {
	m := chat.Message{Role: "assistant"}
	for i, b := range blocks {
		at := fmt.Sprintf("%s[%d]", at, i)
		switch b.Type {
		case "text":
			m.Parts = append(m.Parts, chat.Part{Kind: chat.Text, Text: *b.Text})
		case "thinking":
			m.Reasoning += b.Thinking
		case "redacted_thinking": // nobody but Anthropic can read it
		case "tool_use":
			if b.ID == "" || b.Name == "" {
				return chat.Wrong(at, "must have an id and a name")
			}
			input := string(b.Input)
			if input == "" || input == "null" {
				input = "{}"
			}
			if input[0] != '{' {
				return chat.Wrong(at+".input", "must be an object")
			}
			m.Calls = append(m.Calls, chat.Call{ID: b.ID, Name: b.Name, Arguments: input})
			t.names[b.ID] = b.Name
		default:
			return unknown(b.Type, at)
		}
	}
	t.all = append(t.all, m)
	return nil
}

// system appends instructions that stand between the turns. They stay where they
// are: moved to the front they would change the prefix that the cache holds.
func (t *turns) system(blocks []api.Block, at string) error {
	m := chat.Message{Role: "system"}
	for i, b := range blocks {
		if b.Type != "text" {
			return unknown(b.Type, fmt.Sprintf("%s[%d]", at, i))
		}
		m.Parts = append(m.Parts, chat.Part{Kind: chat.Text, Text: *b.Text})
	}
	t.all = append(t.all, m)
	return nil
}
