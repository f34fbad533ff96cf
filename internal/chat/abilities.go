package chat

import (
	"context"
	"strings"
)

// Abilities are what a template shows to the model.
type Abilities struct {
	System       bool // system messages
	Tools        bool // the definitions of tools
	Calls        bool // calls that the model has made
	SeveralCalls bool // several calls of one message
	Results      bool // what tools have returned
	Reasoning    bool // what the model thought before an earlier answer
	Parts        bool // it wants contents as lists of parts
}

// Abilities is what the template can do.
func (t *Template) Abilities() Abilities { return t.abilities() }

// findAbilities finds out by trying.
func (t *Template) findAbilities() Abilities {
	first, second := Call{ID: "abcdefghi", Name: "probe_first", Arguments: "{}"}, Call{ID: "bcdefghij", Name: "probe_second", Arguments: "{}"}
	asked := func(calls ...Call) []Message {
		m := []Message{NewMessage("user", "question"), {Role: "assistant", Calls: calls}}
		for _, c := range calls {
			m = append(m, Message{Role: "tool", Name: "tool", CallID: c.ID, Parts: []Part{{Text, "result"}}})
		}
		return m
	}
	thought := Message{Role: "assistant", Reasoning: "zqprobeqz", Parts: []Part{{Text, "answer"}}}
	tools, _ := ParseTools([]byte(`[{"type":"function","function":{"name":"probe_tool","description":"d","parameters":{"type":"object","properties":{}}}}]`))
	question := NewMessage("user", "question")
	return Abilities{
		System:       t.probe("system") == shown,
		Tools:        t.shows([]Message{question}, tools, "probe_tool"),
		Calls:        t.shows(asked(first), Data{}, first.Name),
		SeveralCalls: t.shows(asked(first, second), Data{}, first.Name, second.Name),
		Results:      t.probe("tool") == shown,
		Reasoning:    t.shows([]Message{question, thought, question}, Data{}, thought.Reasoning),
		Parts:        t.habits.parts,
	}
}

// shows reports whether all of the texts are in the prompt of a conversation.
func (t *Template) shows(messages []Message, tools Data, texts ...string) bool {
	p, err := t.render(context.Background(), messages, Options{GenerationPrompt: true, Tools: tools})
	for _, text := range texts {
		if err != nil || !strings.Contains(p.Text, text) {
			return false
		}
	}
	return true
}
