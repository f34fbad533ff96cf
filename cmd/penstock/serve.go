package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/server"
)

type serveCommand struct {
	Model  string      `arg:"" optional:"" default:"smollm2" help:"${model_help}"`
	Addr   string      `help:"Address to listen on." default:"127.0.0.1:8080" env:"PENSTOCK_ADDR"`
	Engine engineFlags `embed:""`

	MaxQueue       int           `help:"Requests that wait beyond those that run; more are refused with 429." default:"256" env:"PENSTOCK_MAX_QUEUE"`
	RequestTimeout time.Duration `help:"Longest generation; 0: no limit." default:"0" env:"PENSTOCK_REQUEST_TIMEOUT"`
	DrainTimeout   time.Duration `help:"On SIGTERM, time for running requests to finish." default:"30s" env:"PENSTOCK_DRAIN_TIMEOUT"`
	APIKeyFile     string        `help:"File of API keys, one a line; without it everybody may use the server." env:"PENSTOCK_API_KEY_FILE" type:"path"`
	TLSCert        string        `name:"tls-cert" help:"Certificate (PEM)." env:"PENSTOCK_TLS_CERT" type:"path"`
	TLSKey         string        `name:"tls-key" help:"Its key (PEM)." env:"PENSTOCK_TLS_KEY" type:"path"`
	CORSOrigin     string        `name:"cors-origin" help:"Origin of web pages that may use the server, or *." env:"PENSTOCK_CORS_ORIGIN"`
	MetricsCompat  string        `help:"Also serve metrics under the names of vllm, or none." enum:"vllm,none" default:"vllm" env:"PENSTOCK_METRICS_COMPAT"`
	LogLevel       string        `help:"debug, info, warn or error; info logs each request." enum:"debug,info,warn,error" default:"warn" env:"PENSTOCK_LOG_LEVEL"`
	LogFormat      string        `help:"text or json." enum:"text,json" default:"text" env:"PENSTOCK_LOG_FORMAT"`
	Alias          []string      `help:"Further name that clients may use for the model." env:"PENSTOCK_ALIAS"`
}

func (c *serveCommand) Run(ctx context.Context, cli *commands, term terminal) error {
	options, err := c.Engine.options(cli)
	if err != nil {
		return err
	}
	if c.MaxQueue < 0 || c.RequestTimeout < 0 || c.DrainTimeout < 0 {
		return errors.New("--max-queue, --request-timeout and --drain-timeout must not be negative")
	}
	options.MaxQueue = max(c.MaxQueue, -1)
	if c.MaxQueue == 0 {
		options.MaxQueue = -1 // none may wait
	}
	logger := c.logger(term)
	options.OnPanic = func(value any, stack []byte) { logger.Error("a step failed", "panic", value, "stack", string(stack)) }
	srv, err := c.server(logger)
	if err != nil {
		return err
	}
	// Listen before loading, so that health checks are answered and a taken port
	// is known at once.
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("%w (another server? choose an address with --addr)", err)
	}
	h := srv.HTTP(c.Addr, nil)
	failed := make(chan error, 1)
	go func() { failed <- c.accept(h, listener) }()
	in, err := c.attach(ctx, cli, term, srv, options)
	if err != nil {
		h.Close()
		return err
	}
	c.greet(term, in, listener.Addr())
	select {
	case err = <-failed:
	case <-ctx.Done():
		err = c.drain(srv, h, term)
	}
	return errors.Join(err, in.Close())
}

// drain ends the server: what runs may finish within the time given.
func (c *serveCommand) drain(srv *server.Server, h *http.Server, term terminal) error {
	fmt.Fprintln(term.err, "penstock: finishing the running requests")
	ctx, cancel := context.WithTimeout(context.Background(), c.DrainTimeout)
	defer cancel()
	err := srv.Shutdown(ctx, h)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("requests were still running after %v and were ended", c.DrainTimeout)
	}
	return err
}

func (c *serveCommand) accept(h *http.Server, l net.Listener) error {
	var err error
	if c.TLSCert != "" || c.TLSKey != "" {
		err = h.ServeTLS(l, c.TLSCert, c.TLSKey)
	} else {
		err = h.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// attach loads the model and makes the server ready.
func (c *serveCommand) attach(ctx context.Context, cli *commands, term terminal, srv *server.Server, o instance.Options) (*instance.Instance, error) {
	path, err := cli.fetch(ctx, term, c.Model)
	if err != nil {
		return nil, err
	}
	in, err := cli.load(ctx, term, path, o)
	if err != nil {
		return nil, err
	}
	template, err := chat.Load(in.File)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	if problem := template.Problem(); problem != nil {
		fmt.Fprintf(term.err, "penstock: chat requests will be refused: %v\n", problem)
	}
	srv.Attach(&server.Deployment{
		ID: modelID(c.Model), Aliases: c.Alias, Path: path, Created: time.Now(), Config: in.Model.Config(),
		CPU: o.Tier.String(), Threads: in.Model.Pool().Workers(),
		Engine: in.Engine, Tokenizer: in.Tokenizer, Chat: template,
	})
	return in, nil
}

// modelID is the name that clients see: the catalogue's, or the file's.
func modelID(name string) string {
	if !strings.HasSuffix(strings.ToLower(name), ".gguf") {
		return name
	}
	base := filepath.Base(name)
	return base[:len(base)-len(".gguf")]
}

func (c *serveCommand) server(logger *slog.Logger) (*server.Server, error) {
	keys, err := readKeys(c.APIKeyFile)
	if err != nil {
		return nil, err
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return nil, errors.New("--tls-cert and --tls-key go together")
	}
	return server.New(server.Config{
		Version: version(), APIKeys: keys, CORSOrigin: c.CORSOrigin, RequestTimeout: c.RequestTimeout,
		MetricsVLLM: c.MetricsCompat == "vllm", AccessLog: logger.Enabled(context.Background(), slog.LevelInfo), Log: logger,
	}), nil
}

func (c *serveCommand) logger(term terminal) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelWarn // the parser lets only levels through
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(term.err, options))
	}
	return slog.New(slog.NewTextHandler(term.err, options))
}

// readKeys reads a file of keys; empty lines and lines that begin with # do not
// count.
func readKeys(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--api-key-file: %w", err)
	}
	defer file.Close()
	var keys []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if key := strings.TrimSpace(lines.Text()); key != "" && !strings.HasPrefix(key, "#") {
			keys = append(keys, key)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("--api-key-file %s: %w", path, err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("--api-key-file %s: no key in it", path)
	}
	return keys, nil
}

// greet says what runs, and what to try next.
func (c *serveCommand) greet(term terminal, in *instance.Instance, addr net.Addr) {
	config, e := in.Model.Config(), in.Engine.Config()
	scheme := "http"
	if c.TLSCert != "" {
		scheme = "https"
	}
	url := fmt.Sprintf("%s://%s", scheme, addr)
	cache := float64(in.Cache.Bytes()) / 1e6
	fmt.Fprintf(term.out, `%s (%s, %.0f M parameters) loaded in %.1f s: %.0f MB of weights
%s kernels on %d threads of %s; context %d, batch %d, KV cache (%s) up to %.0f MB

  chat in the browser   %s/ui/
  ask                   curl %s/v1/chat/completions -d '{"messages":[{"role":"user","content":"Why is the sky blue?"}]}'
  measure               penstock bench load --url %s

Ctrl-C stops the server.
`, config.Name, config.Quantization, float64(config.Params)/1e6, in.Loaded.Seconds(), float64(config.WeightBytes)/1e6,
		e.Kernels.Tier(), in.Model.Pool().Workers(), cpu.Name(), e.Context, e.MaxBatch, c.Engine.KVType, cache, url, url, url)
}
