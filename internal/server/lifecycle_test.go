package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const endless = `"prompt":"abc","max_tokens":500,"ignore_eos":true`

func slow(d time.Duration, f *fixture) { f.script.delay.Store(int64(d)) }

func TestDisconnectAborts(t *testing.T) {
	noLeaks(t)
	for name, path := range map[string]string{"chat": "/v1/chat/completions", "text": "/v1/completions", "native": "/generate", "stream": "/generate_stream", "llama": "/completion"} {
		for _, stream := range []string{"true", "false"} {
			t.Run(name+"/"+stream, func(t *testing.T) {
				f := newFixture(t, "abc")
				slow(20*time.Millisecond, f) // all of it takes ten seconds
				ts := f.listen(t)
				ctx, cancel := context.WithCancel(t.Context())
				body := "{" + hello + "," + endless + `,"stream":` + stream + "}"
				r, _ := http.NewRequestWithContext(ctx, "POST", ts.URL+path, strings.NewReader(body))
				done := make(chan struct{})
				go func() {
					defer close(done)
					if resp, err := ts.Client().Do(r); err == nil {
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
				}()
				waitFor(t, "the request to run", func() bool { return f.engine.Stats().Running == 1 })
				cancel()
				<-done
				steps := f.script.steps.Load()
				waitFor(t, "the abort", func() bool { return f.engine.Stats().Running == 0 })
				if n := f.script.steps.Load() - steps; n > 250 {
					t.Errorf("%d steps after the client had gone", n)
				}
				ts.Client().CloseIdleConnections()
			})
		}
	}
}

func TestDisconnectAbortsPrefill(t *testing.T) {
	f := newFixture(t, "abc", func(_ *Config, e *engineConfig) { e.StepBudget = 8; e.ChunkTokens = 8 })
	slow(100*time.Millisecond, f) // all of it takes five seconds
	ts := f.listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	body := `{"prompt":"` + strings.Repeat("x", 400) + `","stream":true}`
	r, _ := http.NewRequestWithContext(ctx, "POST", ts.URL+"/v1/completions", strings.NewReader(body))
	go func() {
		if resp, err := ts.Client().Do(r); err == nil {
			resp.Body.Close()
		}
	}()
	waitFor(t, "the prefill", func() bool { return f.script.steps.Load() > 2 })
	cancel()
	waitFor(t, "the abort", func() bool { return f.engine.Stats().Running == 0 })
	if n := f.script.steps.Load(); n > 40 {
		t.Errorf("the prefill went on for %d of 50 steps", n)
	}
}

func TestRequestTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t, "abc", func(c *Config, _ *engineConfig) { c.RequestTimeout = 60 * time.Millisecond })
		slow(5*time.Millisecond, f)
		for path, status := range map[string]int{"/v1/chat/completions": 504, "/v1/completions": 504, "/completion": 504, "/generate": 408} {
			a := f.post(t, path, "{"+hello+","+endless+"}")
			if a.status != status || !strings.Contains(a.body, "timed out") {
				t.Errorf("%s: status %d: %s", path, a.status, a.body)
			}
			if a.header.Get("X-Should-Retry") != "false" {
				t.Errorf("%s: clients would retry", path)
			}
		}
		for _, path := range []string{"/v1/chat/completions", "/generate_stream", "/completion"} {
			list := events(t, f.post(t, path, "{"+hello+","+endless+`,"stream":true}`).body)
			if all := strings.Join(list, "\n"); !strings.Contains(all, "timed out") {
				t.Errorf("%s: no error event in %s", path, all)
			}
		}
		f.settled(t)
	})
}

func TestLoading(t *testing.T) {
	s := New(Config{Version: "v"})
	f := &fixture{Server: s}
	for path, status := range map[string]int{
		"/health": 503, "/readyz": 503, "/livez": 200, "/": 200, "/v1/models": 200, "/v1/models/x": 503, "/props": 503, "/slots": 503,
		"/model/info": 503, "/metrics": 200, "/ui/": 200,
	} {
		a := f.do(t, "GET", path, "")
		if a.status != status {
			t.Errorf("%s: status %d, want %d: %s", path, a.status, status, a.body)
		}
		if status == 503 && a.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	h := f.do(t, "GET", "/health", "").get(t)
	if at(t, h, "error", "message") != "Loading model" || at(t, h, "error", "code") != 503.0 || at(t, h, "data", "model_loaded") != false || at(t, h, "data", "status") != "loading" {
		t.Errorf("got %v", h)
	}
	for _, path := range []string{"/v1/chat/completions", "/v1/completions", "/generate", "/generate_stream", "/encode", "/benchmark", "/completion", "/tokenize", "/detokenize", "/apply-template"} {
		if a := f.post(t, path, "{}"); a.status != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: status %d", path, a.status)
		}
	}
}

func TestHealth(t *testing.T) {
	f := newFixture(t, "x")
	for _, level := range []string{"", "?level=basic", "?level=detailed", "?level=full"} {
		a := f.do(t, "GET", "/health"+level, "")
		m := a.get(t)
		if a.status != 200 || m["status"] != "ok" || m["success"] != true || at(t, m, "data", "status") != "healthy" || at(t, m, "data", "model_loaded") != true {
			t.Errorf("%s: %v", level, m)
		}
		if _, there := at(t, m, "data").(map[string]any)["engine"]; there != (level == "?level=full") {
			t.Errorf("%s: engine %v", level, there)
		}
	}
	if a := f.do(t, "GET", "/health?level=odd", ""); a.status != 400 {
		t.Errorf("status %d", a.status)
	}
	if a := f.do(t, "HEAD", "/health", ""); a.status != 200 {
		t.Errorf("HEAD: status %d", a.status)
	}
}

func TestShutdownFinishesStreams(t *testing.T) {
	noLeaks(t)
	f := newFixture(t, "abcdefghij")
	slow(50*time.Millisecond, f) // until everything has been asked
	ts := f.listen(t)
	var wait sync.WaitGroup
	bodies := make([]string, 4)
	for i := range bodies {
		wait.Go(func() {
			r := postTo(t, ts.Client(), ts.URL+"/v1/completions", `{"prompt":"abc","max_tokens":400,"stream":true}`)
			bodies[i] = readAll(t, r.Body)
		})
	}
	waitFor(t, "the streams", func() bool { return f.engine.Stats().Running == 4 })
	stopped := make(chan error)
	go func() { stopped <- f.Shutdown(t.Context(), ts.Config) }()
	waitFor(t, "the drain", func() bool { return f.do(t, "GET", "/readyz", "").status == 503 })
	if a := f.do(t, "GET", "/health", ""); a.status != 503 || at(t, a.get(t), "data", "model_loaded") != true {
		t.Errorf("health while draining: %s", a.body)
	}
	if a := f.post(t, "/v1/completions", `{"prompt":"x"}`); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("new work while draining: status %d", a.status)
	}
	slow(0, f)
	if err := <-stopped; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	wait.Wait()
	for i, b := range bodies {
		list := events(t, b)
		text := ""
		for _, e := range decodeAll(t, list) { // tokens that queue up while the machine is busy come in one event
			text += at(t, e, "choices", 0, "text").(string)
		}
		if len(text) != 400 || list[len(list)-1] != "[DONE]" {
			t.Errorf("stream %d has %d of 400 characters", i, len(text))
		}
	}
	ts.Client().CloseIdleConnections()
}

func TestShutdownDeadlineAborts(t *testing.T) {
	f := newFixture(t, "abc")
	slow(50*time.Millisecond, f)
	ts := f.listen(t)
	r := postTo(t, ts.Client(), ts.URL+"/v1/completions", "{"+endless+`,"stream":true}`)
	defer r.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.Shutdown(ctx, ts.Config); err == nil {
		t.Error("no error although a stream was cut off")
	}
	if body := readAll(t, r.Body); !strings.Contains(body, "shutting down") {
		t.Errorf("the client was not told: %.200s", body[max(0, len(body)-200):])
	}
}

func TestKeys(t *testing.T) {
	f := newFixture(t, "x\x00", func(c *Config, _ *engineConfig) { c.Keys = keyring("alpha", "beta") })
	body := "{" + hello + "}"
	for _, c := range []struct {
		name, value string
		status      int
	}{
		{"Authorization", "Bearer alpha", 200},
		{"Authorization", "bearer beta", 200},
		{"X-Api-Key", "beta", 200},
		{"Authorization", "Bearer gamma", 401},
		{"Authorization", "alpha", 401},
		{"Authorization", "Bearer", 401},
		{"Authorization", "Bearer ", 401},
		{"X-Api-Key", "", 401},
	} {
		a := f.do(t, "POST", "/v1/chat/completions", body, c.name, c.value)
		if a.status != c.status {
			t.Errorf("%s %q: status %d", c.name, c.value, a.status)
		}
		if c.status == 401 && (at(t, a.get(t), "error", "type") != "authentication_error" || a.header.Get("WWW-Authenticate") == "") {
			t.Errorf("got %s", a.body)
		}
	}
	for path, status := range map[string]int{"/health": 200, "/livez": 200, "/readyz": 200, "/metrics": 401, "/": 200, "/ui/": 200, "/v1/models": 401, "/props": 401, "/model/info": 401} {
		if a := f.do(t, "GET", path, ""); a.status != status {
			t.Errorf("%s: status %d, want %d", path, a.status, status)
		}
	}
	if a := f.do(t, "GET", "/model/info", ""); at(t, a.get(t), "success") != false {
		t.Errorf("native form: %s", a.body)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	f := newFixture(t, "x")
	for _, c := range []struct {
		method, path string
		status       int
		field        string
	}{
		{"GET", "/v1/chat/completions", 405, "type"},
		{"DELETE", "/v1/models", 405, "type"},
		{"GET", "/generate", 405, ""},
		{"PUT", "/completion", 405, "code"},
		{"POST", "/health", 405, "code"},
		{"GET", "/v1/nothing", 404, "type"},
		{"POST", "/v1", 404, "type"},
		{"GET", "/nothing", 404, "type"},
		{"POST", "/chat/completion", 404, "type"},
		{"GET", "/infill", 405, "code"},
		{"POST", "/slots", 405, "code"},
		{"DELETE", "/version", 405, "type"},
		{"GET", "/api/nothing", 404, ""},
		{"POST", "/ui/x", 404, "type"},
		{"PATCH", "/", 405, ""},
	} {
		a := f.do(t, c.method, c.path, "")
		e := a.get(t)["error"]
		ok := a.status == c.status
		if c.field != "" {
			m, _ := e.(map[string]any)
			ok = ok && m[c.field] != nil
		} else {
			_, isText := e.(string)
			ok = ok && isText
		}
		if !ok || c.status == 405 && a.header.Get("Allow") == "" {
			t.Errorf("%s %s: status %d, Allow %q, %s", c.method, c.path, a.status, a.header.Get("Allow"), a.body)
		}
	}
	if a := f.do(t, "OPTIONS", "/v1/chat/completions", ""); a.status != 204 || a.header.Get("Allow") != "POST, OPTIONS" || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("OPTIONS: %d %v", a.status, a.header)
	}
	if a := f.do(t, "HEAD", "/v1/models", ""); a.status != 200 {
		t.Errorf("HEAD: %d", a.status)
	}
}

func TestCORS(t *testing.T) {
	f := newFixture(t, "x\x00", func(c *Config, _ *engineConfig) { c.CORSOrigin = "https://example.org" })
	a := f.do(t, "OPTIONS", "/v1/chat/completions", "", "Origin", "https://example.org", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,x-stainless-os")
	if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != "https://example.org" || a.header.Get("Access-Control-Allow-Headers") != "authorization,x-stainless-os" || !strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("preflight: %d %v", a.status, a.header)
	}
	for _, a := range []answer{f.post(t, "/v1/chat/completions", "{"+hello+"}"), f.post(t, "/v1/chat/completions", "{")} {
		if a.header.Get("Access-Control-Allow-Origin") != "https://example.org" {
			t.Errorf("status %d without the header", a.status)
		}
	}
}

func TestHeaders(t *testing.T) {
	f := newFixture(t, "x\x00")
	if a := f.do(t, "POST", "/v1/chat/completions", "{"+hello+"}", "X-Request-Id", "my-id"); a.header.Get("X-Request-Id") != "my-id" || a.header.Get("Openai-Processing-Ms") == "" {
		t.Errorf("got %v", a.header)
	}
	for _, bad := range []string{"a b", strings.Repeat("x", 129), "\x80"} {
		if got := f.do(t, "GET", "/health", "", "X-Request-Id", bad).header.Get("X-Request-Id"); got == bad || got == "" {
			t.Errorf("%q was echoed as %q", bad, got)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	f := newFixture(t, "x", func(c *Config, _ *engineConfig) { c.MaxBody = 1000 })
	big := `{"prompt":"` + strings.Repeat("x", 2000) + `"}`
	for _, path := range []string{"/v1/completions", "/generate", "/completion"} {
		if a := f.post(t, path, big); a.status != 413 {
			t.Errorf("%s: status %d", path, a.status)
		}
		r := httptest.NewRequest("POST", path, io.MultiReader(strings.NewReader(big))) // no length
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		if w.Code != 413 {
			t.Errorf("%s chunked: status %d", path, w.Code)
		}
	}
}

func TestSlowClients(t *testing.T) {
	for name, c := range map[string]struct {
		send, want string
		short      option
	}{
		"headers": {"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConte", "", func(c *Config, _ *engineConfig) { c.HeaderTimeout = 80 * time.Millisecond }},
		"body": {"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{\"prom", "408",
			func(c *Config, _ *engineConfig) { c.BodyTimeout = 80 * time.Millisecond }},
	} {
		ts := newFixture(t, "x\x00", func(c *Config, _ *engineConfig) { c.BodyTimeout, c.HeaderTimeout = 2*patience, 2*patience }, c.short).listen(t)
		conn, err := net.Dial("tcp", ts.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, c.send)
		conn.SetReadDeadline(time.Now().Add(patience))
		b, err := io.ReadAll(conn)
		if err != nil {
			t.Errorf("slow %s: the connection was not closed: %v", name, err)
		}
		if !strings.Contains(string(b), c.want) {
			t.Errorf("slow %s: got %q", name, b)
		}
		conn.Close()
	}
}

// smallBuffers makes connections that soon notice that nobody reads.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		err = errors.Join(err, tcp.SetWriteBuffer(1<<12))
	}
	return c, err
}

// A client that does not read must not hold up anybody else, and is dropped.
func TestSlowReader(t *testing.T) {
	f := newFixture(t, strings.Repeat("x", 400), func(c *Config, e *engineConfig) {
		c.WriteTimeout = 300 * time.Millisecond
		e.Blocks, e.Context = 8192, 65536
	})
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = f.HTTP("", nil)
	ts.Listener = smallBuffers{ts.Listener}
	ts.Start()
	defer ts.Close()
	conn, err := net.Dial("tcp", ts.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetReadBuffer(1 << 12)
	body := `{"prompt":"abc","max_tokens":60000,"temperature":0,"ignore_eos":true,"stream":true,"logprobs":20}`
	fmt.Fprintf(conn, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	waitFor(t, "the slow stream", func() bool { return f.engine.Stats().GeneratedTokens > 100 })
	start := time.Now()
	if a := f.post(t, "/v1/completions", `{"prompt":"abc","max_tokens":50}`); a.status != 200 {
		t.Errorf("status %d", a.status)
	}
	if d := time.Since(start); d > patience {
		t.Errorf("another request took %v", d)
	}
	waitFor(t, "the slow reader to be dropped", func() bool { return f.engine.Stats().Running == 0 })
}

func TestKeepAliveAndH2C(t *testing.T) {
	f := newFixture(t, "abc\x00")
	ts := f.listen(t)
	h2 := &http.Transport{Protocols: new(http.Protocols)}
	h2.Protocols.SetUnencryptedHTTP2(true)
	defer h2.CloseIdleConnections()
	for name, tr := range map[string]http.RoundTripper{"HTTP/1.1": ts.Client().Transport, "HTTP/2.0": h2} {
		conns := map[string]bool{}
		client := &http.Client{Transport: tr}
		for range 5 {
			r := postTo(t, client, ts.URL+"/v1/chat/completions", "{"+hello+`,"stream":true}`)
			if r.Proto != name {
				t.Errorf("proto %s, want %s", r.Proto, name)
			}
			if list := events(t, readAll(t, r.Body)); list[len(list)-1] != "[DONE]" {
				t.Errorf("%s: incomplete stream", name)
			}
			conns[r.Header.Get("Connection")] = true
		}
		if conns["close"] {
			t.Errorf("%s: the connection was closed after a stream", name)
		}
	}
}

func TestStreamsArriveTokenByToken(t *testing.T) {
	f := newFixture(t, "abcdefghij")
	slow(50*time.Millisecond, f)
	ts := f.listen(t)
	r := postTo(t, ts.Client(), ts.URL+"/generate_stream", "{"+endless+"}")
	defer r.Body.Close()
	if _, err := bufio.NewReader(r.Body).ReadString('\n'); err != nil || f.script.steps.Load() > 400 {
		t.Errorf("the first event came after %d of 500 steps (%v)", f.script.steps.Load(), err)
	}
}

func TestPanicIsA500(t *testing.T) {
	f := newFixture(t, "x")
	f.model.Chat = nil // any handler's bug
	a := f.post(t, "/v1/chat/completions", "{"+hello+"}")
	if a.status != 500 || at(t, a.get(t), "error", "type") != "server_error" {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

// However many clients come in whatever mode, all get their answer and nothing
// is left behind.
func TestManyClients(t *testing.T) {
	noLeaks(t)
	f := newFixture(t, "abcdefgh", func(_ *Config, e *engineConfig) { e.MaxQueue = 256 })
	ts := f.listen(t)
	ts.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 256
	modes := []struct{ path, body, last string }{
		{"/v1/chat/completions", "{" + hello + `,"max_tokens":20}`, `"finish_reason":"length"`},
		{"/v1/chat/completions", "{" + hello + `,"max_tokens":20,"stream":true}`, "data: [DONE]"},
		{"/v1/completions", `{"prompt":"abc","max_tokens":20,"stop":"fgh"}`, `"finish_reason":"stop"`},
		{"/v1/completions", `{"prompt":"abc","max_tokens":20,"stream":true,"logprobs":2}`, "data: [DONE]"},
		{"/generate", `{"prompt":"abc","max_tokens":20}`, `"success":true`},
		{"/generate_stream", `{"prompt":"abc","max_tokens":20}`, `"done":true`},
		{"/completion", `{"prompt":"abc","n_predict":20,"stream":true}`, `"stop":true`},
	}
	for _, clients := range []int{8, 64, 256} {
		var wait sync.WaitGroup
		for i := range clients {
			wait.Go(func() {
				m := modes[i%len(modes)]
				r, err := ts.Client().Post(ts.URL+m.path, "application/json", strings.NewReader(m.body))
				if err != nil {
					t.Error(err)
					return
				}
				defer r.Body.Close()
				body, err := io.ReadAll(r.Body)
				if err != nil || r.StatusCode != 200 || !strings.Contains(string(body), m.last) {
					t.Errorf("%d clients, %s: status %d, %v: %s", clients, m.path, r.StatusCode, err, body)
				}
			})
		}
		wait.Wait()
		f.settled(t)
	}
	ts.Client().CloseIdleConnections()
}
