package browser

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/access"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/server"
	"github.com/penstock-llm/penstock/internal/tinymodel"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// template is ChatML with tools, as Qwen's models have it.
const template = `{% if tools %}<|im_start|>system
# Tools
<tools>{% for tool in tools %}
{{ tool | tojson }}{% endfor %}
</tools>
Write calls as <tool_call>{"name": …, "arguments": …}</tool_call><|im_end|>
{% endif %}{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content or '' }}{% for call in message.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`

// site is a server with an actor behind it.
type site struct {
	*actor
	url    string
	engine *engine.Engine
	http   *http.Server
	addr   string
	api    *server.Server

	also   []string    // further models, played by the same actor
	bodies chan string // of the last requests for an answer
}

// ServeHTTP notes what is asked for on its way to the server.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/chat/completions" {
		b, err := io.ReadAll(r.Body)
		if err == nil {
			select {
			case s.bodies <- string(b):
			default:
			}
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
	}
	s.api.ServeHTTP(w, r)
}

// body is the request that was sent last.
func (s *site) body() (last string) {
	for {
		select {
		case last = <-s.bodies:
		default:
			return last
		}
	}
}

type option func(*site, *server.Config, *engine.Config)

func serve(t *testing.T, options ...option) *site {
	t.Helper()
	file, err := tinymodel.Open(tinymodel.Options{Vocab: vocab, Template: template})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(file)
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := chat.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	cfg := server.Config{Version: "test"}
	ecfg := engine.Config{Blocks: 1024, Context: 8192, MaxBatch: 8, MaxQueue: 64, PrefixCache: true, EOG: tok.EOG()}
	s := &site{bodies: make(chan string, 1000)}
	for _, o := range options {
		o(s, &cfg, &ecfg)
	}
	s.actor = newActor(tok, ecfg.Blocks)
	if s.engine, err = engine.New(s.actor, nil, ecfg); err != nil {
		t.Fatal(err)
	}
	deploy := func(name string) *server.Deployment {
		return &server.Deployment{
			ID: name, Path: name + ".gguf", Created: time.Unix(1700000000, 0), CPU: "generic", Threads: 1, Engine: s.engine, Tokenizer: tok, Chat: tmpl,
			Config:   model.Config{Arch: "llama", Quantization: "F32", Vocab: vocab, Dim: 64, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 32, FF: 96, Context: 8192, Params: 135_000_000},
			Sampling: sample.Settings{Temperature: new(0.0), TopP: new(0.9)},
		}
	}
	cfg.Model = deploy("tiny")
	s.api = server.New(cfg)
	for _, name := range s.also {
		s.api.Attach(deploy(name))
	}
	s.listen(t, "127.0.0.1:0")
	t.Cleanup(func() {
		s.http.Close()
		s.engine.Close()
	})
	return s
}

// listen serves at an address, again after the server was killed.
func (s *site) listen(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s.addr, s.url = l.Addr().String(), "http://"+l.Addr().String()+"/ui/"
	s.http = s.api.HTTP("", nil)
	s.http.Handler = s
	go s.http.Serve(l)
}

// kill ends the server as a crash does: all connections break.
func (s *site) kill() { s.http.Close() }

func withContext(n int) option {
	return func(_ *site, _ *server.Config, e *engine.Config) { e.Context = n }
}

func withKey(secret string) option {
	return func(_ *site, c *server.Config, _ *engine.Config) {
		c.Keys = access.NewRing([]access.Key{{Name: "test", Digest: access.Digest(secret), Scopes: access.Scopes()}})
	}
}

// withModel attaches another model.
func withModel(name string) option {
	return func(s *site, _ *server.Config, _ *engine.Config) { s.also = append(s.also, name) }
}
