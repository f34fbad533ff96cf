package load

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fake answers every dialect with n tokens; gap is the time between streamed ones.
type fake struct {
	tokens  int
	gap     time.Duration
	fresh   atomic.Int64 // connections
	mu      sync.Mutex
	prompts []string
}

func (f *fake) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"object":"list","data":[{"id":"fake"}]}`)
	})
	plain := map[string]string{
		"/v1/completions":      `{"model":"fake","choices":[{"text":"%[2]s","finish_reason":"length"}],"usage":{"prompt_tokens":5,"completion_tokens":%[1]d,"prompt_tokens_details":{"cached_tokens":2}}}`,
		"/v1/chat/completions": `{"model":"fake","choices":[{"message":{"role":"assistant","content":"%[2]s"},"finish_reason":"length"}],"usage":{"prompt_tokens":5,"completion_tokens":%[1]d}}`,
		"/generate":            `{"success":true,"data":{"id":"1","text":"%[2]s","generated_tokens":%[1]d,"prompt_tokens":5}}`,
		"/api/generate":        `{"model":"fake","response":"%[2]s","done":true,"done_reason":"length","eval_count":%[1]d,"prompt_eval_count":5}`,
		"/api/chat":            `{"model":"fake","message":{"role":"assistant","content":"%[2]s"},"done":true,"done_reason":"length","eval_count":%[1]d,"prompt_eval_count":5}`,
	}
	streamed := map[string][3]string{ // first, each, last
		"/v1/completions": {"", `data: {"choices":[{"text":" w"}],"usage":null}` + "\n\n",
			`data: {"choices":[{"text":"","finish_reason":"length"}]}` + "\n\n" + `data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":%d}}` + "\n\ndata: [DONE]\n\n"},
		"/v1/chat/completions": {`data: {"choices":[{"delta":{"role":"assistant","content":""}}]}` + "\n\n", `data: {"choices":[{"delta":{"content":" w"}}]}` + "\n\n",
			`data: {"choices":[{"delta":{},"finish_reason":"length"}]}` + "\n\n" + `data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":%d}}` + "\n\ndata: [DONE]\n\n"},
		"/generate_stream": {"", `data: {"id":"1","token":" w","done":false}` + "\n\n", `data: {"id":"1","token":"","done":true,"generated_tokens":%d}` + "\n\n"},
		"/api/generate":    {"", `{"response":" w","done":false}` + "\n", `{"response":"","done":true,"done_reason":"length","eval_count":%d,"prompt_eval_count":5}` + "\n"},
		"/api/chat":        {"", `{"message":{"role":"assistant","content":" w"},"done":false}` + "\n", `{"message":{"content":""},"done":true,"done_reason":"length","eval_count":%d,"prompt_eval_count":5}` + "\n"},
	}
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		var req struct {
			Stream   bool      `json:"stream"`
			Prompt   string    `json:"prompt"`
			Messages []Message `json:"messages"`
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		f.mu.Lock()
		f.prompts = append(f.prompts, req.Prompt+plainPrompt(req.Messages))
		f.mu.Unlock()
		if !req.Stream {
			time.Sleep(f.gap)
			fmt.Fprintf(w, plain[r.URL.Path], f.tokens, strings.Repeat(" w", f.tokens))
			return
		}
		form := streamed[r.URL.Path]
		io.WriteString(w, form[0])
		w.(http.Flusher).Flush()
		for range f.tokens {
			time.Sleep(f.gap)
			io.WriteString(w, form[1])
			w.(http.Flusher).Flush()
		}
		fmt.Fprintf(w, form[2], f.tokens)
	})
	return mux
}

func (f *fake) start(t *testing.T, configure func(*httptest.Server)) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(f.handler())
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			f.fresh.Add(1)
		}
	}
	if configure != nil {
		configure(s)
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func mustRun(t *testing.T, target Target, traffic Traffic, prompts Prompts) *Result {
	t.Helper()
	res, err := Run(t.Context(), target, traffic, prompts, nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestEveryDialect(t *testing.T) {
	for _, d := range dialects() {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/stream=%v", d, stream), func(t *testing.T) {
				f := &fake{tokens: 6}
				s := f.start(t, nil)
				res := mustRun(t, Target{URL: s.URL, Dialect: d, Stream: stream, MaxTokens: 6}, Traffic{Clients: 3, Requests: 10}, Words{Words: 4, Seed: 1})
				if n := f.fresh.Load(); len(res.Samples) != 10 || n < 1 || n > 3 {
					t.Fatalf("%d samples over %d connections, want 10 over at most 3", len(res.Samples), n)
				}
				for _, x := range res.Samples {
					if !x.OK() || x.Completion != 6 || !x.Counted {
						t.Fatalf("%+v", x)
					}
					if stream && (len(x.Events) != 6 || x.First <= 0 || x.First > x.End) {
						t.Fatalf("the empty first event counts, or events are lost: %+v", x)
					}
				}
			})
		}
	}
}

func TestFirstTokenNotFirstChunk(t *testing.T) {
	f := &fake{tokens: 2, gap: 30 * time.Millisecond}
	s := f.start(t, nil)
	res := mustRun(t, Target{URL: s.URL, Dialect: Chat, Stream: true, MaxTokens: 2}, Traffic{Clients: 1, Requests: 1}, Fixed("x"))
	if first := res.Samples[0].First; first < 25*time.Millisecond {
		t.Errorf("time to first token %v is that of the empty role chunk", first)
	}
}

func TestProtocols(t *testing.T) {
	for name, c := range map[string]struct {
		target    Target
		configure func(*httptest.Server)
	}{
		"h2c": {Target{HTTP2: true}, func(s *httptest.Server) {
			s.Config.Protocols = new(http.Protocols)
			s.Config.Protocols.SetUnencryptedHTTP2(true)
			s.Config.Protocols.SetHTTP1(true)
			s.Start()
		}},
		"tls":     {Target{Insecure: true}, func(s *httptest.Server) { s.StartTLS() }},
		"tls, h2": {Target{Insecure: true, HTTP2: true}, func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() }},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{tokens: 3}
			s := f.start(t, c.configure)
			c.target.URL, c.target.Dialect, c.target.Stream = s.URL, Completions, true
			for _, x := range mustRun(t, c.target, Traffic{Clients: 2, Requests: 4}, Fixed("x")).Samples {
				if !x.OK() || len(x.Events) != 3 {
					t.Errorf("%+v", x)
				}
			}
			if d, err := Detect(t.Context(), Target{URL: s.URL, Insecure: c.target.Insecure, HTTP2: c.target.HTTP2}); err != nil || d.Model != "fake" {
				t.Errorf("Detect: %+v, %v", d, err)
			}
		})
	}
}

func TestFreshConnections(t *testing.T) {
	f := &fake{tokens: 1}
	s := f.start(t, nil)
	mustRun(t, Target{URL: s.URL, Dialect: Native, Fresh: true}, Traffic{Clients: 2, Requests: 7}, Fixed("x"))
	if n := f.fresh.Load(); n != 7 {
		t.Errorf("7 requests over %d connections", n)
	}
}

func TestMultiTurnCarriesTheAnswers(t *testing.T) {
	f := &fake{tokens: 2}
	s := f.start(t, nil)
	for _, stream := range []bool{false, true} {
		f.prompts = nil
		mustRun(t, Target{URL: s.URL, Dialect: Chat, Stream: stream}, Traffic{Clients: 1, Requests: 2}, Words{Words: 2, Turns: 2, Seed: 3})
		if len(f.prompts) != 2 || !strings.HasPrefix(f.prompts[1], f.prompts[0]+"\n w w\n") {
			t.Errorf("stream=%v: prompts %q", stream, f.prompts)
		}
	}
}

func TestOpenLoopCountsFromWhenDue(t *testing.T) {
	f := &fake{tokens: 1, gap: 40 * time.Millisecond}
	s := f.start(t, nil)
	res := mustRun(t, Target{URL: s.URL, Dialect: Native}, Traffic{Rate: 200, Clients: 1, Requests: 5}, Fixed("x"))
	// One at a time, 40 ms each, due every 5 ms: whichever came last waited for four others.
	last := slices.MaxFunc(res.Samples, func(a, b Sample) int { return cmp.Compare(a.Late, b.Late) })
	if last.End < 150*time.Millisecond || last.Late < 100*time.Millisecond {
		t.Errorf("latency %v, late %v: waiting for a slot is not counted", last.End, last.Late)
	}
}

func TestArrivals(t *testing.T) {
	for _, burst := range []float64{0, 0.5, 1, 4} {
		var last time.Duration
		n := 0
		for at := range arrivals(Traffic{Rate: 100, Requests: 5000, Burstiness: burst, Seed: 1}) {
			if at < last {
				t.Fatal("arrivals go back in time")
			}
			last = at
			n++
		}
		if mean := last.Seconds() / float64(n); mean < 0.0095 || mean > 0.0105 {
			t.Errorf("burstiness %v: mean gap %v s, want 0.01", burst, mean)
		}
	}
	half := 0
	n := 0
	for at := range arrivals(Traffic{Rate: 10, RampTo: 30, Duration: 10 * time.Second}) {
		if n++; at < 5*time.Second {
			half++
		}
	}
	if n < 195 || n > 205 || half < 70 || half > 80 { // 10..30 a second: 200 in all, 75 in the first half
		t.Errorf("ramp: %d arrivals, %d in the first half", n, half)
	}
}

func TestDuration(t *testing.T) {
	f := &fake{tokens: 1, gap: 5 * time.Millisecond}
	s := f.start(t, nil)
	res := mustRun(t, Target{URL: s.URL, Dialect: Native}, Traffic{Clients: 2, Duration: 500 * time.Millisecond}, Fixed("x"))
	if n := len(res.Samples); n < 4 || n > 202 { // a busy machine does fewer, none does more
		t.Errorf("%d requests in 500 ms of 5 ms each on two clients", n)
	}
}

func TestFailuresAreSamples(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		stream bool
		want   string
	}{
		"status": {func(w http.ResponseWriter) {
			http.Error(w, `{"error":{"message":"full up"}}`, http.StatusTooManyRequests)
		}, false, "HTTP 429: full up"},
		"status, stream": {func(w http.ResponseWriter) { http.Error(w, "plain  text", 500) }, true, "HTTP 500: plain text"},
		"empty":          {func(w http.ResponseWriter) {}, false, "empty answer"},
		"not JSON":       {func(w http.ResponseWriter) { io.WriteString(w, "<html>") }, false, "not JSON"},
		"another API":    {func(w http.ResponseWriter) { io.WriteString(w, `{"data":[1]}`) }, false, `its "data" is of the wrong type: array`},
		"negative usage": {func(w http.ResponseWriter) { io.WriteString(w, `{"usage":{"completion_tokens":-7}}`) }, false, "usage of -7 tokens"},
		"absurd usage": {func(w http.ResponseWriter) { io.WriteString(w, `{"usage":{"completion_tokens":9000000000000000000}}`) }, false,
			"usage of 9000000000000000000 tokens"},
		"error in 200": {func(w http.ResponseWriter) { io.WriteString(w, `{"success":false,"error":"no"}`) }, false, "the server reported: no"},
		"cut stream":   {func(w http.ResponseWriter) { io.WriteString(w, `data: {"token":"x","done":false}`+"\n\n") }, true, "ended before"},
		"error in stream": {func(w http.ResponseWriter) { io.WriteString(w, `data: {"id":"1","error":"broke","done":true}`+"\n\n") },
			true, "the server reported: broke"},
		"hijacked": {func(w http.ResponseWriter) {
			c, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
			c.Close()
		}, false, "unexpected EOF"},
		"no HTTP": {func(w http.ResponseWriter) {
			c, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(c, "SSH-2.0-x\r\n\r\n")
			c.Close()
		}, false, "does not begin like HTTP"},
		"bad chunk": {func(w http.ResponseWriter) {
			c, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
			c.Close()
		}, true, "chunk's size"},
		"endless header": {func(w http.ResponseWriter) {
			c, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(c, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<17))
			c.Close()
		}, false, "too long"},
		"no answer": {nil, false, "timed out after 200ms"},
	} {
		t.Run(name, func(t *testing.T) {
			limit := time.Minute
			if c.answer == nil {
				limit = 200 * time.Millisecond
			}
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c.answer == nil {
					io.Copy(io.Discard, r.Body)
					<-r.Context().Done() // the client has gone
					return
				}
				c.answer(w)
			}))
			defer s.Close()
			res := mustRun(t, Target{URL: s.URL, Dialect: Native, Stream: c.stream, Timeout: limit}, Traffic{Clients: 1, Requests: 2}, Fixed("x"))
			for _, x := range res.Samples {
				if !strings.Contains(x.Err, c.want) {
					t.Errorf("error %q does not say %q", x.Err, c.want)
				}
			}
		})
	}
}

func TestStaleConnectionIsSentAgain(t *testing.T) {
	f := &fake{tokens: 1}
	closed := make(chan struct{}, 9)
	s := f.start(t, func(s *httptest.Server) {
		s.Config.IdleTimeout = 20 * time.Millisecond
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				closed <- struct{}{}
			}
		}
		s.Start()
	})
	target := Target{URL: s.URL, Dialect: Native}
	e, err := target.endpoint()
	if err != nil {
		t.Fatal(err)
	}
	c := e.dial()
	defer c.close()
	body, _ := target.body([]Message{{"user", "x"}}, Turn{})
	for i := range 3 {
		a := newAnswer(target, false)
		err := c.do(t.Context(), message{body: body}, a)
		if x := a.sample(time.Now(), err); !x.OK() || x.Resent != (i > 0) {
			t.Fatalf("request %d: %+v", i, x)
		}
		<-closed // by the server, which has waited for the next request
	}
}

func TestUnreachable(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	if _, err := Detect(t.Context(), Target{URL: s.URL}); err == nil || !strings.Contains(err.Error(), "can't be reached") {
		t.Errorf("Detect: %v", err)
	}
	res := mustRun(t, Target{URL: s.URL, Dialect: Chat}, Traffic{Clients: 1, Requests: 1}, Fixed("x"))
	if res.Samples[0].OK() {
		t.Error("a request to nobody succeeded")
	}
}

func TestBadTrafficAndTargets(t *testing.T) {
	for _, p := range []Traffic{{}, {Clients: 1}, {Requests: 1}, {Requests: 1, Rate: -1}} {
		if _, err := Run(t.Context(), Target{URL: "http://x", Dialect: Chat}, p, Fixed(""), nil); err == nil {
			t.Errorf("traffic %+v was accepted", p)
		}
	}
	for _, u := range []string{"", "ftp://x", "http://", "http://a b/"} {
		if _, err := Run(t.Context(), Target{URL: u, Dialect: Chat}, Traffic{Clients: 1, Requests: 1}, Fixed(""), nil); err == nil {
			t.Errorf("URL %q was accepted", u)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Target{URL: "http://x", Dialect: Chat}, Traffic{Clients: 1, Requests: 1}, Fixed(""), nil); err == nil {
		t.Error("a stopped run returned a result")
	}
}

// Splitting a stream anywhere must not change what is read from it.
func TestSplitsDoNotMatter(t *testing.T) {
	stream := `data: {"choices":[{"delta":{"role":"assistant","content":""}}]}` + "\r\n\r\n: ping\n\n" +
		`data: {"choices":[{"delta":{"content":"\"text\":\"x"}}]}` + "\n\n" +
		`data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}` + "\n\ndata: [DONE]\n\n"
	for cut := range stream {
		a := newAnswer(Target{Dialect: Chat, Stream: true}, true)
		a.status = 200
		now := time.Now()
		for _, part := range []string{stream[:cut], stream[cut:]} {
			if err := a.data([]byte(part), now); err != nil {
				t.Fatal(err)
			}
		}
		if s := a.sample(now.Add(-time.Second), nil); !s.OK() || len(s.Events) != 1 || s.Completion != 2 || a.text() != `"text":"x` {
			t.Fatalf("cut at %d: %+v %q", cut, s, a.text())
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("data: {\"token\":\"x\",\"done\":true,\"generated_tokens\":1}\n\n"), true)
	f.Add([]byte(`{"success":true,"data":{"generated_tokens":3}}`), false)
	f.Fuzz(func(t *testing.T, data []byte, stream bool) {
		for _, d := range dialects() {
			a := newAnswer(Target{Dialect: d, Stream: stream}, true)
			a.status = 200
			_ = a.data(data, time.Now())
			if s := a.sample(time.Now(), nil); s == nil {
				t.Fatal("no sample")
			}
		}
	})
}

// A server that dies in the middle of a run is not hammered, and the run says what happened instead of going on for its time.
func TestDeadServerEndsTheRun(t *testing.T) {
	for name, traffic := range map[string]Traffic{
		"closed loop": {Clients: 4, Duration: time.Hour},
		"open loop":   {Rate: 50, Duration: time.Hour},
	} {
		var answered atomic.Int64
		var server *httptest.Server
		server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if answered.Add(1) == 20 {
				go server.CloseClientConnections()
				server.Listener.Close()
			}
			io.WriteString(w, `{"usage":{"completion_tokens":5}}`)
		}))
		traffic.Patience = 400 * time.Millisecond
		var attempts atomic.Int64
		start := time.Now()
		_, err := Run(t.Context(), Target{URL: server.URL, Dialect: Completions, MaxTokens: 5, Fresh: true}, traffic, Fixed("x"), func(s *Sample) {
			if !s.OK() {
				attempts.Add(1)
			}
		})
		server.Close()
		if err == nil || !strings.Contains(err.Error(), "nothing answers at http://127.0.0.1:") || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > 2*time.Minute {
			t.Errorf("%s: the run went on for %v", name, took)
		}
		if n := attempts.Load(); n > 100 {
			t.Errorf("%s: %d requests to a dead server", name, n)
		}
	}
}

// A server that is away for less than the patience of a run does not end it.
func TestServerThatComesBack(t *testing.T) {
	w := newWatch("u", time.Hour, func(error) { t.Error("ended") })
	w.patience = 20 * time.Millisecond
	w.note(&Sample{silent: true})
	w.note(&Sample{Status: 503, Err: "HTTP 503"})
	time.Sleep(30 * time.Millisecond)
	w.note(&Sample{silent: true})
	var b backoff
	for range 3 {
		b.wait(t.Context(), false)
	}
	if b.pause != 4*leastPause {
		t.Errorf("a pause of %v after three failures", b.pause)
	}
	if b.wait(t.Context(), true); b.pause != 0 {
		t.Error("a client that was answered still pauses")
	}
}
