package layers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/server"
	"github.com/penstock-llm/penstock/internal/server/serving"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// serveJob has the options of the server's process that are not part of the scenario.
type serveJob struct {
	Log bool `json:"log"` // log every request to a file
}

// hello is the first line of a worker, once it is ready. Only a server fills it in: where it listens, and which prompts clients should send.
type hello struct {
	URL    string `json:"url,omitempty"`
	TLS    string `json:"tls,omitempty"`
	Prompt string `json:"prompt,omitempty"`
	Tokens int    `json:"prompt_tokens,omitempty"`
	// Chat is the prompt for the chat endpoint. With the template around it, it has as many tokens as Prompt, or as close as possible.
	Chat       string `json:"chat_prompt,omitempty"`
	ChatTokens int    `json:"chat_prompt_tokens,omitempty"`
}

// mark is a reading of the server's counters. Traces has the tagged requests since the last reading.
type mark struct {
	CPU     float64       `json:"cpu_seconds"`
	Mallocs uint64        `json:"mallocs"`
	Stats   engine.Stats  `json:"stats"`
	Traces  []serverTimes `json:"traces"`
}

// site is an engine behind the project's real HTTP handler.
type site struct {
	engine *engine.Engine
	server *server.Server
	hello  hello // addresses are filled in once it listens
	log    *os.File
	end    func() error
}

// site loads the scenario's model and builds the HTTP handler over it.
func (s *Scenario) site(log bool) (*site, error) {
	in, err := s.open()
	if err != nil {
		return nil, err
	}
	x := &site{engine: in.Engine, end: in.Close}
	if err := x.build(s, in.File, in.Tokenizer, in.Model.Config(), log); err != nil {
		return nil, errors.Join(err, x.close())
	}
	return x, nil
}

func (x *site) build(s *Scenario, file *gguf.File, tok *tokenizer.Tokenizer, config model.Config, log bool) error {
	template, err := chat.Load(file)
	if err != nil {
		return err
	}
	if err := x.prompts(s, tok, template); err != nil {
		return err
	}
	cfg := server.Config{Version: "bench", AccessLog: log, Model: &server.Deployment{ID: "bench", Path: s.Model, Created: time.Now(), Config: config, CPU: s.Tier,
		Threads: s.Threads, Engine: x.engine, Tokenizer: tok, Chat: template}}
	if log {
		if x.log, err = os.Create(filepath.Join(os.TempDir(), fmt.Sprintf("penstock-bench-%d.log", os.Getpid()))); err != nil {
			return err
		}
		cfg.Log = slog.New(slog.NewTextHandler(x.log, nil))
	}
	x.server = server.New(cfg)
	return nil
}

// prompts makes the texts that clients send.
func (x *site) prompts(s *Scenario, tok *tokenizer.Tokenizer, template *chat.Template) error {
	text, ids, err := s.prompt(tok)
	if err != nil {
		return err
	}
	x.hello.Prompt, x.hello.Tokens = text, len(ids)
	m := serving.Deployment{Tokenizer: tok}
	x.hello.Chat, x.hello.ChatTokens, err = longest(s.Prompt, len(ids), func(text string) (int, error) {
		whole, err := template.Render(context.Background(), []chat.Message{chat.NewMessage("user", text)}, chat.Options{GenerationPrompt: true})
		return len(m.EncodeChat(whole)), err
	})
	if err != nil { // without a working template there is no chat endpoint to measure
		x.hello.Chat = text
	}
	return nil
}

func (x *site) close() error {
	err := x.end()
	if x.log != nil {
		x.log.Close()
		os.Remove(x.log.Name())
	}
	return err
}

// serve runs a server until standard input ends. It first writes a hello that says where it listens, then answers every question with a
// reading of its counters.
func (j *layerJob) serve(dec *json.Decoder, enc *json.Encoder) error {
	var x *site
	var err error
	if j.Mock != nil {
		x, err = j.Mock.site(&j.Scenario)
	} else {
		x, err = j.Scenario.site(j.Serve.Log)
	}
	if err != nil {
		return err
	}
	defer x.close()
	t := &tracer{next: x.server}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	secure, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	servers := []*http.Server{x.server.HTTP("", nil), x.server.HTTP("", &tls.Config{Certificates: []tls.Certificate{certificate}})}
	for _, h := range servers {
		h.Handler = t
		defer h.Close()
	}
	go servers[0].Serve(plain)             // both servers end
	go servers[1].ServeTLS(secure, "", "") // when Close is called
	x.hello.URL, x.hello.TLS = "http://"+plain.Addr().String(), "https://"+secure.Addr().String()
	if err := enc.Encode(x.hello); err != nil {
		return err
	}
	return answerLines(dec, enc, func(question) (any, error) {
		return mark{CPU: cpu.Used().Seconds(), Mallocs: mallocs(), Stats: x.engine.Stats(), Traces: t.take()}, nil
	})
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// selfSigned makes a certificate for the loopback interface.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// tracer records when a tagged request enters and leaves the handler, and what happens in between.
type tracer struct {
	next http.Handler

	mu    sync.Mutex
	times []serverTimes
}

func (t *tracer) take() []serverTimes {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.times
	t.times = nil
	return out
}

// ServeHTTP implements http.Handler.
func (t *tracer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("X-Request-Id")
	if id == "" {
		t.next.ServeHTTP(w, r)
		return
	}
	v := serverTimes{ID: id, Entered: time.Now().UnixNano()}
	body := &timedBody{ReadCloser: r.Body}
	out := &timedWriter{ResponseWriter: w}
	var trace serving.Trace
	r = r.WithContext(serving.WithTrace(r.Context(), &trace))
	r.Body = body
	t.next.ServeHTTP(out, r)
	v.Left = time.Now().UnixNano()
	v.Read, v.Writing, v.Write = body.end.UnixNano(), out.first.UnixNano(), int64(out.spent)
	// net/http sends the last bytes after the handler has returned, unless its buffer was full or flushed before.
	tm := &trace.Timings
	v.Submitted, v.Scheduled, v.Finished = tm.Submitted.UnixNano(), tm.Scheduled.UnixNano(), tm.Finished.UnixNano()
	v.Woken, v.Decoded, v.Detokenise = trace.Woken.UnixNano(), trace.Decoded.UnixNano(), int64(trace.Decoded.Sub(trace.Woken))
	v.Forward, v.Sampling, v.BatchWait = int64(tm.Forward), int64(tm.Sampling), int64(tm.Between)
	t.mu.Lock()
	t.times = append(t.times, v)
	t.mu.Unlock()
}

// timedBody records when the last read of a body ended.
type timedBody struct {
	io.ReadCloser
	end time.Time
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.end = time.Now()
	return n, err
}

// timedWriter records when the first write began, and how long all writes took together.
type timedWriter struct {
	http.ResponseWriter
	first time.Time
	spent time.Duration
}

func (w *timedWriter) Write(p []byte) (int, error) {
	start := time.Now()
	if w.first.IsZero() {
		w.first = start
	}
	n, err := w.ResponseWriter.Write(p)
	w.spent += time.Since(start)
	return n, err
}

// Flush sends what was written.
func (w *timedWriter) Flush() {
	start := time.Now()
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	w.spent += time.Since(start)
}

// Unwrap lets http.ResponseController find the writer below.
func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
