package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// An error never sends back what it was sent: 200 characters of it at most.
func TestErrorsDoNotEcho(t *testing.T) {
	f := newFixture(t, "abc\x00")
	long := strings.Repeat("0123456789", 10_000)
	check := func(what string, a answer) {
		t.Helper()
		for from := 0; ; {
			i := strings.Index(a.body[from:], "0123456789")
			if i < 0 {
				break
			}
			from += i
			n := len(a.body[from:]) - len(strings.TrimLeft(a.body[from:], "0123456789"))
			if a.status >= 400 && n > 200 {
				t.Errorf("%s: status %d repeats %d characters: %.300s", what, a.status, n, a.body)
				return
			}
			from += n
		}
		if a.status >= 400 && len(a.body) > 1500 {
			t.Errorf("%s: status %d has %d bytes: %.300s", what, a.status, len(a.body), a.body)
		}
	}
	values := []string{
		`"` + long + `"`, long, "1e" + long, `["` + long + `"]`, `{"` + long + `":1}`, `[{"role":"` + long + `"}]`,
		`[{"role":"user","content":[{"type":"` + long + `"}]}]`, `[{"type":"` + long + `"}]`, `[["` + long + `",1]]`, long + "x",
	}
	for path, body := range wellFormed {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &fields); err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			for _, v := range values {
				m := maps.Clone(fields)
				m[name] = json.RawMessage(v)
				list := []string{}
				for k, x := range m {
					list = append(list, fmt.Sprintf("%q:%s", k, x))
				}
				check(fmt.Sprintf("%s %s %.20s", path, name, v), f.post(t, path, "{"+strings.Join(list, ",")+"}"))
			}
		}
		check(path+" field", f.post(t, path, `{"`+long+`":`+long+`x}`))
	}
	for _, r := range [][2]string{{"GET", "/" + long}, {"GET", "/v1/models/" + long}, {"GET", "/api/" + long}, {"GET", "/health?level=" + long}, {strings.Repeat("X", 5000), "/generate"}} {
		check(r[1][:5], f.do(t, r[0], r[1], ""))
	}
	r := httptest.NewRequest("POST", "/generate", strings.NewReader("{}"))
	r.Header.Set("Origin", "https://"+long)
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	check("origin", answer{w.Code, w.Header(), w.Body.String()})
}

// Requests that no route has are requests, too.
func TestUnknownPathsAreObserved(t *testing.T) {
	var l logged
	f := newFixture(t, "x", withLog(&l))
	for i, c := range []struct {
		method, path, handler string
		status                int
	}{
		{"GET", "/nothing/here", "other", 404},
		{"POST", "/api/nothing", "other", 404},
		{"BREW", "/nothing", "other", 404},
		{"GET", "/v1/chat/completions", "/v1/chat/completions", 405},
		{"BREW", "/generate", "/generate", 405},
	} {
		before := countOf(t, f, c.handler, "4xx")
		id := fmt.Sprintf("id-%d", i)
		a := f.do(t, c.method, c.path, "", "X-Request-Id", id)
		if a.status != c.status || a.header.Get("X-Request-Id") != id {
			t.Errorf("%s %s: status %d, id %q", c.method, c.path, a.status, a.header.Get("X-Request-Id"))
		}
		if n := countOf(t, f, c.handler, "4xx") - before; n != 1 {
			t.Errorf("%s %s: counted %v times", c.method, c.path, n)
		}
		if !strings.Contains(l.String(), "path="+c.path) || !strings.Contains(l.String(), "request="+id) {
			t.Errorf("%s %s: not in the log", c.method, c.path)
		}
	}
	if body := f.do(t, "GET", "/metrics", "").body; strings.Contains(body, "BREW") || strings.Contains(body, "nothing") {
		t.Error("a client can make new series")
	}
}
