package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

// shortBodyTimeout is short, so that tests see it pass.
func shortBodyTimeout(c *Config, _ *engineConfig) { c.BodyTimeout = 50 * time.Millisecond }

// listenSmall serves a fixture on a socket that soon notices that nobody reads.
func (f *fixture) listenSmall(t *testing.T) *httptest.Server {
	t.Helper()
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = f.HTTP("", nil)
	ts.Listener = smallBuffers{ts.Listener}
	ts.Start()
	t.Cleanup(ts.Close)
	return ts
}

// stalls are requests with a body that routes of all kinds answer without
// reading it.
var stalls = []struct {
	name, method, path string
	change             func(*fixture)
	keys               bool
	status             int
}{
	{name: "no key", method: "POST", path: "/v1/completions", keys: true, status: 401},
	{name: "no route", method: "POST", path: "/nothing", status: 404},
	{name: "wrong method", method: "PUT", path: "/v1/completions", status: 405},
	{name: "health", method: "GET", path: "/health", status: 200},
	{name: "options", method: "OPTIONS", path: "/v1/completions", status: 204},
	{name: "page", method: "GET", path: "/ui/", status: 200},
	{name: "metrics", method: "GET", path: "/metrics", status: 200},
	{name: "redirect", method: "GET", path: "/ui", status: 302},
	{name: "draining", method: "POST", path: "/v1/completions", change: func(f *fixture) { f.app.Models.StartDraining() }, status: 503},
	{name: "benchmark", method: "POST", path: "/benchmark", status: 408},
	{name: "generation", method: "POST", path: "/v1/chat/completions", status: 408},
	{name: "tokens", method: "POST", path: "/tokenize", status: 408},
}

// TestAnswersAfterTheBody: a client that sends all of a large body before it reads
// anything gets the answer to a request that is refused without the body.
func TestAnswersAfterTheBody(t *testing.T) {
	small := func(c *Config, _ *engineConfig) { c.MaxBody, c.Keys = 64<<10, keyring("secret") }
	ts := newFixture(t, "x\x00", small).listen(t)
	const size = 16 << 20 // more than sockets keep
	body := strings.Repeat(" ", size)
	for head, status := range map[string]int{
		"POST /v1/chat/completions HTTP/1.1\r\nX-Api-Key: secret\r\n":                   413,
		"POST /v1/messages HTTP/1.1\r\nX-Api-Key: secret\r\nContent-Encoding: gzip\r\n": 415,
		"POST /v1/messages HTTP/1.1\r\n":                                                401,
		"PUT /v1/chat/completions HTTP/1.1\r\n":                                         405,
		"POST /nothing HTTP/1.1\r\n":                                                    404,
		"POST /v1/responses HTTP/1.1\r\nX-Api-Key: secret\r\nExpect: 100-continue\r\n":  413,
	} {
		conn, err := net.Dial("tcp", ts.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(conn, "%sHost: localhost\r\nContent-Length: %d\r\n\r\n", head, size)
		if !strings.Contains(head, "Expect") {
			if _, err := io.WriteString(conn, body); err != nil {
				t.Errorf("%q: %v", head, err)
				continue
			}
		}
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || r.StatusCode != status {
			t.Errorf("%q: %v, %v", head, r, err)
			continue
		}
		if text := readAll(t, r.Body); !strings.Contains(text, "error") {
			t.Errorf("%q: %s", head, text)
		}
	}
}

// A body that is announced and never sent delays the answer for a moment only,
// whatever the answer, and holds nothing afterwards.
func TestBodiesThatNeverCome(t *testing.T) {
	for _, c := range stalls {
		for _, announce := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked"} {
			t.Run(c.name+"/"+announce[:7], func(t *testing.T) {
				f := newFixture(t, "x\x00", shortBodyTimeout, func(cfg *Config, _ *engineConfig) {
					if c.keys {
						cfg.Keys = keyring("secret")
					}
				})
				if c.change != nil {
					c.change(f)
				}
				ts := f.listen(t)
				base := runtime.NumGoroutine()
				conn, err := net.Dial("tcp", ts.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", c.method, c.path, announce)
				conn.SetReadDeadline(time.Now().Add(patience))
				start := time.Now()
				b, err := io.ReadAll(conn) // until the server closes the connection
				if err != nil {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
				if want := fmt.Sprintf("HTTP/1.1 %d ", c.status); !strings.HasPrefix(string(b), want) {
					t.Errorf("got %.100q, want %s", b, want)
				}
				backTo(t, base)
			})
		}
	}
}

// h2c returns a client that speaks HTTP/2 in clear, and keeps little of what
// nobody reads.
func h2c(t *testing.T) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// The same over HTTP/2, where the connection stays.
func TestBodiesThatNeverComeOverHTTP2(t *testing.T) {
	for _, c := range stalls {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, "x\x00", shortBodyTimeout, func(cfg *Config, _ *engineConfig) {
				if c.keys {
					cfg.Keys = keyring("secret")
				}
			})
			if c.change != nil {
				c.change(f)
			}
			ts := f.listen(t)
			client := h2c(t)
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			// One whole request first, so that the connection's own goroutines count as the base.
			if r, err := client.Get(ts.URL + "/livez"); err != nil {
				t.Fatal(err)
			} else {
				readAll(t, r.Body)
			}
			base := runtime.NumGoroutine()
			body, never := io.Pipe()
			defer never.Close()
			r, err := http.NewRequestWithContext(t.Context(), c.method, ts.URL+c.path, body)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			resp, err := client.Do(r)
			if err != nil {
				t.Fatalf("after %v: %v", time.Since(start), err)
			}
			readAll(t, resp.Body)
			if resp.StatusCode != c.status || time.Since(start) > patience {
				t.Errorf("status %d after %v, want %d", resp.StatusCode, time.Since(start), c.status)
			}
			never.CloseWithError(errors.New("over"))
			backTo(t, base)
		})
	}
}

// A client that never reads its answer is dropped when the write time-out has
// passed, streamed or not, and whatever the protocol.
func TestAnswersThatNobodyReads(t *testing.T) {
	options := func(c *Config, e *engineConfig) {
		c.WriteTimeout, e.Blocks, e.Context = 300*time.Millisecond, 8192, 65536
	}
	big := `{"content":"` + strings.Repeat("x ", 1<<18) + `"}` // some 2 MB of answer
	for name, c := range map[string]struct{ path, body string }{
		"plain":  {"/tokenize", big},
		"stream": {"/v1/completions", `{"prompt":"abc","max_tokens":60000,"temperature":0,"ignore_eos":true,"stream":true,"logprobs":20}`},
		"lines":  {"/completion", `{"prompt":"abc","n_predict":60000,"temperature":0,"ignore_eos":true,"stream":true,"n_probs":20}`},
	} {
		t.Run(name+"/HTTP1", func(t *testing.T) {
			f := newFixture(t, strings.Repeat("x", 400), options)
			ts := f.listenSmall(t)
			base := runtime.NumGoroutine()
			conn, err := net.Dial("tcp", ts.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.(*net.TCPConn).SetReadBuffer(1 << 12)
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", c.path, len(c.body), c.body)
			waitFor(t, "the client to be dropped", func() bool { return countOf(t, f, c.path, "2xx")+countOf(t, f, c.path, "4xx") == 1 })
			backTo(t, base)
			f.settled(t)
		})
		t.Run(name+"/HTTP2", func(t *testing.T) {
			f := newFixture(t, strings.Repeat("x", 400), options)
			ts := f.listen(t)
			client := h2c(t)
			r, err := client.Post(ts.URL+c.path, "application/json", strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			waitFor(t, "the client to be dropped", func() bool { return f.answers.running.Load() == 0 })
			f.settled(t)
			// The connection's other requests go on.
			if r, err := client.Get(ts.URL + "/livez"); err != nil || r.StatusCode != 200 {
				t.Errorf("another request: %v, %v", r, err)
			} else {
				readAll(t, r.Body)
			}
		})
	}
}

// A generation that takes longer than any time-out is not a client that stalls:
// neither a plain answer nor a stream without pings may end for it.
func TestLongSilenceIsNoStall(t *testing.T) {
	for _, name := range []string{"HTTP1", "HTTP2"} {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", name, stream), func(t *testing.T) {
				t.Parallel()
				f := newFixture(t, "a\x00", func(c *Config, _ *engineConfig) { // long enough for a busy machine to move a few bytes
					c.BodyTimeout, c.WriteTimeout, c.PingInterval = time.Second, time.Second, -1
				})
				slow(1500*time.Millisecond, f)
				ts := f.listen(t)
				client := ts.Client()
				if name == "HTTP2" {
					client = h2c(t)
				}
				r := postTo(t, client, ts.URL+"/v1/completions", fmt.Sprintf(`{"prompt":"x","stream":%v}`, stream))
				if b := readAll(t, r.Body); r.StatusCode != 200 || !strings.Contains(b, `"finish_reason":"stop"`) {
					t.Errorf("status %d: %s", r.StatusCode, b)
				}
				client.CloseIdleConnections()
			})
		}
	}
}
