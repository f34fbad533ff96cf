package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// lockedBuffer is a log that handlers of several goroutines write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// what a client says, as prompt and in places where it does not belong, and what the
// model says.
const asked, answered = "my secret diary", "hush hush"

// confidential are bodies that have the secret in each field that a protocol may
// have, right ones and wrong ones: each route takes some and refuses the others.
var confidential = func() (all []string) {
	for _, model := range []string{`"model":"tiny",`, ""} {
		for _, rest := range []string{
			`"messages":[{"role":"user","content":"%s"}],"max_tokens":8`,
			`"messages":[{"role":"user","content":"%s"}],"max_tokens":8,"stream":true`,
			`"messages":[{"role":"%s","content":"x"}],"max_tokens":8`,
			`"messages":[{"role":"user","content":"x"}],"max_tokens":8,"tools":[{"type":"function","function":{"name":"%s"}}]`,
			`"messages":[{"role":"user","content":"x"}],"max_tokens":8,"tool_choice":"%s"`,
			`"messages":"%s"`,
			`"prompt":"%s","max_tokens":8`,
			`"prompt":"%s","stream":true,"n_predict":8`,
			`"prompt":{"%s":1}`,
			`"prompt":"x","stop":["%s",1]`,
			`"prompt":"x","grammar":"%s"`,
			`"prompt":"x","temperature":"%s"`,
			`"prompt":"x","logit_bias":{"%s":1}`,
			`"prompt":"x","response_format":{"type":"%s"}`,
			`"prompt":"x","json_schema":{"type":"%s"},"format":{"type":"%s"}`,
			`"input":"%s","max_output_tokens":16`,
			`"input":[{"type":"%s"}]`,
			`"input":"x","previous_response_id":"%s"`,
			`"input_prefix":"%s","input_suffix":"%s","n_predict":4`,
			`"query":"%s","documents":["%s","y"]`,
			`"text_1":"%s","text_2":"%s"`,
			`"content":"%s"`,
			`"text":"%s"`,
			`"%s":1`,
			`"messages":[{"role":"user","content":"%s`,
		} {
			all = append(all, "{"+model+strings.ReplaceAll(rest, "%s", asked)+"}")
		}
	}
	return append(all, `"`+asked+`"`, asked, fmt.Sprintf(`[%q]`, asked))
}()

// No route logs what clients ask or what is answered, whether it succeeds or fails,
// at any level.
func TestPromptsAreNotLogged(t *testing.T) {
	var log lockedBuffer
	f := newFixture(t, answered+"\x00", func(c *Config, _ *engineConfig) {
		c.AccessLog, c.Log = true, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	statuses := map[int]int{}
	for _, r := range f.routes {
		if r.Trusted || strings.Contains(r.Path, "/live") && r.Method == http.MethodGet {
			continue // pull and delete have no prompts; the others' streams do not end
		}
		path := strings.NewReplacer("{$}", "", "{id...}", "x", "{id}", "x").Replace(r.Path)
		if r.Method != http.MethodPost {
			statuses[f.do(t, r.Method, path, "").status]++
			continue
		}
		for _, body := range confidential {
			statuses[f.do(t, "POST", path, body).status]++
		}
	}
	text := log.String()
	for _, secret := range []string{asked, answered, "secret", "diary", "hush"} {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("the log has %q: …%s…", secret, text[max(0, i-300):min(len(text), i+100)])
		}
	}
	if statuses[200] < 50 || statuses[400] < 200 || strings.Count(text, "msg=request ") < 250 {
		t.Errorf("the test has asked too little: %v, %d lines", statuses, strings.Count(text, "msg=request "))
	}
}

// With LogPrompts the log has what was asked and answered, of streams and
// embeddings too.
func TestPromptsAreLoggedIfAsked(t *testing.T) {
	for _, path := range []string{"/v1/chat/completions", "/v1/messages", "/v1/completions", "/api/chat", "/v1/embeddings"} {
		for _, stream := range []string{"true", "false"} {
			var log lockedBuffer
			f := newFixture(t, answered+"\x00", func(c *Config, _ *engineConfig) {
				c.AccessLog, c.LogPrompts, c.Log = true, true, slog.New(slog.NewTextHandler(&log, nil))
			})
			body := fmt.Sprintf(`{"model":"tiny","messages":[{"role":"user","content":%q}],"max_tokens":50,"stream":%s}`, asked, stream)
			switch path {
			case "/v1/completions":
				body = fmt.Sprintf(`{"prompt":%q,"max_tokens":50,"stream":%s}`, asked, stream)
			case "/v1/embeddings":
				body = fmt.Sprintf(`{"input":%q}`, asked)
			}
			if a := f.post(t, path, body); a.status != 200 {
				t.Fatalf("%s: %d %s", path, a.status, a.body)
			}
			waitFor(t, "the log", func() bool { return strings.Contains(log.String(), "msg=request") })
			text := log.String()
			if !strings.Contains(text, asked) || path != "/v1/embeddings" && !strings.Contains(text, `answer="`+answered) {
				t.Errorf("%s, stream %s: %s", path, stream, text)
			}
		}
	}
}
