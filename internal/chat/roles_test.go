package chat

import (
	"errors"
	"strings"
	"testing"
)

// A message whose role the template leaves out is refused; nothing is lost in
// silence.
func TestDroppedRoles(t *testing.T) {
	const only = `{% for m in messages %}{% if m.role == 'user' or m.role == 'assistant' %}<{{ m.role }}>{{ m.content }}{% endif %}{% endfor %}`
	tmpl, err := New(only, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for role, at := range map[string]string{"system": "messages[0].role", "developer": "messages[0].role", "tool": "messages[2].role", "function": "messages[2].role"} {
		messages := []Message{NewMessage("user", "q"), NewMessage("assistant", "a"), NewMessage(role, "x")}
		if at == "messages[0].role" {
			messages = []Message{NewMessage(role, "x"), NewMessage("user", "q")}
		}
		_, err := tmpl.Render(t.Context(), messages, Options{})
		var field *FieldError
		if !errors.As(err, &field) || field.Field != at || !strings.Contains(field.Reason, role) {
			t.Errorf("%s: %v", role, err)
		}
	}
	if p, err := tmpl.Render(t.Context(), []Message{NewMessage("user", "q"), NewMessage("assistant", "a")}, Options{}); err != nil || p.Text != "<user>q<assistant>a" {
		t.Errorf("%q, %v", p.Text, err)
	}
	// System messages between turns become reminders of the user's, which are shown.
	if _, err := tmpl.Render(t.Context(), []Message{NewMessage("user", "q"), NewMessage("system", "s"), NewMessage("user", "r")}, Options{}); err != nil {
		t.Error(err)
	}
}

// A role that the template does not show under its own name is passed under the
// one that means the same.
func TestRolesThatMeanTheSame(t *testing.T) {
	const source = `{% for m in messages %}{% if m.role in ['system', 'user', 'assistant', 'tool'] %}<{{ m.role }}>{{ m.content }}{% elif m.role == 'developer' and m.nothing %}{{ m.content }}{% endif %}{% endfor %}`
	tmpl, err := New(source, "", "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := tmpl.Render(t.Context(), []Message{NewMessage("developer", "d"), NewMessage("user", "q"), NewMessage("function", "f")}, Options{})
	if err != nil || p.Text != "<system>d<user>q<tool>f" {
		t.Errorf("%q, %v", p.Text, err)
	}
	own, err := New(`{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{# developer #}`, "", "")
	if err != nil {
		t.Fatal(err)
	}
	p, err = own.Render(t.Context(), []Message{NewMessage("developer", "d"), NewMessage("user", "q"), NewMessage("function", "f")}, Options{})
	if err != nil || p.Text != "<developer>d<user>q<function>f" {
		t.Errorf("%q, %v", p.Text, err)
	}
}

func TestAbilities(t *testing.T) {
	for _, test := range []struct {
		template string
		want     Abilities
	}{
		{"chatml", Abilities{System: true, Results: true}},
		{"thinking", Abilities{System: true, Tools: true, Calls: true, SeveralCalls: true, Results: true}},
		{"llama3", Abilities{System: true, Tools: true, Calls: true, Results: true}},
	} {
		if got := load(t, test.template).Abilities(); got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.template, got, test.want)
		}
	}
	parts, err := New(`{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{{ m.reasoning_content }}{% endfor %}`, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := parts.Abilities(), (Abilities{System: true, Results: true, Reasoning: true, Parts: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
