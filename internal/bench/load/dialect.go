package load

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Dialect is the protocol of a request and its answer.
type Dialect string

const (
	Auto        Dialect = "auto"        // ask the server, see Detect
	Completions Dialect = "completions" // POST /v1/completions
	Chat        Dialect = "chat"        // POST /v1/chat/completions
	Native      Dialect = "native"      // POST /generate, /generate_stream
	Ollama      Dialect = "ollama"      // POST /api/generate
	OllamaChat  Dialect = "ollama-chat" // POST /api/chat
)

// dialects lists every dialect but Auto.
func dialects() []Dialect { return []Dialect{Completions, Chat, Native, Ollama, OllamaChat} }

func (d Dialect) path(stream bool) string {
	switch d {
	case Completions:
		return "/v1/completions"
	case Chat:
		return "/v1/chat/completions"
	case Native:
		if stream {
			return "/generate_stream"
		}
		return "/generate"
	case Ollama:
		return "/api/generate"
	case OllamaChat:
		return "/api/chat"
	}
	return ""
}

// dialectOfPath recognises a URL that names an endpoint; the base is the path before it.
func dialectOfPath(path string) (d Dialect, base string, ok bool) {
	for _, d := range dialects() {
		for _, p := range []string{d.path(true), d.path(false)} {
			if strings.HasSuffix(path, p) {
				return d, strings.TrimSuffix(path, p), true
			}
		}
	}
	return Auto, strings.TrimSuffix(strings.TrimSuffix(path, "/"), "/v1"), false
}

// content lists the JSON keys whose non-empty string makes an event of a stream a piece of the answer. Inside a JSON string
// the quotes of such a key are escaped, so a key can't be mistaken for generated text.
func (d Dialect) content() []string {
	switch d {
	case Completions:
		return []string{`"text":`}
	case Chat, OllamaChat:
		return []string{`"content":`, `"reasoning_content":`, `"reasoning":`, `"thinking":`, `"arguments":`}
	case Native:
		return []string{`"token":`}
	case Ollama:
		return []string{`"response":`, `"thinking":`}
	}
	return nil
}

// Target is a server and how it is asked.
type Target struct {
	URL      string  // base, such as http://127.0.0.1:8080, or the endpoint itself
	Dialect  Dialect // protocol of the endpoint
	Model    string  // sent as "model" where the dialect has one
	APIKey   string  // sent as a bearer token
	Stream   bool
	Fresh    bool // a new connection for each request
	HTTP2    bool // h2c, or HTTP/2 over TLS
	Insecure bool // accept any certificate

	Tag bool // send a number as x-request-id with each request

	MaxTokens   int
	Temperature float64
	IgnoreEOS   bool // always generate MaxTokens, so that runs are comparable
	Extra       map[string]any
	Timeout     time.Duration // of a request; 0: none
}

// Message is one message of a chat.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// body encodes a request.
func (t Target) body(messages []Message, turn Turn) ([]byte, error) {
	tokens := t.MaxTokens
	if turn.MaxTokens > 0 {
		tokens = turn.MaxTokens
	}
	m := map[string]any{"stream": t.Stream}
	if t.Model != "" {
		m["model"] = t.Model
	}
	switch t.Dialect {
	case Completions, Native:
		m["prompt"] = plainPrompt(messages)
	case Ollama:
		m["prompt"], m["raw"] = plainPrompt(messages), true // raw: the server must not put the model's template around it
	default:
		m["messages"] = messages
	}
	switch t.Dialect {
	case Ollama, OllamaChat:
		options := map[string]any{"num_predict": tokens, "temperature": t.Temperature}
		if t.IgnoreEOS {
			options["ignore_eos"] = true
		}
		m["options"] = options
	default:
		m["max_tokens"], m["temperature"] = tokens, t.Temperature
		if t.IgnoreEOS {
			m["ignore_eos"] = true
		}
		if t.Stream && t.Dialect != Native {
			m["stream_options"] = map[string]any{"include_usage": true}
		}
	}
	for k, v := range t.Extra {
		m[k] = v
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("request body: %w", err)
	}
	return b, nil
}

// plainPrompt is a conversation as text, for endpoints without messages.
func plainPrompt(messages []Message) string {
	if len(messages) == 1 {
		return messages[0].Content
	}
	var b strings.Builder
	for _, m := range messages {
		b.WriteString(m.Content)
		b.WriteByte('\n')
	}
	return b.String()
}
