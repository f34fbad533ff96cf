package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alecthomas/kong"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/hub"
	"github.com/penstock-llm/penstock/internal/server"
	"github.com/penstock-llm/penstock/internal/server/tracing"
)

type serveCommand struct {
	Model    string        `arg:"" optional:"" default:"${default_model}" env:"PENSTOCK_MODEL" help:"${model_help}"`
	Listen   addressFlags  `embed:""`
	Engine   engineFlags   `embed:""`
	Defaults samplingFlags `embed:"" group:"What requests leave open: the model's own setting, else what is shown"`

	MaxQueue       int           `help:"Requests that wait beyond those that run; more are refused with 429." default:"256" env:"PENSTOCK_MAX_QUEUE"`
	MaxWait        time.Duration `help:"Requests that would begin later, as far as that can be foreseen, are refused with 429 at once; 0: none is." default:"0" env:"PENSTOCK_MAX_WAIT"`
	RequestTimeout time.Duration `help:"Longest generation; 0: no limit." default:"0" env:"PENSTOCK_REQUEST_TIMEOUT" reload:""`
	StepLimit      time.Duration `help:"A step that takes longer is reported: the log says what it computes, /livez turns 503; 0: never." default:"5m" env:"PENSTOCK_STEP_LIMIT"`
	DrainTimeout   time.Duration `help:"On SIGTERM, time for running requests to finish." default:"30s" env:"PENSTOCK_DRAIN_TIMEOUT" reload:""`
	Guard          guardFlags    `embed:""`
	Pages          pageFlags     `embed:""`
	Events         eventFlags    `embed:""`
	Store          storeFlags    `embed:""`
	MetricsCompat  string        `help:"Also serve metrics under the names of vllm, llamacpp, both or none." enum:"vllm,llamacpp,both,none" default:"vllm" env:"PENSTOCK_METRICS_COMPAT"`
	AdminAddr      string        `help:"Address of this machine, such as 127.0.0.1:6060, for profiles (/debug/pprof/) and /metrics without a key." env:"PENSTOCK_ADMIN_ADDR" placeholder:"HOST:PORT"`
	LogLevel       string        `help:"debug, info, warn or error; info logs each request." enum:"debug,info,warn,error" default:"warn" env:"PENSTOCK_LOG_LEVEL" reload:""`
	LogPrompts     bool          `help:"Log what clients ask and what is answered, too, with --log-level info." env:"PENSTOCK_LOG_PROMPTS"`
	LogFormat      string        `help:"text or json." enum:"text,json" default:"text" env:"PENSTOCK_LOG_FORMAT"`
	ParseSpecial   bool          `name:"parse-special-in-messages" help:"Parse control tokens in messages: clients can then write turns of any role." env:"PENSTOCK_PARSE_SPECIAL_IN_MESSAGES"`
	KeepAlive      stay          `help:"How long a model that a request has loaded stays without requests: a duration, or seconds; -1: for ever. The model named here stays in any case." default:"5m" env:"PENSTOCK_KEEP_ALIVE"`
	LoadOnDemand   bool          `help:"Load a model that was downloaded, or is in the configuration, when a request names it." default:"true" negatable:"" env:"PENSTOCK_LOAD_ON_DEMAND"`
	Alias          []string      `help:"Further name that clients may use for the model." env:"PENSTOCK_ALIAS" placeholder:"NAME"`

	tracer *tracing.Tracer // nil: no traces
}

func (c *serveCommand) Run(ctx context.Context, args givenArgs, given *parsed, cli *commands, term terminal) (err error) {
	level := new(slog.LevelVar)
	logger, err := c.logger(&term, level)
	if err != nil {
		return err
	}
	defer func() { err = c.logged(logger, err) }()
	options, err := c.Engine.options(cli)
	if err != nil {
		return err
	}
	options.MaxQueue, options.MaxWait = c.MaxQueue, c.MaxWait
	if c.MaxQueue == 0 {
		options.MaxQueue = -1 // the engine's 0 stands for its default, -1 for no queue
	}
	entries, err := given.config.entries(c)
	if err != nil {
		return err
	}
	options.OnPanic = func(value any, stack []byte) { logger.Error("a step failed", "panic", value, "stack", string(stack)) }
	options.StepLimit, options.OnStuck = c.StepLimit, func(s engine.Stuck) { logStuck(logger, &s) }
	tracer, err := newTracer(ctx, logger)
	if err != nil {
		return err
	}
	defer endTraces(tracer, logger)
	c.tracer = tracer
	closeStore, err := c.Store.open(&options, logger)
	if err != nil {
		return err
	}
	defer closeStore()
	shelf := newShelf(c, cli.store(nil), options, func(text string) { fmt.Fprintln(term.err, "penstock:", text) })
	defer shelf.close()
	front, err := c.open(ctx, given.context, shelf, logger, term)
	if err != nil {
		return err
	}
	endAdmin, err := serveAdmin(ctx, c.AdminAddr, front.server, term)
	if err != nil {
		front.http.Close()
		return err
	}
	defer endAdmin()
	endEvents, err := c.publishEvents(ctx, front)
	if err != nil {
		front.http.Close()
		return err
	}
	defer endEvents()
	defer front.guard.save(logger)
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	front.reloads = &reloading{args: args, started: given.context, models: given.config.models, term: term, log: logger}
	c.reloadSettings(front, level)
	front.guard.register(ctx, front.reloads)
	front.reloads.register(reloadable{what: "sampling defaults", flags: samplingNames(), apply: shelf.reload})
	front.reloads.watch(ctx, hangUp)
	defer front.reloads.settle()
	main, err := c.attach(ctx, cli, term, front, entries)
	if err != nil {
		front.http.Close()
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil // it was told to stop while it loaded
		}
		return err
	}
	close(front.loaded)
	front.print(term.out, main, c.Engine.KVType)
	select {
	case err = <-front.failed:
	case <-ctx.Done():
		err = c.drain(front, term)
	}
	return errors.Join(err, front.end())
}

// end unloads all models. One that is still being loaded is left to the end of the
// process.
func (f *front) end() error {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := f.server.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// front is the HTTP side of the program, open before there is a model.
type front struct {
	greeting
	server *server.Server
	shelf  *shelf
	http   *http.Server
	guard  *guard
	failed chan error    // gets the error of a listener that ended
	loaded chan struct{} // closed when the model is loaded

	reloads      *reloading
	drainTimeout atomic.Int64 // ns
}

// open reads keys and certificate and begins to listen, before the model is
// loaded: health checks are answered, and a taken port is known at once.
//
// Sockets of systemd take the place of --addr. They are accepted from when the model is
// loaded: the connection that made systemd start the server waits until then instead
// of being told to come again.
func (c *serveCommand) open(ctx context.Context, parsed *kong.Context, shelf *shelf, logger *slog.Logger, term terminal) (*front, error) {
	if err := c.Pages.check(); err != nil {
		return nil, err
	}
	at, err := c.Listen.address(parsed)
	if err != nil {
		return nil, err
	}
	guard, err := c.Guard.open()
	if err != nil {
		return nil, err
	}
	listeners, err := activated()
	if err != nil {
		return nil, err
	}
	waits := len(listeners) > 0
	if waits {
		at.host = listeners[0].Addr().(*net.TCPAddr).IP.String()
	} else if listeners, err = c.Listen.all(ctx, at); err != nil {
		return nil, err
	}
	if bound, ok := listeners[0].Addr().(*net.TCPAddr); ok {
		at.port = bound.Port
	}
	warning, err := guard.expose(listeners, at)
	if err != nil {
		closeAll(listeners)
		return nil, err
	}
	warn(term, warning)
	if cert := guard.cert(); cert != nil {
		warn(term, expiry(cert.Leaf, time.Now()))
	}
	guard.watch(ctx, logger)
	guard.keepBooks(ctx, logger)
	srv := c.server(shelf, guard, logger)
	f := &front{
		greeting: greeting{at: at, cert: guard.cert(), certFile: c.Guard.TLSCert, keyFile: c.Guard.APIKeyFile, digests: guard.digests()},
		server:   srv, shelf: shelf, http: srv.HTTP(at.String(), guard.tls()), guard: guard, failed: make(chan error, len(listeners)), loaded: make(chan struct{}),
	}
	f.drainTimeout.Store(int64(c.DrainTimeout))
	for _, l := range listeners {
		go func() {
			if waits {
				<-f.loaded
			}
			f.failed <- f.accept(l)
		}()
	}
	return f, nil
}

func warn(term terminal, warning string) {
	if warning != "" {
		fmt.Fprintln(term.err, "penstock: warning:", warning)
	}
}

func (f *front) accept(l net.Listener) (err error) {
	if f.cert != nil {
		err = f.http.ServeTLS(l, "", "")
	} else {
		err = f.http.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// drain ends the server: what runs may finish within the time given.
func (c *serveCommand) drain(f *front, term terminal) error {
	fmt.Fprintln(term.err, "penstock: finishing the running requests")
	limit := time.Duration(f.drainTimeout.Load())
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := f.server.Shutdown(ctx, f.http)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("requests were still running after %v and were ended", limit)
	}
	return err
}

// attach loads the model that the server is started with, and those that are pinned,
// and makes the server ready. What is missing is downloaded before.
func (c *serveCommand) attach(ctx context.Context, cli *commands, term terminal, f *front, entries []modelEntry) (*server.Deployment, error) {
	main := c.entry(c.Model)
	entries = slices.Clone(entries)
	if i := slices.IndexFunc(entries, func(e modelEntry) bool { return e.Model == c.Model }); i >= 0 {
		main = entries[i] // its settings in the list hold
		entries = slices.Delete(entries, i, i+1)
	}
	if main.DraftModel == "" {
		main.DraftModel = c.Engine.DraftModel // of no other model: it suits those of one family
	}
	main.Pinned = true
	main.Aliases = append(slices.Clone(c.Alias), main.Aliases...)
	var models []*shelved
	for _, e := range append([]modelEntry{main}, entries...) {
		path, err := cli.fetch(ctx, term, e.Model)
		if err != nil {
			return nil, err
		}
		if e.DraftModel, err = c.Engine.draft(ctx, cli, term, e.DraftModel); err != nil {
			return nil, err
		}
		m, err := f.shelf.add(e, path)
		if err != nil {
			return nil, err
		}
		models = append(models, m)
	}
	report, end := loading(term.err, c.Model)
	deployment, err := unlessDone(ctx, func() (*server.Deployment, error) { return f.shelf.first(models[0], report) })
	end()
	if err != nil {
		return nil, err
	}
	f.server.Attach(deployment)
	for _, m := range models[1:] {
		if !m.entry.Pinned {
			continue
		}
		if err := f.server.Load(ctx, m.source.ID); err != nil {
			return nil, errors.Join(err, f.end())
		}
	}
	return deployment, nil
}

// aliases are the further names of a model: those that were asked for, and those
// that the catalogue knows it by.
func aliases(name string, asked []string) []string {
	entry, _ := hub.Lookup(name)
	all := slices.Clone(asked)
	for _, a := range entry.Aliases {
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// modelID is the name that clients see: the one in the catalogue, that of a
// repository, or the file's.
func modelID(name string, file *gguf.File) string {
	if strings.HasSuffix(strings.ToLower(name), ".gguf") {
		return file.Label()
	}
	if entry, known := hub.Lookup(name); known {
		return entry.Name
	}
	if strings.HasPrefix(name, "hf.co/") {
		return name
	}
	return file.Label()
}

func (c *serveCommand) server(shelf *shelf, guard *guard, logger *slog.Logger) *server.Server {
	return server.New(server.Config{
		Version: version(), Store: shelf.store, Residency: shelf.residency(logger), Keys: guard.keys, Meters: guard.meters, Ledger: guard.ledger, PublicMetrics: c.Guard.PublicMetrics, TrustedProxies: guard.proxies,
		CORSOrigin: c.Pages.CORSOrigin, AllowedOrigins: c.Pages.AllowedOrigins,
		AllowedHosts: c.Pages.AllowedHosts, RequestTimeout: c.RequestTimeout,
		MetricsVLLM:     c.MetricsCompat == "vllm" || c.MetricsCompat == "both",
		MetricsLlamaCPP: c.MetricsCompat == "llamacpp" || c.MetricsCompat == "both",
		LogPrompts:      c.LogPrompts, AccessLog: true, Log: logger, Tracer: c.tracer, Prefixes: shelf.options.Prefixes,
	})
}

// logger makes the log. Its level can be changed later. If it is JSON, what else is said on
// stderr and stdout becomes JSON, too: containers make one log of both.
func (c *serveCommand) logger(term *terminal, level *slog.LevelVar) (*slog.Logger, error) {
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		log := slog.NewJSONHandler(term.err, options)
		term.out, term.err = &notes{log: slog.NewJSONHandler(term.out, nil)}, &notes{log: log}
		return slog.New(log), nil
	}
	return slog.New(slog.NewTextHandler(term.err, options)), nil
}

// logStuck logs a step that does not end: what it computes, and when the engine has
// them, the stacks of those who compute it.
func logStuck(log *slog.Logger, s *engine.Stuck) {
	if s.Over {
		log.Warn("a step that took too long has ended", "step", s.Step, "took_at_least", s.For)
		return
	}
	attrs := []any{"step", s.Step, "for", s.For, "rows", s.Rows, "streams", s.Streams, "requests", len(s.Running)}
	if s.Stack != nil {
		log.Error("a step still does not end", append(attrs, "stack", string(s.Stack))...)
		return
	}
	for _, r := range s.Running {
		attrs = append(attrs, fmt.Sprintf("request_%d", r.Number),
			fmt.Sprintf("%d of %d prompt tokens, %d tokens of the answer", r.Computed, r.Prompt, r.Decoded))
	}
	log.Error("a step does not end", attrs...)
}
