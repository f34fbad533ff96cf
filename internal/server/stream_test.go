package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/server/serving"
)

// streams are the requests of all routes that stream.
var streams = map[string]string{
	"/v1/chat/completions": `"messages":[{"role":"user","content":"%s"}],"stream":true`,
	"/v1/completions":      `"prompt":"%s","stream":true`,
	"/completion":          `"prompt":"%s","stream":true`,
	"/generate":            `"prompt":"%s","stream":true`,
	"/generate_stream":     `"prompt":"%s"`,
}

func streamBody(path, prompt, more string) string {
	return "{" + fmt.Sprintf(streams[path], prompt) + more + "}"
}

// Whatever the protocol, a client hears something while its long prompt is
// computed, and again whenever there is nothing to send.
func TestPingsInEveryStream(t *testing.T) {
	for path := range streams {
		t.Run(path, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				f := newFixture(t, "abc\x00", func(c *Config, e *engineConfig) { c.PingInterval, e.StepBudget = 10*time.Millisecond, 16 })
				slow(10*time.Millisecond, f)
				a := f.post(t, path, streamBody(path, strings.Repeat("x", 200), ""))
				first := strings.Index(a.body, "data:")
				if n := strings.Count(a.body[:max(first, 0)], ": ping\n\n"); n < 2 {
					t.Errorf("%d pings before the first event: %s", n, a.body)
				}
				if list := events(t, a.body); len(list) < 3 {
					t.Errorf("got %s", a.body)
				}
				slow(8*time.Millisecond, f)
				if a := f.post(t, path, streamBody(path, "x", "")); strings.Count(a.body, "ping") > 1 {
					t.Errorf("pings in a stream that is not silent: %s", a.body)
				}
			})
		})
	}
}

// The last chunk of a stream has the timings that a plain answer has.
func TestTimingsInStreams(t *testing.T) {
	f := newFixture(t, "abc\x00")
	for path, more := range map[string]string{"/v1/chat/completions": "", "/v1/completions": "", "/completion": "", "/v1/chat/completions ": `,"stream_options":{"include_usage":true}`} {
		path = strings.TrimSpace(path)
		all := decodeAll(t, events(t, f.post(t, path, streamBody(path, "x", more)).body))
		for i, e := range all {
			_, there := e["timings"]
			if there != (i == len(all)-1) {
				t.Errorf("%s, message %d of %d: timings %v", path, i, len(all), e["timings"])
			}
		}
		if got := at(t, all[len(all)-1], "timings", "predicted_n"); got != 4.0 {
			t.Errorf("%s: predicted_n %v", path, got)
		}
	}
}

// logged is a log that a test reads.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func withLog(l *logged) option {
	return func(c *Config, _ *engineConfig) {
		c.AccessLog, c.Log = true, slog.New(slog.NewTextHandler(l, nil))
	}
}

// countOf is the number of requests in /metrics with that path and class of status.
func countOf(t *testing.T, f *fixture, handler, class string) float64 {
	t.Helper()
	n := 0.0
	if family := scrape(t, f)["penstock_http_requests_total"]; family != nil {
		for _, m := range family.Metric {
			labels := map[string]string{}
			for _, l := range m.Label {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["handler"] == handler && labels["status"] == class {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// A stream that fails after its first byte has said 200, but did not succeed.
func TestStreamThatFailsMidwayIsNoSuccess(t *testing.T) {
	for path := range streams {
		t.Run(path, func(t *testing.T) {
			var l logged
			x := &tripping{script: newScript("abcdef")}
			x.after.Store(5)
			f := serve(t, x, withLog(&l))
			a := f.post(t, path, streamBody(path, "x", `,"max_tokens":50`))
			if a.status != 200 || !strings.Contains(a.body, "internal error") {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			if ok, failed := countOf(t, f, path, "2xx"), countOf(t, f, path, "5xx"); ok != 0 || failed != 1 {
				t.Errorf("%v counted as 2xx, %v as 5xx", ok, failed)
			}
			for _, want := range []string{"the arithmetic tripped", "status=500", "sent_status=200"} {
				if !strings.Contains(l.String(), want) {
					t.Errorf("no %q in the log: %s", want, l.String())
				}
			}
		})
	}
}

// scripted is an encoder of lines of JSON that panics where a test wants it to.
type scripted struct {
	panicsIn string
	silent   chan struct{} // closed at the first ping
	once     sync.Once
}

func (e *scripted) line(f *serving.Frames, what string, choice int, text string) {
	f.Open()
	f.Buf = append(f.Buf, `{"half`...)
	if what == e.panicsIn {
		panic("the encoder tripped over " + what)
	}
	f.Buf = f.Buf[:len(f.Buf)-len(`{"half`)]
	f.Value(map[string]any{"what": what, "choice": choice, "text": text})
	f.Close()
}

func (e *scripted) Begin(f *serving.Frames, choice int) { e.line(f, "begin", choice, "") }
func (e *scripted) Delta(f *serving.Frames, choice int, d serving.Delta) {
	e.line(f, "delta", choice, string(d.Text))
}
func (e *scripted) End(f *serving.Frames, choice int, r *serving.Result) {
	e.line(f, "end", choice, r.Reason)
}
func (e *scripted) Finish(f *serving.Frames, r []*serving.Result) { e.line(f, "finish", len(r), "") }
func (e *scripted) Fail(f *serving.Frames, err *serving.Error)    { e.line(f, "fail", 0, err.Message) }
func (e *scripted) Ping(f *serving.Frames) {
	e.once.Do(func() {
		if e.silent != nil {
			close(e.silent)
		}
	})
	e.line(f, "ping", 0, "")
}

// stream runs n generations through an encoder.
func (f *fixture) stream(t *testing.T, enc serving.Encoder, n int) (*httptest.ResponseRecorder, *serving.Error) {
	t.Helper()
	w := httptest.NewRecorder()
	call := &serving.Call{App: f.app, W: w, R: httptest.NewRequest("POST", "/", nil)}
	var jobs []*serving.Job
	for range n {
		jobs = append(jobs, &serving.Job{Prompt: []int32{100, 101}, MaxTokens: 20, Stream: true})
	}
	gens, err := f.model.StartAll(t.Context(), jobs)
	if err != nil {
		t.Fatal(err)
	}
	defer serving.CloseAll(gens)
	return w, call.Stream(t.Context(), gens, serving.NDJSON, enc)
}

func TestStreamOfLines(t *testing.T) {
	f := newFixture(t, "ab\x00")
	w, err := f.stream(t, &scripted{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.Header().Get("Content-Type"); got != "application/x-ndjson" {
		t.Errorf("content type %q", got)
	}
	course := [2]string{}
	lines := strings.Split(strings.TrimSuffix(w.Body.String(), "\n"), "\n")
	for i, line := range lines {
		var m struct {
			What, Text string
			Choice     int
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if m.What == "finish" {
			if i != len(lines)-1 || m.Choice != 2 {
				t.Errorf("line %d of %d: %s", i, len(lines), line)
			}
			continue
		}
		if m.What == "delta" {
			course[m.Choice] += m.Text
		} else {
			course[m.Choice] += "[" + m.What + m.Text + "]"
		}
	}
	for i, c := range course {
		if c != "[begin]ab[endstop]" {
			t.Errorf("choice %d: %s", i, c)
		}
	}
}

// A panic while a message is made ends its request, not the process, and half a
// message is never sent.
func TestPanicsInStreams(t *testing.T) {
	noLeaks(t)
	for _, where := range []string{"begin", "delta", "end", "finish", "ping"} {
		for _, n := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/%d", where, n), func(t *testing.T) {
				f := newFixture(t, "ab\x00", func(c *Config, _ *engineConfig) {
					if where == "ping" {
						c.PingInterval = 5 * time.Millisecond
					}
				})
				if where == "ping" {
					slow(30*time.Millisecond, f)
				}
				w, err := f.stream(t, &scripted{panicsIn: where}, n)
				var p *serving.PanicError
				if err == nil || err.Status != 500 || !errors.As(err.Cause, &p) || !bytes.Contains(p.Stack, []byte("stream_test.go")) {
					t.Fatalf("got %+v", err)
				}
				body := strings.TrimSuffix(w.Body.String(), "\n")
				lines := strings.Split(body, "\n")
				for _, line := range lines {
					if body != "" && !json.Valid([]byte(line)) {
						t.Errorf("line %q", line)
					}
				}
				if last := lines[len(lines)-1]; body != "" && !strings.Contains(last, `"fail"`) {
					t.Errorf("the client was not told: %s", body)
				}
			})
		}
	}
}

// The same holds for answers that are not streamed.
func TestPanicWhileCollecting(t *testing.T) {
	f := newFixture(t, "ab\x00")
	gens, err := f.model.StartAll(t.Context(), []*serving.Job{{Prompt: []int32{100}, MaxTokens: 5}})
	if err != nil {
		t.Fatal(err)
	}
	all, err := serving.CollectAll(t.Context(), []*serving.Generation{gens[0], nil})
	if all != nil || err == nil || err.Status != 500 {
		t.Errorf("got %v, %v", all, err)
	}
	gens[0].Close()
}

// An error and a ping at the same time must not mix their messages.
func TestFailureDoesNotRaceWithPings(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t, "ab", func(c *Config, _ *engineConfig) { c.PingInterval = 50 * time.Microsecond })
		slow(time.Millisecond, f)
		for range 30 {
			w := httptest.NewRecorder()
			call := &serving.Call{App: f.app, W: w, R: httptest.NewRequest("POST", "/", nil)}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Millisecond)
			g, err := f.model.Start(ctx, &serving.Job{Prompt: []int32{100}, MaxTokens: 400, Stream: true})
			if err != nil {
				cancel()
				continue // the time was up before
			}
			err = call.Stream(ctx, []*serving.Generation{g}, serving.NDJSON, &scripted{})
			g.Close()
			cancel()
			if err == nil || err.Status != 504 {
				t.Fatalf("got %v", err)
			}
			for _, line := range strings.Split(strings.TrimSuffix(w.Body.String(), "\n"), "\n") {
				if w.Body.Len() > 0 && !json.Valid([]byte(line)) {
					t.Fatalf("line %q", line)
				}
			}
		}
	})
}
