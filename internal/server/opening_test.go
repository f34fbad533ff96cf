package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-llm/penstock/internal/access"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// opening is a request for a stream of a model that is not loaded, with the signs of
// life that it gets meanwhile.
type opening struct {
	path, body  string
	ping        string // what each of them has
	last        string // what the stream ends with
	failed      string // what it ends with if the model could not be loaded
	contentType string
}

var openings = []opening{
	{"/v1/chat/completions", `{"model":"other","stream":true,` + hello + `}`, ": ping\n\n", "data: [DONE]\n\n",
		`"code":"model_load_failed"}}` + "\n\ndata: [DONE]\n\n", "text/event-stream"},
	{"/v1/completions", `{"model":"other","stream":true,"prompt":"x"}`, ": ping\n\n", "data: [DONE]\n\n",
		`"code":"model_load_failed"}}` + "\n\ndata: [DONE]\n\n", "text/event-stream"},
	{"/v1/responses", `{"model":"other","stream":true,"input":"x"}`, ": ping\n\n", "event: response.completed\n", "event: response.failed\n", "text/event-stream"},
	{"/v1/messages", `{"model":"other","stream":true,"max_tokens":9,` + hello + `}`, ": ping\n\n", "event: message_stop\n", "event: error\n", "text/event-stream"},
	{"/api/chat", `{"model":"other",` + hello + `}`, `"message":{"role":"assistant","content":""},"done":false}` + "\n", `"done":true`,
		`{"error":"the model \"other\" could not be loaded: it is broken"}`, "application/x-ndjson"},
	{"/api/generate", `{"model":"other","prompt":"x"}`, `"response":"","done":false}` + "\n", `"done":true`,
		`{"error":"the model \"other\" could not be loaded: it is broken"}`, "application/x-ndjson"},
	{"/completion", `{"model":"other","stream":true,"prompt":"x"}`, ": ping\n\n", `"stop":true`, `"type":"unavailable_error"}}`, "text/event-stream"},
	{"/generate_stream", `{"model":"other","prompt":"x"}`, ": ping\n\n", `"done":true`, `it is broken","done":true}`, "text/event-stream"},
}

// A stream whose model takes a second to load shows every 300 ms that it is alive.
// Then it goes on as any other, or with the error if there is no model after all.
func TestStreamsPingWhileTheirModelIsLoaded(t *testing.T) {
	pings := func(c *Config, _ *engineConfig) { c.PingInterval = 300 * time.Millisecond }
	broken := func(c *Config, _ *engineConfig) {
		open := c.Residency.Open
		c.Residency.Open = func(s serving.Source) (*serving.Opened, error) {
			o, err := open(s)
			o.Load = func(uint64) (*serving.Deployment, error) {
				time.Sleep(time.Second)
				return nil, errors.New("it is broken")
			}
			return o, err
		}
	}
	for _, o := range openings {
		t.Run(o.path, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				f := withOthers(t, pings)
				a := f.post(t, o.path, o.body)
				if n := strings.Count(a.body, o.ping); a.status != 200 || n != 3 || !strings.Contains(a.body, o.last) || a.header.Get("Content-Type") != o.contentType {
					t.Errorf("%d %s with %d signs of life: %s", a.status, a.header.Get("Content-Type"), n, a.body)
				}
				if again := f.post(t, o.path, o.body); strings.Contains(again.body, o.ping) || !strings.Contains(again.body, o.last) {
					t.Errorf("the model is loaded: %s", again.body)
				}
			})
			inBubble(t, func(t *testing.T) {
				a := withOthers(t, pings, broken).post(t, o.path, o.body)
				if n := strings.Count(a.body, o.ping); a.status != 200 || n != 3 || !strings.Contains(a.body, o.failed) {
					t.Errorf("%d with %d signs of life: %s", a.status, n, a.body)
				}
			})
		})
	}
}

// Whoever waits for no stream gets no signs of life, and the status of what went
// wrong. A client that leaves while it waits leaves nothing behind.
func TestNoPingsWithoutAStream(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := withOthers(t, func(c *Config, _ *engineConfig) { c.PingInterval = 300 * time.Millisecond })
		a := f.post(t, "/v1/chat/completions", `{"model":"other",`+hello+`}`)
		if a.status != 200 || at(t, a.get(t), "choices", 0, "message", "content") != "other" {
			t.Errorf("%d %s", a.status, a.body)
		}
		// The request is refused when the model is there, and its status has been sent.
		a = f.post(t, "/v1/chat/completions", `{"model":"second","stream":true,"top_p":7,`+hello+`}`)
		if a.status != 200 || strings.Count(a.body, ": ping") != 3 || !strings.Contains(a.body, `"param":"top_p"`) {
			t.Errorf("%d %s", a.status, a.body)
		}
		synctest.Wait()
		if err := f.app.Models.Idle(t.Context()); err != nil {
			t.Errorf("a request that was refused holds its model: %v", err)
		}
	})
}

// A warning about a request whose stream has begun already follows the stream.
func TestWarningsFollowAStreamThatHasBegun(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := withOthers(t, func(c *Config, _ *engineConfig) { c.PingInterval = 300 * time.Millisecond })
		tool := strings.Replace(weatherTool, `{"type":"string"}`, `{"type":"string","pattern":"(a)\\1"}`, 1)
		a := f.post(t, "/v1/chat/completions", `{"model":"other","stream":true,`+hello+`,"tools":[`+tool+`]}`)
		if w := strings.Join(a.header.Values(http.TrailerPrefix+"X-Penstock-Warning"), "; "); a.status != 200 || !strings.Contains(w, "tool weather") || !strings.Contains(a.body, ": ping") {
			t.Errorf("%d %v: %s", a.status, a.header, a.body)
		}
	})
}

// What lists models has those that the request's key may use, and so have errors.
func TestListsOfAKey(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		some, all := key("some", access.Infer, access.Admin), key("all", access.Infer)
		some.Models = []string{"alias", "missing"}
		f := withOthers(t, withKeys(some, all))
		names := func(k, path, list, name string) (got []string) {
			for _, m := range f.do(t, "GET", path, "", "X-Api-Key", k).get(t)[list].([]any) {
				got = append(got, fmt.Sprint(at(t, m, name)))
			}
			return got
		}
		for _, c := range []struct{ key, path, list, name, want string }{
			{"all", "/v1/models", "data", "id", "[org/tiny tiny other alias second]"},
			{"some", "/v1/models", "data", "id", "[other alias]"},
			{"some", "/models", "data", "id", "[other alias]"},
			{"all", "/api/tags", "models", "name", "[org/tiny tiny other alias second]"},
			{"some", "/api/tags", "models", "name", "[other alias]"},
			{"all", "/api/ps", "models", "name", "[org/tiny]"},
			{"some", "/api/ps", "models", "name", "[]"},
		} {
			if got := fmt.Sprint(names(c.key, c.path, c.list, c.name)); got != c.want {
				t.Errorf("%s for %s: %s, want %s", c.path, c.key, got, c.want)
			}
		}
		for _, c := range []struct {
			method, path, body string
			status             int
		}{
			{"GET", "/v1/models/other", "", 200}, {"GET", "/v1/models/second", "", 403}, {"GET", "/v1/models/nothing", "", 404},
			{"POST", "/api/show", `{"model":"alias"}`, 200}, {"POST", "/api/show", `{"model":"second"}`, 403}, {"POST", "/api/show", `{"model":"nothing"}`, 404},
			{"POST", "/v1/chat/completions", `{"model":"nothing",` + hello + `}`, 404}, {"POST", "/v1/chat/completions", `{` + hello + `}`, 403},
			{"GET", "/props", "", 403}, {"GET", "/get_model_info", "", 403}, {"GET", "/model/info", "", 403}, {"GET", "/slots?model=second", "", 403},
			{"POST", "/models/load", `{"model":"second"}`, 403}, {"POST", "/models/unload", `{"model":"tiny"}`, 403},
			{"POST", "/models/load", `{}`, 400}, {"POST", "/models/unload", `{"name":"other"}`, 400},
			{"POST", "/models/load", `{"model":"other"}`, 200}, {"GET", "/props", "", 200}, {"GET", "/get_model_info", "", 200},
		} {
			a := f.do(t, c.method, c.path, c.body, "X-Api-Key", "some")
			if a.status != c.status || strings.Contains(a.body, "tiny") && c.body != `{"model":"tiny"}` && c.body != `{`+hello+`}` && c.status != 403 {
				t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, a.status, a.body)
			}
			if c.status == 404 && !strings.Contains(a.body, "this server has other, alias") {
				t.Errorf("%s %s: %s", c.path, c.body, a.body)
			}
		}
		if got := fmt.Sprint(names("some", "/api/ps", "models", "name")); got != "[other]" {
			t.Errorf("what it has loaded: %s", got)
		}
	})
}

// /health needs no key, and names models only to clients that may use them.
func TestHealthNamesNoModelToStrangers(t *testing.T) {
	other, all := key("other", access.Infer), key("all", access.Infer)
	other.Models = []string{"big"}
	f := newFixture(t, "x\x00", withKeys(other, all))
	for k, sees := range map[string]bool{"": false, "wrong": false, "other": false, "all": true} {
		if a := f.do(t, "GET", "/health?level=full", "", "X-Api-Key", k); a.status != 200 || strings.Contains(a.body, "org/tiny") != sees {
			t.Errorf("with the key %q: %d %s", k, a.status, a.body)
		}
	}
	if a := newFixture(t, "x\x00").do(t, "GET", "/health?level=full", ""); !strings.Contains(a.body, "org/tiny") {
		t.Errorf("without keys: %s", a.body)
	}
}
