package openai

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

const testdata = "../../chat/jinja/testdata/"

// ordinary are the conversations that reach templates as Python gives them. (The
// others have no content, parts for a template of strings, or a role that is renamed.)
var ordinary = []string{"plain", "no-prompt", "system", "thinking", "tools", "tool-calls", "user-first-violation"}

// TestConversationsRenderAsInPython: the way from JSON over typed messages to
// the prompt changes no byte of what Python's Jinja2 makes of the JSON.
func TestConversationsRenderAsInPython(t *testing.T) {
	sameConversations(t, testdata+"templates", testdata+"golden.json")
}

func readJSON(t *testing.T, path string, to any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func sameConversations(t *testing.T, dir, goldens string) {
	var conversations []struct {
		Name string
		Vars map[string]json.RawMessage
	}
	readJSON(t, testdata+"conversations.json", &conversations)
	var golden []struct {
		Name   string
		Output *string
	}
	readJSON(t, goldens, &golden)
	want := map[string]*string{}
	for _, g := range golden {
		want[g.Name] = g.Output
	}
	paths, _ := filepath.Glob(filepath.Join(dir, "*.jinja"))
	compared := 0
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "strftime_now") {
			continue
		}
		for _, c := range conversations {
			name := filepath.Base(path) + "/" + c.Name
			if !slices.Contains(ordinary, c.Name) || want[name] == nil {
				continue
			}
			compared++
			got, err := renderVars(t, string(source), c.Vars)
			if leavesOut(t, err, c.Vars["messages"], *want[name]) {
				continue
			}
			if err != nil || got != *want[name] {
				t.Errorf("%s: %v\n got %q\nwant %q", name, err, got, *want[name])
			}
		}
	}
	if compared < 3*len(paths) || compared == 0 {
		t.Errorf("only %d renderings of %d templates compared", compared, len(paths))
	}
}

// leavesOut reports whether err is about a role that the template leaves out, and
// makes sure that it does.
func leavesOut(t *testing.T, err error, messages json.RawMessage, rendered string) bool {
	var refused *serving.Error
	if !errors.As(err, &refused) || !strings.Contains(refused.Message, "leaves such messages out") {
		return false
	}
	var list []struct{ Content string }
	var at int
	if _, err := fmt.Sscanf(refused.Param, "messages[%d].role", &at); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(messages, &list); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(rendered, list[at].Content) {
		t.Errorf("%v, but %q is in %q", err, list[at].Content, rendered)
	}
	return true
}

// renderVars renders what one of the conversations holds.
func renderVars(t *testing.T, source string, vars map[string]json.RawMessage) (string, error) {
	var bos, eos string
	var c api.Conversation
	extra := map[string]json.RawMessage{}
	for name, raw := range vars {
		var err error
		switch name {
		case "bos_token":
			err = json.Unmarshal(raw, &bos)
		case "eos_token":
			err = json.Unmarshal(raw, &eos)
		case "messages":
			c.Messages = raw
		case "tools":
			c.Tools = raw
		case "add_generation_prompt":
			err = json.Unmarshal(raw, &c.AddGenerationPrompt)
		case "documents":
		default:
			extra[name] = raw
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c.TemplateArgs, _ = json.Marshal(extra)
	tmpl, err := chat.New(source, bos, eos)
	if err != nil {
		return "", err
	}
	whole, err := conversation(&c)
	if err != nil {
		return "", err
	}
	p, refused := (&serving.Deployment{Chat: tmpl}).Render(t.Context(), whole)
	if refused != nil {
		return "", refused
	}
	return p.Text, nil
}
