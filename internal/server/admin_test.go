package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestAdmin: profiles and metrics, on a listener of its own only, and for no page.
func TestAdmin(t *testing.T) {
	f := newFixture(t, "abc\x00")
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = f.Admin()
	ts.Start()
	defer ts.Close()
	get := func(path string, headers ...string) (int, string) {
		t.Helper()
		r, err := http.NewRequest("GET", ts.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			if headers[i] == "Host" {
				r.Host = headers[i+1]
			}
			r.Header.Set(headers[i], headers[i+1])
		}
		response, err := ts.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	for path, want := range map[string]string{
		"/debug/pprof/":                  "goroutine",
		"/debug/pprof/goroutine?debug=1": "goroutine profile",
		"/debug/pprof/heap?debug=1":      "heap profile",
		"/metrics":                       "penstock_ready 1",
	} {
		if status, body := get(path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
		if status, _ := get(path, "Host", "evil.example"); status != 403 {
			t.Errorf("%s for a name that points here: %d", path, status)
		}
		if status, _ := get(path, "Sec-Fetch-Site", "cross-site"); status != 403 {
			t.Errorf("%s for a page: %d", path, status)
		}
	}
	if status, _ := get("/v1/models"); status != 404 {
		t.Errorf("the API is there, too: %d", status)
	}
	if a := f.do(t, "GET", "/debug/pprof/", ""); a.status != 404 {
		t.Errorf("profiles among the API: %d", a.status)
	}
}
