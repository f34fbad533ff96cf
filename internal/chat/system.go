package chat

import (
	"context"
	"slices"
	"strings"
)

// settled returns the messages with system messages only where the template
// shows them. Agents put instructions between the turns. They are never moved to
// the front, which would change the prefix that the cache holds: where a
// template does not show them in their place, they become a reminder in the
// user's turn.
func (t *Template) settled(messages []Message) []Message {
	first := slices.IndexFunc(messages, func(m Message) bool { return !m.instructs() })
	if first < 0 || !slices.ContainsFunc(messages[first:], func(m Message) bool { return m.instructs() }) || t.keepsSystem() {
		return messages
	}
	settled := slices.Clone(messages[:first])
	var reminders []Part // for the user message that follows
	for _, m := range messages[first:] {
		switch {
		case m.instructs():
			reminders = append(reminders, Part{Text, "<system-reminder>\n" + m.Text() + "\n</system-reminder>"})
			continue
		case len(reminders) == 0:
		case m.Role == "user":
			m.Parts = append(slices.Clone(reminders), m.Parts...)
		default:
			settled = remind(settled, reminders)
		}
		settled, reminders = append(settled, m), nil
	}
	if len(reminders) > 0 {
		settled = remind(settled, reminders)
	}
	return settled
}

// remind adds reminders to the user's message at the end, or as one of the user's.
func remind(messages []Message, reminders []Part) []Message {
	if n := len(messages); n > 0 && messages[n-1].Role == "user" {
		messages[n-1].Parts = append(slices.Clone(messages[n-1].Parts), reminders...)
		return messages
	}
	return append(messages, Message{Role: "user", Parts: reminders})
}

func (m *Message) instructs() bool { return m.Role == "system" || m.Role == "developer" }

// findKeepsSystem finds out by trying whether the template shows a system
// message between other turns, in its place.
func (t *Template) findKeepsSystem() bool {
	const question, probe, end = "\u00abquestion\u00bb", "\u00abprobe\u00bb", "\u00abend\u00bb"
	p, err := t.render(context.Background(), []Message{
		NewMessage("user", question), NewMessage("assistant", "a"), NewMessage("system", probe), NewMessage("user", end),
	}, Options{GenerationPrompt: true})
	if err != nil {
		return false
	}
	before, after := strings.Index(p.Text, question), strings.Index(p.Text, end)
	at := strings.Index(p.Text, probe)
	return before >= 0 && before < at && at < after
}
