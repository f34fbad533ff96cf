package chat

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// outcome is what a template does with a message of a role.
type outcome int

const (
	shown outcome = iota
	lost
	failed // the template does not accept the conversation that was tried
)

// probe finds out by trying what the template does with messages of a role.
func (t *Template) probe(role string) outcome {
	const probe = "zqprobeqz"
	question, m := NewMessage("user", "question"), NewMessage(role, probe)
	messages := []Message{m, question}
	switch role {
	case "user":
		messages = []Message{m}
	case "assistant":
		messages = []Message{question, m, question}
	case "tool", "function":
		call := Call{ID: "abcdefghi", Name: "probe_tool", Arguments: "{}"}
		m.Name, m.CallID = call.Name, call.ID
		messages = []Message{question, {Role: "assistant", Calls: []Call{call}}, m}
		t = t.knowing(role)
	case "developer":
		t = t.knowing(role)
	}
	p, err := t.render(context.Background(), messages, Options{GenerationPrompt: true})
	switch {
	case err != nil:
		return failed
	case strings.Contains(p.Text, probe):
		return shown
	}
	return lost
}

// knowing is the template with a role that is passed to it under its own name.
func (t *Template) knowing(role string) *Template {
	try := *t
	switch role {
	case "developer":
		try.habits.developer = true
	case "function":
		try.habits.function = true
	}
	return &try
}

// dropped makes the functions of Template.drops.
func (t *Template) dropped() map[string]func() bool {
	drops := map[string]func() bool{}
	for _, role := range Roles {
		passed := role
		switch {
		case role == "developer" && !t.habits.developer:
			passed = "system"
		case role == "function" && !t.habits.function:
			passed = "tool"
		}
		drops[role] = sync.OnceValue(func() bool { return t.probe(passed) == lost })
	}
	return drops
}

// checkRoles refuses a conversation with a role whose messages the template leaves
// out: the model would not know what they say. The settled messages are what the
// template gets; the error names the message that the client sent.
func (t *Template) checkRoles(settled, sent []Message) error {
	for i := range settled {
		role := settled[i].Role
		drops := t.drops[role]
		if drops == nil || !drops() {
			continue
		}
		at := slices.IndexFunc(sent, func(m Message) bool { return m.Role == role })
		return Wrong(fmt.Sprintf("messages[%d].role", max(at, 0)), "is %s, and this model's chat template leaves such messages out; put the text into a user message", role)
	}
	return nil
}
