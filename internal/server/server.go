package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	anthropicapi "github.com/penstock-llm/penstock/api/anthropic"
	llamaapi "github.com/penstock-llm/penstock/api/llamaserver"
	nativeapi "github.com/penstock-llm/penstock/api/native"
	ollamaapi "github.com/penstock-llm/penstock/api/ollama"
	openaiapi "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/access"
	"github.com/penstock-llm/penstock/internal/hub"
	"github.com/penstock-llm/penstock/internal/prefixstore"
	"github.com/penstock-llm/penstock/internal/server/anthropic"
	"github.com/penstock-llm/penstock/internal/server/kvevents"
	"github.com/penstock-llm/penstock/internal/server/llamaserver"
	"github.com/penstock-llm/penstock/internal/server/native"
	"github.com/penstock-llm/penstock/internal/server/ollama"
	"github.com/penstock-llm/penstock/internal/server/openai"
	"github.com/penstock-llm/penstock/internal/server/openapi"
	"github.com/penstock-llm/penstock/internal/server/rerank"
	"github.com/penstock-llm/penstock/internal/server/responses"
	"github.com/penstock-llm/penstock/internal/server/routers"
	"github.com/penstock-llm/penstock/internal/server/serving"
	"github.com/penstock-llm/penstock/internal/server/tracing"
	"github.com/penstock-llm/penstock/internal/server/ui"
)

// Deployment is a loaded model with everything that serves it.
type Deployment = serving.Deployment

// Config is how the server behaves. Zero fields have the defaults named here;
// a negative duration means no limit.
type Config struct {
	Version string
	Model   *Deployment // nil: the server is loading until Attach
	Store   *hub.Store  // where models are pulled to over HTTP; nil: nowhere

	Keys           *access.Ring   // who may use it; nil: everybody
	Meters         *access.Meters // what their holders may use, and have used; nil: without limits
	Ledger         *access.Ledger // where that is kept, for the metrics; nil: nowhere
	PublicMetrics  bool           // /metrics needs no key
	TrustedProxies []netip.Prefix // that are believed about the addresses of their clients

	Residency serving.Residency // which models there are besides, and how long they stay in memory

	CORSOrigin     string   // value of Access-Control-Allow-Origin; empty: that of AllowedOrigins
	AllowedOrigins []string // of web pages that may use the server besides its own; "*": all
	AllowedHosts   []string // names of a server on a loopback address besides localhost; "*": all

	MaxBody        int64         // bytes of a request body: 8 MiB
	HeaderTimeout  time.Duration // for a request's headers: 10 s
	BodyTimeout    time.Duration // for its body: 30 s
	WriteTimeout   time.Duration // for a client to take what is written: 60 s
	IdleTimeout    time.Duration // between requests of a connection: 2 min
	RequestTimeout time.Duration // for a generation: none
	PingInterval   time.Duration // of comments that keep a silent stream alive: 15 s

	MetricsVLLM     bool // serve metrics under vLLM's names, too
	MetricsLlamaCPP bool // and under llama-server's
	AccessLog       bool // log each request, at the level Info
	LogPrompts      bool // and what was asked and answered
	Log             *slog.Logger
	Tracer          *tracing.Tracer // nil: no traces

	Prefixes *prefixstore.Store // keeps the beginnings of prompts, for the metrics; nil: nothing does
}

func (c *Config) fill() {
	or := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
		*d = max(*d, 0)
	}
	or(&c.HeaderTimeout, 10*time.Second)
	or(&c.BodyTimeout, 30*time.Second)
	or(&c.WriteTimeout, time.Minute)
	or(&c.IdleTimeout, 2*time.Minute)
	or(&c.RequestTimeout, 0)
	or(&c.PingInterval, 15*time.Second)
	if c.MaxBody == 0 {
		c.MaxBody = 8 << 20
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// Limits of the responses that are kept for later requests to refer to.
const (
	maxResponses     = 1024
	maxResponseBytes = 64 << 20
	maxResponseAge   = time.Hour
)

// Server is the whole API as an http.Handler.
type Server struct {
	cfg      Config
	app      *serving.App
	mux      *http.ServeMux
	routes   []serving.Route
	document func() []byte // /openapi.json; made when first asked for
	origins  origins
	paths    []*path
	metrics  *collector
	answers  *answers
	shapes   *shapes
	events   atomic.Pointer[kvevents.Publisher] // nil: nobody is told of caches

	observers []observer
}

// New makes a server. It answers health checks at once, and requests for the
// model as soon as there is one.
func New(cfg Config) *Server {
	cfg.fill()
	s := &Server{
		cfg: cfg,
		app: &serving.App{
			Version:      cfg.Version,
			MaxBody:      cfg.MaxBody,
			PingInterval: cfg.PingInterval,
			Started:      time.Now(),
		},
		mux: http.NewServeMux(),
	}
	s.app.SetRequestTimeout(cfg.RequestTimeout)
	s.app.Models.Residency = cfg.Residency
	s.origins = origins{hosts: cfg.AllowedHosts, pages: cfg.AllowedOrigins}
	if cfg.CORSOrigin != "" {
		s.origins.pages = append(s.origins.pages[:len(s.origins.pages):len(s.origins.pages)], cfg.CORSOrigin)
	}
	s.metrics = newCollector(s)
	protocols := s.protocols()
	for _, p := range protocols {
		s.routes = append(s.routes, p.Routes...)
	}
	s.document = sync.OnceValue(func() []byte { return openapi.Document(cfg.Version, protocols) })
	s.mount()
	s.answers, s.shapes = newAnswers(s.paths), newShapes()
	s.observers = []observer{s.answers, s.shapes, &accessLog{log: cfg.Log, all: cfg.AccessLog, prompts: cfg.LogPrompts}, spans{}}
	if cfg.Model != nil {
		s.Attach(cfg.Model)
	}
	return s
}

// protocols are all routes of the server, with the form of their errors.
func (s *Server) protocols() []openapi.Protocol {
	kept := responses.NewStore(maxResponses, maxResponseBytes, maxResponseAge)
	return []openapi.Protocol{
		{Name: "cLLM", Error: nativeapi.Envelope{}, Routes: native.Routes(func() []serving.Route { return s.routes })},
		{Name: "OpenAI", Error: openaiapi.ErrorResponse{}, Routes: openai.Routes()},
		{Name: "Anthropic", Error: anthropicapi.ErrorResponse{}, Routes: anthropic.Routes()},
		{Name: "Ollama", Error: ollamaapi.Error{}, Routes: ollama.Routes(s.cfg.Store)},
		{Name: "OpenAI Responses", Error: openaiapi.ErrorResponse{}, Routes: responses.Routes(kept)},
		{Name: "llama-server", Error: llamaapi.ErrorResponse{}, Routes: llamaserver.Routes()},
		{Name: "routers", Error: openaiapi.ErrorResponse{}, Routes: routers.Routes()},
		{Name: "rerank", Error: openaiapi.ErrorResponse{}, Routes: rerank.Routes()},
		{Name: "operations", Error: llamaapi.ErrorResponse{}, Routes: s.operations()},
		{Name: "pages", Error: llamaapi.ErrorResponse{}, Routes: ui.Routes()},
	}
}

// Attach makes the server ready to serve m.
func (s *Server) Attach(m *Deployment) { s.app.Models.Attach(m) }

// SetRequestTimeout changes the time that a generation may take, from the next
// request on; 0: any.
func (s *Server) SetRequestTimeout(d time.Duration) { s.app.SetRequestTimeout(d) }

// PublishEvents tells routers what the prefix caches have, until the publisher is
// closed. It may be called once.
func (s *Server) PublishEvents(cfg kvevents.Config) *kvevents.Publisher {
	cfg.Models = s.app.Models.Resident
	p := kvevents.Start(cfg)
	s.events.Store(p)
	return p
}

// Load loads a model, for no request yet.
func (s *Server) Load(ctx context.Context, name string) error {
	if err := s.app.Models.Load(ctx, name); err != nil {
		return err
	}
	return nil
}

// Close unloads all models. Shutdown comes first.
func (s *Server) Close(ctx context.Context) error { return s.app.Models.Close(ctx) }

// HTTP returns an http.Server for this handler, with HTTP/1.1 and HTTP/2, the
// latter over TLS and in clear. It sets no limit on the time of a whole answer,
// since streams are long: response.go limits each read and write instead.
func (s *Server) HTTP(addr string, t *tls.Config) *http.Server {
	h := &http.Server{
		Addr:              addr,
		Handler:           s,
		BaseContext:       base,
		TLSConfig:         t,
		ReadHeaderTimeout: s.cfg.HeaderTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    64 << 10,
		Protocols:         new(http.Protocols),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 1024, WriteByteTimeout: s.cfg.WriteTimeout},
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	h.Protocols.SetHTTP1(true)
	h.Protocols.SetHTTP2(true)
	h.Protocols.SetUnencryptedHTTP2(true)
	return h
}

// Shutdown stops taking new work, lets what runs finish, and closes the given
// listeners' servers. When ctx ends first, what still runs is aborted; its
// clients are told. It does not unload the models: Close does.
func (s *Server) Shutdown(ctx context.Context, servers ...*http.Server) error {
	s.app.Models.StartDraining()
	err := s.app.Models.Drain(ctx)
	// Whatever is left only has to write its last events.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	for _, h := range servers {
		if e := h.Shutdown(grace); e != nil {
			h.Close()
			err = cmp.Or(err, e)
		}
	}
	// The caller unloads the model next. Handlers whose clients are gone may still be
	// using it, so wait for them.
	return cmp.Or(err, s.app.Models.Idle(grace))
}
