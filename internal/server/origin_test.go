package server

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// No page that somebody visits can make their browser use a server on their
// machine, and no client that is no browser is bothered.
func TestWebPages(t *testing.T) {
	f := newFixture(t, "x\x00", func(c *Config, _ *engineConfig) {
		c.AllowedOrigins, c.AllowedHosts = []string{"https://ui.example"}, []string{"my.box"}
	})
	ts := f.listen(t)
	own := ts.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(own)
	json, form := "application/json", "application/x-www-form-urlencoded"
	for name, c := range map[string]struct {
		host, origin, site, kind string
		status                   int
	}{
		"curl -d":                {kind: form, status: 200},
		"SDK":                    {kind: json, status: 200},
		"no type":                {status: 200},
		"text":                   {kind: "text/plain", status: 200},
		"own page":               {origin: "http://" + own, site: "same-origin", kind: json, status: 200},
		"own page, old browser":  {origin: "http://" + own, kind: json, status: 200},
		"localhost":              {host: "localhost:" + port, origin: "http://localhost:" + port, kind: json, status: 200},
		"sub.localhost":          {host: "a.localhost:" + port, kind: json, status: 200},
		"IPv6":                   {host: "[::1]:" + port, kind: json, status: 200},
		"allowed host":           {host: "MY.box", kind: json, status: 200},
		"allowed page":           {origin: "https://ui.example", site: "cross-site", kind: json, status: 200},
		"allowed page, text":     {origin: "https://ui.example", site: "cross-site", kind: "text/plain; charset=utf-8", status: 415},
		"application":            {origin: "app://obsidian.md", site: "cross-site", kind: json, status: 200},
		"foreign page":           {origin: "https://evil.example", site: "cross-site", kind: json, status: 403},
		"foreign page, old":      {origin: "https://evil.example", kind: json, status: 403},
		"foreign page, text":     {origin: "https://evil.example", kind: "text/plain", status: 415},
		"foreign form":           {origin: "https://evil.example", site: "cross-site", kind: form, status: 415},
		"foreign page, no type":  {origin: "https://evil.example", site: "cross-site", status: 403},
		"other port":             {origin: "http://127.0.0.1:1", site: "same-site", kind: json, status: 403},
		"sandbox":                {origin: "null", site: "cross-site", kind: json, status: 403},
		"rebound name":           {host: "evil.example:" + port, kind: json, status: 403},
		"rebound name, its page": {host: "evil.example:" + port, origin: "http://evil.example:" + port, site: "same-origin", kind: json, status: 403},
		"0.0.0.0":                {host: "0.0.0.0:" + port, origin: "https://evil.example", site: "cross-site", kind: json, status: 403},
	} {
		for path, body := range map[string]string{
			"/v1/chat/completions": "{" + hello + "}", "/generate": `{"prompt":"x"}`, "/benchmark": `{"requests":1,"max_tokens":1}`, "/tokenize": `{"content":"x"}`,
		} {
			r, err := http.NewRequest("POST", ts.URL+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if c.host != "" {
				r.Host = c.host
			}
			for key, v := range map[string]string{"Origin": c.origin, "Sec-Fetch-Site": c.site, "Content-Type": c.kind} {
				if v != "" {
					r.Header.Set(key, v)
				}
			}
			resp, err := ts.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != c.status {
				t.Errorf("%s, %s: status %d, want %d: %s", name, path, resp.StatusCode, c.status, b)
			}
			if allowed := resp.Header.Get("Access-Control-Allow-Origin"); allowed != "" && allowed != "https://ui.example" {
				t.Errorf("%s, %s: answers may be read by %q", name, path, allowed)
			}
		}
	}
}

// Rebinding matters for reading, too.
func TestForeignHostNamesReadNothing(t *testing.T) {
	f := newFixture(t, "x")
	ts := f.listen(t)
	for _, path := range []string{"/", "/health", "/metrics", "/props", "/slots", "/v1/models", "/ui/", "/model/info"} {
		r, _ := http.NewRequest("GET", ts.URL+path, nil)
		r.Host = "evil.example"
		resp, err := ts.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 403 {
			t.Errorf("%s: status %d", path, resp.StatusCode)
		}
	}
	// A server for other machines cannot know its names.
	if a := f.do(t, "GET", "/health", "", "Host", "anything.example"); a.status != 200 {
		t.Errorf("status %d", a.status)
	}
}

func TestPreflightOfAllowedPages(t *testing.T) {
	f := newFixture(t, "x", func(c *Config, _ *engineConfig) { c.AllowedOrigins = []string{"https://ui.example"} })
	for origin, want := range map[string]string{"https://ui.example": "https://ui.example", "https://evil.example": ""} {
		a := f.do(t, "OPTIONS", "/v1/chat/completions", "", "Origin", origin, "Access-Control-Request-Method", "POST")
		if got := a.header.Get("Access-Control-Allow-Origin"); a.status != 204 || got != want || (a.header.Get("Access-Control-Allow-Methods") != "") != (want != "") {
			t.Errorf("%s: status %d, %v", origin, a.status, a.header)
		}
	}
}
