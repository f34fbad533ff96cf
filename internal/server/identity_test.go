package server

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/access"
)

// key is a key whose secret is its name.
func key(name string, scopes ...access.Scope) access.Key {
	return access.Key{Name: name, Digest: access.Digest(name), Scopes: scopes}
}

// withKeys gives a server these keys.
func withKeys(keys ...access.Key) option {
	return func(c *Config, _ *engineConfig) { c.Keys = access.NewRing(keys) }
}

// A key opens the routes of its scopes, and no others.
func TestScopes(t *testing.T) {
	f := newFixture(t, "x\x00", withKeys(key("infer", access.Infer), key("admin", access.Admin), key("metrics", access.Metrics), key("all", access.Scopes()...)))
	routes := map[string]access.Scope{"GET /v1/models": access.Infer, "POST /v1/chat/completions": access.Infer, "POST /flush_cache": access.Admin, "GET /metrics": access.Metrics}
	for route, scope := range routes {
		method, path, _ := strings.Cut(route, " ")
		body := ""
		if path == "/v1/chat/completions" {
			body = "{" + hello + "}"
		}
		for _, k := range []string{"infer", "admin", "metrics", "all"} {
			want := 403
			if k == string(scope) || k == "all" {
				want = 200
			}
			a := f.do(t, method, path, body, "Authorization", "Bearer "+k)
			if a.status != want || want == 403 && !strings.Contains(a.body, "the key "+k+" lacks the scope "+string(scope)+", which "+path+" needs") {
				t.Errorf("%s with %s: %d %s", route, k, a.status, a.body)
			}
		}
		if a := f.do(t, method, path, body); a.status != 401 {
			t.Errorf("%s without a key: %d", route, a.status)
		}
		if a := f.do(t, "GET", "/health", "", "Authorization", "Bearer metrics"); a.status != 200 {
			t.Errorf("a route for everybody refuses a key: %d", a.status)
		}
	}
	open := newFixture(t, "x\x00", withKeys(key("infer", access.Infer)), func(c *Config, _ *engineConfig) { c.PublicMetrics = true })
	for _, k := range []string{"", "infer", "wrong"} {
		if a := open.do(t, "GET", "/metrics", "", "X-Api-Key", k); a.status != 200 {
			t.Errorf("public metrics with the key %q: %d", k, a.status)
		}
	}
}

// A key that names models may ask these, by any of their names.
func TestModelsOfAKey(t *testing.T) {
	some, other := key("some", access.Infer), key("other", access.Infer)
	some.Models, other.Models = []string{"big", "tiny"}, []string{"big"}
	f := newFixture(t, "x\x00", withKeys(some, other))
	for _, name := range []string{"org/tiny", "tiny"} {
		body := `{"model":"` + name + `",` + hello + "}"
		if a := f.do(t, "POST", "/v1/chat/completions", body, "X-Api-Key", "some"); a.status != 200 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		a := f.do(t, "POST", "/v1/chat/completions", body, "X-Api-Key", "other")
		if a.status != 403 || !strings.Contains(a.body, "the key other may not use the model "+name+"; it may use big") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if err := f.app.Models.Idle(t.Context()); err != nil {
		t.Errorf("a refused request holds the model: %v", err)
	}
}

// Each protocol has 401 and 403 in its own form.
func TestRefusedKeysInEachProtocol(t *testing.T) {
	limited := key("limited", access.Infer)
	limited.Models = []string{"big"}
	f := newFixture(t, "x\x00", withKeys(limited, key("metrics", access.Metrics)))
	for _, c := range []struct {
		path, body string
		form       []any // where the error's type or text is
		want       map[int]string
	}{
		{"/v1/chat/completions", "{" + hello + "}", []any{"error", "type"}, map[int]string{401: "authentication_error", 403: "permission_error"}},
		{"/v1/responses", `{"input":"hi"}`, []any{"error", "type"}, map[int]string{401: "authentication_error", 403: "permission_error"}},
		{"/v1/messages", `{"max_tokens":5,` + hello + "}", []any{"error", "type"}, map[int]string{401: "authentication_error", 403: "permission_error"}},
		{"/api/generate", `{"model":"tiny","prompt":"hi"}`, []any{"error"}, map[int]string{401: "missing or wrong API key", 403: "the key "}},
		{"/completion", `{"prompt":"hi"}`, []any{"error", "type"}, map[int]string{401: "authentication_error", 403: "permission_error"}},
		{"/generate", `{"prompt":"hi"}`, []any{"error"}, map[int]string{401: "missing or wrong API key", 403: "the key "}},
		{"/rerank", `{"query":"a","documents":["b"]}`, []any{"error", "type"}, map[int]string{401: "authentication_error", 403: "permission_error"}},
	} {
		for k, status := range map[string]int{"": 401, "wrong": 401, "limited": 403, "metrics": 403} {
			a := f.do(t, "POST", c.path, c.body, "X-Api-Key", k)
			got, _ := at(t, a.get(t), c.form...).(string)
			if a.status != status || !strings.HasPrefix(got, c.want[status]) || status == 401 && a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s with the key %q: %d %s", c.path, k, a.status, a.body)
			}
		}
		if strings.HasPrefix(c.path, "/v1/messages") {
			if a := f.do(t, "POST", c.path, c.body); a.get(t)["type"] != "error" {
				t.Errorf("%s: %s", c.path, a.body)
			}
		}
	}
}

// Keys that are replaced while the server runs count from the next request on.
func TestKeysAreReplaced(t *testing.T) {
	ring := access.NewRing(access.Plain("old"))
	f := newFixture(t, "x\x00", func(c *Config, _ *engineConfig) { c.Keys = ring })
	try := func(k string) int { return f.do(t, "GET", "/v1/models", "", "X-Api-Key", k).status }
	if try("old") != 200 || try("new") != 401 {
		t.Error("before")
	}
	ring.Replace(access.Plain("new"))
	if try("old") != 401 || try("new") != 200 {
		t.Error("after")
	}
	ring.Replace(nil)
	if try("old") != 401 || try("") != 401 {
		t.Error("a server whose last key was removed lets somebody in")
	}
}

func TestClientAddress(t *testing.T) {
	trusted := proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct{ name, remote, forwarded, want string }{
		{"no proxy", "203.0.113.9:1", "", "203.0.113.9"},
		{"a stranger's claim", "203.0.113.9:1", "198.51.100.1", "203.0.113.9"},
		{"one proxy", "10.0.0.1:1", "198.51.100.1", "198.51.100.1"},
		{"two proxies", "10.0.0.1:1", "198.51.100.1, 10.0.0.2", "198.51.100.1"},
		{"a claim before the proxy's", "10.0.0.1:1", "1.1.1.1, 198.51.100.1", "198.51.100.1"},
		{"with a port", "10.0.0.1:1", "198.51.100.1:4711", "198.51.100.1"},
		{"IPv6", "[fd00::1]:1", "[2001:db8::1]", "2001:db8::1"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:1", "198.51.100.1", "198.51.100.1"},
		{"nonsense", "10.0.0.1:1", "198.51.100.1, unknown", "10.0.0.1"},
		{"nothing said", "10.0.0.1:1", "", "10.0.0.1"},
		{"all are proxies", "10.0.0.1:1", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
		{"no address", "@", "198.51.100.1", "@"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := trusted.client(r); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.1:1"
	r.Header["X-Forwarded-For"] = []string{"198.51.100.1", "10.0.0.2"} // two headers are one list
	if got := trusted.client(r); got != "198.51.100.1" {
		t.Error(got)
	}
}

// What a proxy on the same machine passes on does not come from this machine.
func TestForwardedIsNotLocal(t *testing.T) {
	f := newFixture(t, "x\x00")
	flush := func(loopback bool, headers ...string) int {
		r := httptest.NewRequest("POST", "http://localhost/flush_cache", nil)
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), loopbackKey{}, loopback)))
		return w.Code
	}
	if got := flush(true, "Host", "localhost"); got != 200 {
		t.Errorf("from this machine: %d", got)
	}
	if got := flush(false); got != 403 {
		t.Errorf("from another one: %d", got)
	}
	for _, name := range []string{"X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"} {
		if got := flush(true, name, "127.0.0.1"); got != 403 {
			t.Errorf("%s: %d", name, got)
		}
	}
}
