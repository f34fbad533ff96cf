package serving

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/chat/answer"
)

// Conversation is what a chat protocol asks a model to answer. Each protocol
// fills it from its own JSON.
type Conversation struct {
	Messages  []chat.Message
	Tools     []Tool // that the model may call
	Choice    ToolChoice
	OneCall   bool // the answer ends after its first call
	Variables chat.Variables

	// What the last message says is continued instead of answered.
	Continue bool
	// The prompt does not end with the beginning of the assistant's turn.
	NoTurn bool
	// What the model thinks before it answers is part of the text.
	RawReasoning bool
	// The most tokens that it thinks for; 0: as many as it likes.
	ThinkingBudget int
}

// Tool is a function that a model may call.
type Tool struct {
	Name       string
	Parameters json.RawMessage // a JSON Schema; may be empty
	Definition json.RawMessage // the whole tool in OpenAI's form, which templates show to the model
	Strict     bool            // a schema that the model can't be held to is refused
}

// CheckParameters reports whether a tool's parameters can be a JSON Schema. A tool
// without any takes every object.
func CheckParameters(parameters json.RawMessage) error {
	if len(parameters) > 0 && parameters[0] != '{' && string(parameters) != "null" {
		return errors.New("must be a JSON Schema, which is an object")
	}
	return nil
}

// NewTool makes a tool from its parts, for protocols whose form is not OpenAI's.
func NewTool(name, description string, parameters json.RawMessage) (Tool, error) {
	if err := CheckParameters(parameters); err != nil {
		return Tool{}, err
	}
	type function struct {
		Name        string          `json:"name"`
		Description string          `json:"description,omitempty"`
		Parameters  json.RawMessage `json:"parameters,omitempty"`
	}
	definition, err := json.Marshal(struct {
		Type     string   `json:"type"`
		Function function `json:"function"`
	}{"function", function{name, description, parameters}})
	return Tool{Name: name, Parameters: parameters, Definition: definition}, err
}

// Allow leaves the tools that allowed names, each of which must be there; all of
// them where it is nil.
func Allow(tools []Tool, allowed []string) ([]Tool, error) {
	if allowed == nil {
		return tools, nil
	}
	for _, name := range allowed {
		if !slices.ContainsFunc(tools, func(t Tool) bool { return t.Name == name }) {
			return nil, chat.Wrong("tool_choice", "allows %.60q, which is none of the tools", name)
		}
	}
	return slices.DeleteFunc(tools, func(t Tool) bool { return !slices.Contains(allowed, t.Name) }), nil
}

// ToolChoice is whether the model calls a tool.
type ToolChoice struct {
	Mode ChoiceMode
	Name string // of the tool that must be called, with Required; empty: any
}

// ChoiceMode is how much the model may choose.
type ChoiceMode uint8

// The modes of a tool choice.
const (
	Auto     ChoiceMode = iota // it decides
	None                       // it calls none, and is told of none
	Required                   // it calls one
)

// Reading is how the text of a generation is taken apart.
type Reading struct {
	format  *answer.Format
	options answer.Options
	oneCall bool
}

// Converse makes the prompt of a conversation, and says what its answer may be and
// how it is to be read: all of it goes into j.
func (m *Deployment) Converse(call *Call, c *Conversation, j *Job) *Error {
	tools := c.offered()
	text := ""
	err := m.prepared(call.R.Context(), c, func() (err *Error) {
		text, j.Prompt, err = m.prompt(call.R.Context(), c, tools)
		return err
	})
	if err != nil {
		return err
	}
	return m.answers(call, c, text, j)
}

// Measure counts the tokens of a conversation's prompt.
func (m *Deployment) Measure(ctx context.Context, c *Conversation) (tokens int, err *Error) {
	err = m.prepared(ctx, c, func() *Error {
		_, ids, err := m.prompt(ctx, c, c.offered())
		tokens = len(ids)
		return err
	})
	return tokens, err
}

// prepared runs make, which makes the prompt, when it is its turn.
func (m *Deployment) prepared(ctx context.Context, c *Conversation, make func() *Error) *Error {
	size := c.size()
	// Templates may leave parts of a conversation out, such as what the model once
	// thought, so one that is only somewhat too long is rendered.
	const leftOut = 2
	if err := m.fits(size / leftOut); err != nil {
		return err
	}
	return m.Prepare(ctx, size, make)
}

// size is how many bytes of text a conversation has.
func (c *Conversation) size() (n int) {
	for i := range c.Messages {
		m := &c.Messages[i]
		n += len(m.Reasoning)
		for _, p := range m.Parts {
			n += len(p.Text)
		}
		for _, call := range m.Calls {
			n += len(call.Name) + len(call.Arguments)
		}
	}
	for _, t := range c.Tools {
		n += len(t.Definition)
	}
	return n
}

// offered are the tools that the model is told of.
func (c *Conversation) offered() []Tool {
	if c.Choice.Mode == None {
		return nil
	}
	return c.Tools
}

func (m *Deployment) prompt(ctx context.Context, c *Conversation, tools []Tool) (text string, ids []int32, err *Error) {
	if err := c.check(tools); err != nil {
		return "", nil, err
	}
	p, err := m.render(ctx, c, tools)
	if err != nil {
		return "", nil, err
	}
	ids, err = m.EncodePrompt(p)
	return p.Text, ids, err
}

// answers says what may answer a prompt and how that is to be read.
func (m *Deployment) answers(call *Call, c *Conversation, prompt string, j *Job) *Error {
	tools := c.offered()
	reasoner, format := m.Chat.Reasoner(), m.Chat.Answers()
	begun := reasoner != nil && reasoner.Begun(prompt)
	r := &Reading{format: format, oneCall: c.OneCall}
	r.options = answer.Options{Control: m.isControl, NewID: callIDs(format)}
	if !c.RawReasoning {
		r.options.Reasoning, r.options.InReasoning = reasoner, begun
	}
	j.thinking = thinking{marks: reasoner, begun: begun, budget: c.ThinkingBudget}
	for _, t := range tools {
		if c.Choice.Name == "" || c.Choice.Name == t.Name {
			tool := answer.NewTool(t.Name, t.Parameters)
			tool.Strict = t.Strict
			r.options.Tools = append(r.options.Tools, tool)
		}
	}
	if len(tools) > 0 || format.Framed() || r.options.Reasoning != nil {
		j.Reading = r // else all of the answer is text
	}
	if len(tools) > 0 && !m.Chat.KnowsTools() {
		call.warn("the model is not told of the tools: its chat template has no place for them")
	}
	if c.ThinkingBudget > 0 && reasoner == nil {
		call.warn("the model cannot think: there is nothing that the budget could limit")
	}
	if len(tools) == 0 && (j.form == nil || reasoner == nil && !format.Framed()) {
		return nil // the form's own grammar will do
	}
	return m.restrict(call, j, r, answer.Shape{
		Tools: r.options.Tools, Required: c.Choice.Mode == Required, One: c.OneCall,
		Reasoning: reasoner, InReasoning: begun, Thought: reasoner != nil && reasoner.Ended(prompt),
	})
}

func (c *Conversation) check(tools []Tool) *Error {
	names := make(map[string]bool, len(tools))
	for i, t := range tools {
		if t.Name == "" {
			return Bad("tools", "tools[%d] has no name", i)
		}
		if names[t.Name] {
			return Bad("tools", "tools[%d]: there are two tools called %.60q", i, t.Name)
		}
		names[t.Name] = true
	}
	switch name := c.Choice.Name; {
	case c.Choice.Mode != Required:
	case len(tools) == 0:
		return Bad("tool_choice", "tool_choice asks for a call, but there are no tools")
	case name != "" && !names[name]:
		return Bad("tool_choice", "tool_choice names %.60q, which is none of the tools", name)
	}
	return nil
}

// Render makes the prompt's text alone.
func (m *Deployment) Render(ctx context.Context, c *Conversation) (chat.Prompt, *Error) {
	return m.render(ctx, c, c.Tools)
}

func (m *Deployment) render(ctx context.Context, c *Conversation, tools []Tool) (chat.Prompt, *Error) {
	o := chat.Options{GenerationPrompt: !c.NoTurn && !c.Continue, Continue: c.Continue, Variables: c.Variables}
	if len(tools) > 0 {
		definitions := make([]string, len(tools))
		for i, t := range tools {
			definitions[i] = string(t.Definition)
		}
		var err error
		if o.Tools, err = chat.ParseTools([]byte("[" + strings.Join(definitions, ",") + "]")); err != nil {
			return chat.Prompt{}, FromChat(err)
		}
	}
	p, err := m.Chat.Render(ctx, m.opened(c.Messages), o)
	if err != nil {
		return p, FromChat(err)
	}
	return p, nil
}

// opened are the messages, with the model's own system message before them where they
// have none.
func (m *Deployment) opened(messages []chat.Message) []chat.Message {
	instructs := func(m chat.Message) bool { return m.Role == "system" || m.Role == "developer" }
	if m.System == "" || slices.ContainsFunc(messages, instructs) {
		return messages
	}
	return append([]chat.Message{chat.NewMessage("system", m.System)}, messages...)
}

// isControl reports whether a text is the name of a control token.
func (m *Deployment) isControl(text string) bool {
	ids := m.Tokenizer.Encode(text, false, true)
	return len(ids) == 1 && m.Tokenizer.IsSpecial(ids[0])
}

// callIDs returns what makes the ids of calls. The templates of Mistral's models
// accept nothing but nine letters and digits.
func callIDs(f *answer.Format) func(int) string {
	if f == answer.Named("mistral") {
		return func(int) string { return NewID("")[:9] }
	}
	return func(int) string { return NewID("call_") }
}
