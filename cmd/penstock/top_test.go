package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	llamaapi "github.com/penstock-llm/penstock/api/llamaserver"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// TestTop: without a terminal there is a line for each look at a server.
func TestTop(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	model := filepath.Join(t.TempDir(), "m.gguf")
	if err := tinymodel.Write(model, tinymodel.Options{Type: quant.Q8_0, Context: 4096}); err != nil {
		t.Fatal(err)
	}
	s := serve(t, model, "--max-batch", "3", "--max-queue", "5")
	complete(t, s.url, 0)
	var out bytes.Buffer
	if err := execute(t.Context(), []string{"top", s.url, "--interval", "1ms", "--count", "2"}, terminal{strings.NewReader(""), &out, &out}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || lines[0] != strings.TrimSpace(lineHead) || len(strings.Fields(lines[1])) != len(strings.Fields(lines[2])) {
		t.Errorf("got\n%s", out.String())
	}
	w := &watching{url: s.url, client: http.DefaultClient}
	l, err := w.look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if l.values["batch_size"] != 3 || l.values["queue_size"] != 5 || l.values["generation_tokens_total"] != 50 || l.ended["length"] != 1 || len(l.models) != 1 {
		t.Errorf("it saw %+v", l)
	}
	if p := l.since(&look{at: l.at.Add(-10 * time.Second)}); p.generated != 5 || math.IsNaN(p.first.p50) {
		t.Errorf("in 10 s it did %+v", p)
	}
}

// TestTopOfSeveralModels: the screen names each model that is in memory, and shows the
// requests of all of them.
func TestTopOfSeveralModels(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.RequestURI() {
		case "/metrics":
			for _, name := range []string{"ready", "requests_running", "model_info", "model_memory_bytes", "model_requests_running"} {
				fmt.Fprintf(w, "# TYPE penstock_%s gauge\n", name)
			}
			io.WriteString(w, "penstock_ready 1\npenstock_requests_running 2\npenstock_model_info{model=\"main\"} 1\n"+
				"penstock_model_memory_bytes{model=\"a:1\",part=\"weights\"} 1\npenstock_model_memory_bytes{model=\"a:1\",part=\"other\"} 1\npenstock_model_memory_bytes{model=\"main\",part=\"other\"} 1\n"+
				"penstock_model_requests_running{model=\"a:1\"} 1\npenstock_model_requests_running{model=\"main\"} 1\npenstock_model_requests_running{model=\"idle\"} 0\n")
		case "/slots?model=a%3A1":
			io.WriteString(w, `[{"id":3,"id_task":44,"is_processing":true},{"id":4}]`)
		case "/slots?model=main":
			io.WriteString(w, `[{"id":5,"id_task":66,"is_processing":true}]`)
		default:
			t.Errorf("it asks for %s", r.URL)
		}
	}))
	defer s.Close()
	w := &watching{url: s.URL, client: http.DefaultClient}
	for range 10 { // a map has no order
		l, err := w.look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(l.models, []string{"main", "a:1"}) {
			t.Fatalf("the models are %q", l.models)
		}
		if text := strings.Join(l.table(), "\n"); len(l.seats) != 2 || !strings.Contains(text, "44") || !strings.Contains(text, "a:1") || !strings.Contains(text, "66") {
			t.Fatalf("the requests are\n%s", text)
		}
	}
}

// TestTopRefused: an address where no server is, one that is another program's, and
// a server that wants a key are errors that say what to do.
func TestTopRefused(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" && r.URL.Query().Get("x") == "" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer other.Close()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"http://127.0.0.1:1"}, "no server answers at http://127.0.0.1:1"},
		{[]string{"localhost:1"}, "no server answers at http://localhost:1: start one"},
		{[]string{"nonsense\x7f"}, "no address of a server"},
		{[]string{"ftp://127.0.0.1"}, "no address of a server"},
		{[]string{other.URL}, "give a key with the scope metrics"},
		{[]string{other.URL, "--api-key", "k"}, "not that of a Penstock server"},
		{[]string{other.URL, "--interval", "0"}, "--interval must be above 0"},
	} {
		var out bytes.Buffer
		err := execute(t.Context(), append([]string{"top"}, c.args...), terminal{strings.NewReader(""), &out, &out})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.args, err)
		}
	}
}

// TestTopScreen: the screen shows what was seen, says when the server does not
// answer, fits the window, and ends with q.
func TestTopScreen(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	seen := func(seconds int, tokens float64) *look {
		return &look{
			at: at.Add(time.Duration(seconds) * time.Second), models: []string{"tiny"}, ended: map[string]float64{"stop": 7},
			values: map[string]float64{"ready": 1, "requests_running": 2, "batch_size": 4, "requests_waiting": 1, "queue_size": 8, "kv_cache_usage_ratio": 0.5,
				"generation_tokens_total": tokens, "rows_total": 3 * tokens},
			histograms: map[string][]bucket{"time_to_first_token_seconds": {{0.1, tokens}, {math.Inf(1), tokens}}},
			seats:      []seat{{"tiny", llamaapi.Slot{ID: 1, IDTask: 42, NPrompt: 100, NextToken: llamaapi.NextToken{NDecoded: 33}}}},
		}
	}
	s := newTopScreen(context.Background(), &topCommand{Interval: time.Second}, &watching{url: "http://x"}, seen(0, 0))
	for i := range 100 {
		if _, next := s.Update(looked{look: seen(i+1, float64(10*(i+1)))}); next == nil {
			t.Fatal("it does not look again")
		}
	}
	text := ansi.Strip(s.View().Content)
	for _, want := range []string{"tiny", "ready", "[|||||||||||||||               ]   2 of 4 run", "1 of 8 wait", "50 % used", "10.0 generated,     20.0 of prompts", "p50     50ms", "7 stop", "42         100"} {
		if !strings.Contains(text, want) {
			t.Errorf("the screen lacks %q:\n%s", want, text)
		}
	}
	if len(s.looks) > window+1 || len(s.rates) > maxSpark {
		t.Errorf("it keeps %d looks, %d rates", len(s.looks), len(s.rates))
	}
	s.Update(looked{err: errors.New("gone")})
	s.Update(tea.WindowSizeMsg{Width: 50, Height: 4})
	text = ansi.Strip(s.View().Content)
	if rows := strings.Split(text, "\n"); len(rows) != 4 || len([]rune(rows[0])) > 50 {
		t.Errorf("it does not fit:\n%s", text)
	}
	s.Update(tea.WindowSizeMsg{Width: 100, Height: 40})
	if !strings.Contains(ansi.Strip(s.View().Content), "does not answer since 03:05:45") {
		t.Errorf("it hides that the server is gone:\n%s", s.View().Content)
	}
	if _, quit := s.Update(tea.KeyPressMsg{Code: 'q', Text: "q"}); quit == nil {
		t.Error("q does not leave")
	} else if _, ok := quit().(tea.QuitMsg); !ok {
		t.Error("q does not leave")
	}
}

// TestQuantile: evenly within a bucket, as Prometheus has it.
func TestQuantile(t *testing.T) {
	buckets := []bucket{{1, 10}, {2, 20}, {math.Inf(1), 20}}
	for share, want := range map[float64]float64{0.25: 0.5, 0.5: 1, 0.75: 1.5, 1: 2} {
		if got := quantile(buckets, share); got != want {
			t.Errorf("%v: %v, want %v", share, got, want)
		}
	}
	if !math.IsNaN(quantile(nil, 0.5)) || !math.IsNaN(quantile([]bucket{{1, 0}}, 0.5)) {
		t.Error("nothing was observed, and it has a quantile")
	}
	if got := quantile([]bucket{{1, 0}, {math.Inf(1), 5}}, 0.5); got != 1 {
		t.Errorf("beyond the last bound: %v", got)
	}
}
