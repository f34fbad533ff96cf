package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	llamaapi "github.com/penstock-llm/penstock/api/llamaserver"
	ollamaapi "github.com/penstock-llm/penstock/api/ollama"
	openaiapi "github.com/penstock-llm/penstock/api/openai"
)

// remoteFlags say where a running server is. A server that was started with the
// same environment and file is found without them.
type remoteFlags struct {
	Host   string `help:"Where the server is, as HOST, HOST:PORT or a URL; else where serve listens with the same settings." env:"PENSTOCK_HOST" placeholder:"HOST"`
	APIKey string `name:"api-key" help:"Key for the server, if it wants one." env:"PENSTOCK_API_KEY" placeholder:"KEY"`
}

// remote is a server that runs in another process.
type remote struct {
	url    string
	key    string
	own    bool         // it is in this process
	client *http.Client // nil: the usual one
}

// remote is the server that the flags mean, without asking whether it is there.
func (f *remoteFlags) remote(c *config) (*remote, error) {
	if strings.HasPrefix(f.Host, "http://") || strings.HasPrefix(f.Host, "https://") {
		u, err := url.Parse(f.Host)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("--host %s: not a valid URL", clip(f.Host))
		}
		return &remote{url: strings.TrimRight(u.Scheme+"://"+u.Host+u.Path, "/"), key: f.APIKey}, nil
	}
	setting := func(name, variable, usual string) string {
		value, _ := c.values[name].(string)
		return cmp.Or(os.Getenv(variable), value, usual)
	}
	at, err := parseAddress(setting("addr", "PENSTOCK_ADDR", "127.0.0.1:8080"))
	if err != nil {
		return nil, err
	}
	host, port := f.Host, setting("port", "PENSTOCK_PORT", fmt.Sprint(at.port))
	if h, p, err := net.SplitHostPort(f.Host); err == nil {
		host, port = h, p
	} else if f.Host == "" {
		host = at.host
	}
	host = strings.Trim(host, "[]")
	if !isHost(host) {
		return nil, fmt.Errorf("--host %s: want a name, an IP address, HOST:PORT or a URL", clip(f.Host))
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // it listens on all networks, and so on this machine's own
	}
	r := &remote{url: "http://" + urlHost(host, port), key: f.APIKey}
	if cert := ownCertificate(c); cert != "" {
		r.url, r.client = "https://"+urlHost(host, port), trusting(cert, host)
	}
	return r, nil
}

// probeTime is how long a server on this machine may take to say that it is there;
// one that the command line names may take longer.
const probeTime, namedTime = time.Second, 10 * time.Second

// find is the server that the flags mean, or nil if none answers there. One that
// the command line names must be there.
func (f *remoteFlags) find(ctx context.Context, p *parsed) (*remote, error) {
	r, err := f.remote(p.config)
	if err != nil {
		return nil, err
	}
	patience := probeTime
	if origin(p.context, "host") == fromCommandLine {
		patience = namedTime
	}
	probe, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var index struct {
		Name string `json:"name"`
	}
	err = r.get(probe, "/", &index)
	switch {
	case err == nil && index.Name == "penstock":
		return r, nil
	case origin(p.context, "host") != fromCommandLine:
		return nil, nil
	case err == nil:
		return nil, fmt.Errorf("%s is another server", r.url)
	}
	return nil, err
}

// remoteError is an answer of the server that is an error.
type remoteError struct {
	status int
	text   string
	own    bool // the server is in this process, and nothing that the user knows of

	prompt, context int // of a prompt that does not fit; else 0
}

func (e *remoteError) Error() string {
	switch {
	case e.prompt > 0:
		return fmt.Sprintf("prompt of %d tokens does not fit the context of %d", e.prompt, e.context)
	case e.own:
		return e.text
	}
	return "the server says: " + e.text
}

// tooLong reports whether a prompt was refused because it does not fit.
func tooLong(err error) bool {
	var e *remoteError
	return errors.As(err, &e) && e.prompt > 0
}

func (r *remote) get(ctx context.Context, path string, answer any) error {
	return r.ask(ctx, http.MethodGet, path, nil, answer)
}

func (r *remote) post(ctx context.Context, path string, body, answer any) error {
	return r.ask(ctx, http.MethodPost, path, body, answer)
}

// ask makes a request and decodes the answer.
func (r *remote) ask(ctx context.Context, method, path string, body, answer any) error {
	response, err := r.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("%s: the answer is no JSON of this protocol", r.url)
	}
	return nil
}

// send makes a request. An answer that is an error is returned as one.
func (r *remote) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		text = bytes.NewReader(b)
	}
	request, err := http.NewRequestWithContext(ctx, method, r.url+path, text)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.key != "" {
		request.Header.Set("Authorization", "Bearer "+r.key)
	}
	response, err := cmp.Or(r.client, http.DefaultClient).Do(request)
	if err != nil {
		if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err()
		}
		return nil, noAnswer(r.url, err)
	}
	if response.StatusCode >= 400 {
		defer response.Body.Close()
		return nil, errorOf(response, r.own)
	}
	return response, nil
}

// errorOf reads an error in the form of OpenAI's, llama-server's or Ollama's protocol.
func errorOf(response *http.Response, own bool) error {
	const most = 64 << 10
	b, _ := io.ReadAll(io.LimitReader(response.Body, most))
	e := &remoteError{status: response.StatusCode, text: response.Status, own: own}
	var nested struct {
		Error struct {
			Message string `json:"message"`
			Prompt  int    `json:"n_prompt_tokens"`
			Context int    `json:"n_ctx"`
		} `json:"error"`
	}
	var plain ollamaapi.Error
	if wantsTLS(response.StatusCode, b) {
		e.text = "it speaks TLS: give its address with https://"
	} else if json.Unmarshal(b, &nested) == nil && nested.Error.Message != "" {
		e.text, e.prompt, e.context = nested.Error.Message, nested.Error.Prompt, nested.Error.Context
	} else if json.Unmarshal(b, &plain) == nil && plain.Error != "" {
		e.text = plain.Error
	}
	return e
}

// models are those that the server knows, each once.
func (r *remote) models(ctx context.Context) ([]openaiapi.Model, error) {
	var list openaiapi.ModelList
	if err := r.get(ctx, "/v1/models", &list); err != nil {
		return nil, err
	}
	var all []openaiapi.Model
	for _, m := range list.Data {
		if m.ID == m.Root {
			all = append(all, m)
		}
	}
	return all, nil
}

// load has the server load a model.
func (r *remote) load(ctx context.Context, name string) error {
	return r.post(ctx, "/models/load", llamaapi.ModelRequest{Model: name}, new(llamaapi.ModelDone))
}

// unload has it unload one. pending says that requests still use it.
func (r *remote) unload(ctx context.Context, name string) (pending bool, err error) {
	var done llamaapi.ModelDone
	err = r.post(ctx, "/models/unload", llamaapi.ModelRequest{Model: name}, &done)
	return done.Pending, err
}
