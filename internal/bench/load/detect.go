package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Detect fills in the dialect, from the URL or by asking the server, and the model's name, where the target does not say them. It fails
// when the server can't be reached.
func Detect(ctx context.Context, t Target) (Target, error) {
	u, base, err := parseURL(t.URL)
	if err != nil {
		return t, err
	}
	named, _, ok := dialectOfPath(u.EscapedPath())
	if ok && t.Dialect != Auto && t.Dialect != "" && t.Dialect != named {
		return t, fmt.Errorf("%s is an endpoint of dialect %s, not %s", t.URL, named, t.Dialect)
	}
	if ok {
		t.Dialect = named
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	p := prober{base: u.Scheme + "://" + u.Host + base, key: t.APIKey, client: &http.Client{Transport: http.DefaultTransport}}
	if t.HTTP2 || t.Insecure {
		e, err := t.anyDialect().endpoint()
		if err != nil {
			return t, err
		}
		p.client = plainClient(e, t.HTTP2)
		defer p.client.CloseIdleConnections()
	}
	open := t.Dialect == Auto || t.Dialect == ""
	if !open && t.Model != "" {
		return t, p.reach(ctx)
	}
	found, model, err := p.ask(ctx)
	if err != nil && open {
		return t, err
	}
	if open {
		t.Dialect = found
	}
	if t.Model == "" {
		t.Model = model
	}
	if err != nil { // the server names no models, but the dialect is known: all that matters is that it can be reached
		return t, p.reach(ctx)
	}
	return t, nil
}

func (t Target) anyDialect() Target {
	t.Dialect = Completions
	return t
}

func plainClient(e *endpoint, http2 bool) *http.Client {
	if http2 {
		return http2Client(e.tls, false)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: e.tls}}
}

type prober struct {
	base, key string
	client    *http.Client
}

// ask tries one route of each dialect until one answers.
func (p prober) ask(ctx context.Context) (Dialect, string, error) {
	var models struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	status, err := p.get(ctx, "/v1/models", &models)
	if err != nil {
		return Auto, "", err
	}
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		return Auto, "", fmt.Errorf("%s answers %d: it wants another API key", p.base, status)
	}
	if status == http.StatusOK && len(models.Data) > 0 {
		return Completions, models.Data[0].ID, nil
	}
	var tags struct {
		Models []struct {
			Name string `json:"name"`
		} `json:"models"`
	}
	if status, err := p.get(ctx, "/api/tags", &tags); err == nil && status == http.StatusOK && len(tags.Models) > 0 {
		return Ollama, tags.Models[0].Name, nil
	}
	var info struct {
		Data struct {
			Name string `json:"model_name"`
		} `json:"data"`
	}
	if status, err := p.get(ctx, "/model/info", &info); err == nil && status == http.StatusOK {
		return Native, info.Data.Name, nil
	}
	return Auto, "", fmt.Errorf("%s has none of /v1/models, /api/tags and /model/info; name its dialect", p.base)
}

func (p prober) reach(ctx context.Context) error {
	_, err := p.get(ctx, "/", nil)
	return err
}

// get reads a small JSON answer. Only a server that can't be reached is an error.
func (p prober) get(ctx context.Context, path string, into any) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+path, nil)
	if err != nil {
		return 0, err
	}
	if p.key != "" {
		req.Header.Set("Authorization", "Bearer "+p.key)
	}
	res, err := p.client.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return 0, fmt.Errorf("%s did not answer within 10 s", p.base)
		}
		return 0, fmt.Errorf("%s can't be reached: %w", p.base, errors.Unwrap(err))
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil || into == nil {
		return res.StatusCode, nil
	}
	if json.Unmarshal(body, into) != nil {
		return res.StatusCode, nil
	}
	return res.StatusCode, nil
}
