package server

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/engine"
)

// agentSession is a session of an agent: what it sends with every request, and
// what each turn adds to the conversation. `make agents` runs the same files
// with a real model.
type agentSession struct {
	Path    string              `json:"path"`
	AddTo   string              `json:"add_to"` // the field that has the conversation
	Request map[string]any      `json:"request"`
	Turns   [][]json.RawMessage `json:"turns"`
}

func readSession(t *testing.T, name string) *agentSession {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "agents", name))
	if err != nil {
		t.Fatal(err)
	}
	var s agentSession
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	delete(s.Request, "model")
	return &s
}

// body is the request of a turn. Claude Code's billing header is another one in
// each request.
func (s *agentSession) body(t *testing.T, turn int) string {
	t.Helper()
	var all []json.RawMessage
	for _, added := range s.Turns[:turn+1] {
		all = append(all, added...)
	}
	s.Request[s.AddTo] = all
	data, err := json.Marshal(s.Request)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(string(data), "cch=00000;", fmt.Sprintf("cch=%05x;", 0xa11ce+turn*0x1357), 1)
}

// usageOf reads the tokens of a prompt, and how many of them were cached, from the
// last event that has a usage.
func usageOf(t *testing.T, body string) (prompt, cached int) {
	t.Helper()
	_, data := named(t, body)
	for _, d := range data {
		switch d["type"] {
		case "message_delta":
			u := d["usage"].(map[string]any)
			cached = int(u["cache_read_input_tokens"].(float64))
			prompt = cached + int(u["input_tokens"].(float64))
		case "response.completed", "response.incomplete":
			prompt = int(at(t, d, "response", "usage", "input_tokens").(float64))
			cached = int(at(t, d, "response", "usage", "input_tokens_details", "cached_tokens").(float64))
		}
	}
	if prompt == 0 {
		t.Fatalf("no usage in %.2000s", body)
	}
	return prompt, cached
}

// TestAgentSessions: from the second turn of an agent on, at least 95 % of its
// prompt comes out of the prefix cache, and no rows are computed but those of what
// the turn added. So the time to its first token depends on that alone.
func TestAgentSessions(t *testing.T) {
	for _, name := range []string{"claude-code.json", "codex.json"} {
		t.Run(name, func(t *testing.T) {
			f := withTools(t, "I look.\x00", func(_ *Config, e *engine.Config) {
				e.Context, e.Blocks, e.PrefixCache = 1<<18, 1<<15, true
			})
			f.model.Config.Context = 1 << 18
			s, before := readSession(t, name), 0
			for turn := range s.Turns {
				start, rows := time.Now(), f.script.rows.Load()
				a := f.post(t, s.Path, s.body(t, turn))
				if a.status != 200 {
					t.Fatalf("turn %d: %d %s", turn+1, a.status, a.body)
				}
				took, computed := time.Since(start), int(f.script.rows.Load()-rows)
				prompt, cached := usageOf(t, a.body)
				t.Logf("turn %d: %d tokens, %d new, %d cached (%.1f %%), %d rows, %s", turn+1, prompt, prompt-before, cached, 100*float64(cached)/float64(prompt), computed, took.Round(time.Millisecond))
				if turn > 0 {
					checkTurn(t, prompt, cached, prompt-before, computed)
				}
				before = prompt
			}
		})
	}
}

// checkTurn holds one turn, which the log names, to what the session promises.
func checkTurn(t *testing.T, prompt, cached, added, computed int) {
	t.Helper()
	const block, answer = 16, 16 // the last block of a prompt is not shared; what the model says is computed, too
	if 100*cached < 95*prompt {
		t.Errorf("%d of %d tokens are cached", cached, prompt)
	}
	if computed > added+2*block+answer {
		t.Errorf("the turn added %d tokens, and %d rows were computed", added, computed)
	}
}
