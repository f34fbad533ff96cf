package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/prometheus/common/expfmt"
	prommodel "github.com/prometheus/common/model"

	llamaapi "github.com/penstock-llm/penstock/api/llamaserver"
)

type topCommand struct {
	URL      string        `arg:"" optional:"" help:"Address of the server; else as --host says."`
	Interval time.Duration `help:"Time between two looks." default:"1s"`
	Count    int           `help:"End after so many looks; 0: never." default:"0"`
	Server   remoteFlags   `embed:""`
}

// Run shows a screen that is drawn anew at each look, or without a terminal a line
// for each.
func (c *topCommand) Run(ctx context.Context, p *parsed, term terminal) error {
	if c.Interval <= 0 {
		return &usageError{errors.New("--interval must be above 0"), "penstock top"}
	}
	client := &http.Client{Timeout: 10 * time.Second}
	if c.URL == "" {
		r, err := c.Server.remote(p.config)
		if err != nil {
			return err
		}
		if c.URL = r.url; r.client != nil {
			client.Transport = r.client.Transport
		}
	}
	watch := &watching{url: serverURL(c.URL), key: c.Server.APIKey, client: client}
	first, err := watch.look(ctx)
	if err != nil {
		return err
	}
	if !isTerminal(term.out) || os.Getenv("TERM") == "dumb" {
		return c.lines(ctx, watch, first, term.out)
	}
	s := newTopScreen(ctx, c, watch, first)
	last, err := tea.NewProgram(s, tea.WithContext(ctx), tea.WithInput(term.in), tea.WithOutput(term.out)).Run()
	if ctx.Err() != nil || errors.Is(err, tea.ErrInterrupted) {
		return nil
	}
	if s, ok := last.(*topScreen); ok && err == nil {
		err = s.err
	}
	return err
}

// lines prints a line for each look.
func (c *topCommand) lines(ctx context.Context, watch *watching, before *look, out io.Writer) error {
	ticker := time.NewTicker(c.Interval)
	defer ticker.Stop()
	if _, err := fmt.Fprintln(out, lineHead); err != nil {
		return err
	}
	for n := 1; c.Count == 0 || n <= c.Count; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now, err := watch.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, now.since(before).line(now)); err != nil {
			return err
		}
		before = now
	}
	return nil
}

// watching asks one server.
type watching struct {
	url, key string
	client   *http.Client
}

// serverURL is the address of a server as it was typed, which may lack http://.
func serverURL(text string) string {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	return strings.TrimRight(text, "/")
}

// get reads a page of the server.
func (w *watching) get(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, nil)
	if err != nil || r.URL.Scheme != "http" && r.URL.Scheme != "https" {
		return nil, &usageError{fmt.Errorf("%s is no address of a server: want http://HOST:PORT", clip(w.url)), "penstock top"}
	}
	if w.key != "" {
		r.Header.Set("Authorization", "Bearer "+w.key)
	}
	response, err := w.client.Do(r)
	if err != nil {
		return nil, noAnswer(w.url, err)
	}
	defer response.Body.Close()
	const most = 16 << 20
	body, err := io.ReadAll(io.LimitReader(response.Body, most))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s%s: %w", w.url, path, err)
	case wantsTLS(response.StatusCode, body):
		return nil, fmt.Errorf("%s speaks TLS: give its address with https://", w.url)
	case response.StatusCode == http.StatusUnauthorized, response.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("%s%s: %s: give a key with the scope metrics as --api-key", w.url, path, response.Status)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s%s: %s", w.url, path, response.Status)
	}
	return body, nil
}

// look reads what the server says of itself at this moment.
func (w *watching) look(ctx context.Context) (*look, error) {
	page, err := w.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(prommodel.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(page)))
	if err != nil || families["penstock_ready"] == nil {
		return nil, fmt.Errorf("%s/metrics is not that of a Penstock server", w.url)
	}
	l := newLook(time.Now(), families)
	// The places of the batch are for the screen only, and keys may not allow them.
	for _, model := range l.busy {
		if page, err := w.get(ctx, "/slots?model="+url.QueryEscape(model)); err == nil {
			var slots []llamaapi.Slot
			if json.Unmarshal(page, &slots) == nil {
				l.take(model, slots)
			}
		}
	}
	return l, nil
}
