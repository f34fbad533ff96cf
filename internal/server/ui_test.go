package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-llm/penstock/api/page"
	"github.com/penstock-llm/penstock/internal/access"
)

func TestUI(t *testing.T) {
	f := newFixture(t, "x")
	for path, kind := range map[string]string{"/ui/": "text/html", "/ui/js/main.js": "text/javascript", "/ui/base.css": "text/css", "/ui/icon.svg": "image/svg"} {
		a := f.do(t, "GET", path, "")
		policy := a.header.Get("Content-Security-Policy")
		if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), kind) || !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
		if again := f.do(t, "GET", path, "", "If-None-Match", a.header.Get("ETag")); again.status != 304 || again.body != "" {
			t.Errorf("%s: status %d for a page that is known", path, again.status)
		}
	}
	files := 0
	for _, r := range f.routes {
		if !strings.HasPrefix(r.Path, "/ui/") || r.Contract.Media == nil {
			continue
		}
		files++
		a := f.do(t, "GET", strings.TrimSuffix(r.Path, "{$}"), "")
		if text := strings.ReplaceAll(a.body, "http://www.w3.org/2000/svg", ""); a.status != 200 || strings.Contains(text, "https://") || strings.Contains(text, "http://") {
			t.Errorf("%s has an external address, or status %d", r.Path, a.status)
		}
		if strings.Contains(a.body, "innerHTML") && r.Path != "/ui/js/morph.js" || strings.Contains(a.body, "insertAdjacentHTML") || strings.Contains(a.body, "document.write") {
			t.Errorf("%s makes markup of a text", r.Path)
		}
	}
	if files < 20 {
		t.Errorf("%d files", files)
	}
	if a := f.do(t, "GET", "/ui", ""); a.status != 302 {
		t.Errorf("/ui: status %d", a.status)
	}
}

func TestUIRender(t *testing.T) {
	f := newFixture(t, "x", withKeys(key("k", access.Infer), access.Key{Name: "other", Digest: access.Digest("other"), Scopes: access.Scopes(), Models: []string{"other"}}))
	ask := func(body string) answer {
		return f.do(t, "POST", "/ui/render", body, "Authorization", "Bearer k")
	}
	a := ask(`{"text":"a *b*\n\nc 🙂\n\nd"}`).get(t)
	if at(t, a, "closed", 0, "html") != `<p dir="auto">a <em>b</em></p>`+"\n" || at(t, a, "closed", 0, "length") != 7.0 || len(a["closed"].([]any)) != 1 || len(a["open"].([]any)) != 2 {
		t.Errorf("got %v", a)
	}
	if a := ask(`{"text":"a *b*\n\nc 🙂\n\nd","done":true}`).get(t); at(t, a, "closed", 1, "length") != 6.0 || at(t, a, "closed", 2, "length") != 1.0 || len(a["open"].([]any)) != 0 {
		t.Errorf("got %v", a)
	}
	if a := ask(`{"text":""}`); a.status != 200 || a.body != `{"closed":[],"open":[]}` {
		t.Errorf("%d %s", a.status, a.body)
	}
	for body, want := range map[string]int{`{"text":5}`: 400, `{"text":"a","done":1}`: 400, ``: 400, `[]`: 400, `{"text":"` + strings.Repeat("a", 1<<20+1) + `"}`: 400} {
		if a := ask(body); a.status != want || !strings.Contains(a.body, `"error"`) {
			t.Errorf("%.40s: %d %.100s", body, a.status, a.body)
		}
	}
	if a := f.do(t, "GET", "/ui/live?model=none", "", "Authorization", "Bearer k"); a.status != 404 || !strings.Contains(a.body, "none") {
		t.Errorf("the live view of a model that is not there: %d %s", a.status, a.body)
	}
	if a := f.do(t, "GET", "/ui/live", "", "Authorization", "Bearer other"); a.status != 403 {
		t.Errorf("the live view of a model that the key may not use: %d %s", a.status, a.body)
	}
	for _, path := range []string{"/ui/render", "/ui/live"} {
		method := map[string]string{"/ui/render": "POST", "/ui/live": "GET"}[path]
		if a := f.do(t, method, path, `{"text":"a"}`); a.status != 401 {
			t.Errorf("%s without a key: %d", path, a.status)
		}
	}
}

// watch reads the live view, until stop is called.
func watch(t *testing.T, f *fixture) (next func() page.Live, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	events := make(chan page.Live)
	body := &pipe{lines: make(chan string, 64), header: http.Header{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.ServeHTTP(body, httptest.NewRequestWithContext(ctx, "GET", "/ui/live", nil))
		close(body.lines)
	}()
	go func() {
		defer close(events)
		for text := range body.lines {
			for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
				if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
					var e page.Live
					if err := json.Unmarshal([]byte(data), &e); err != nil {
						t.Errorf("%v in %s", err, data)
					}
					events <- e
				}
			}
		}
	}()
	next = func() page.Live {
		t.Helper()
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatal("the live view has ended")
			}
			return e
		case <-time.After(patience):
			t.Fatal("the live view says nothing new")
		}
		return page.Live{}
	}
	return next, func() {
		cancel()
		for range events {
		}
		<-done
	}
}

// pipe is a response that somebody reads while it is written.
type pipe struct {
	lines  chan string
	header http.Header
}

func (p *pipe) Header() http.Header { return p.header }
func (p *pipe) WriteHeader(int)     {}
func (p *pipe) Flush()              {}
func (p *pipe) Write(b []byte) (int, error) {
	p.lines <- string(b)
	return len(b), nil
}

// The live view shows who is in the batch, shared blocks, the queue, and afterwards
// where the time went; at rest it is silent.
func TestUILive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, "abcdefgh", func(_ *Config, e *engineConfig) { e.MaxBatch, e.PrefixCache = 2, true })
		f.script.delay.Store(int64(100 * time.Millisecond))
		next, stop := watch(t, f)
		if e := next(); e.State != "loaded" || e.Model != "org/tiny" || len(e.Sequences) != 0 || e.Limits.Batch != 2 || e.Limits.Blocks != 256 || fmt.Sprint(e.Blocks) != "[[256 0]]" {
			t.Errorf("at rest: %+v", e)
		}
		prefix := strings.Repeat("p", 100)
		ask := func(tail string) {
			if a := f.post(t, "/v1/completions", `{"prompt":"`+prefix+tail+`","max_tokens":30}`); a.status != 200 {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
		done := make(chan bool)
		go func() { ask("1"); done <- true }()
		time.Sleep(time.Second)
		for _, tail := range []string{"2", "3"} {
			go func() { ask(tail); done <- true }()
		}
		time.Sleep(500 * time.Millisecond)
		e := next()
		for len(e.Sequences) < 2 || e.Queued < 1 {
			e = next()
		}
		if s := e.Sequences[0]; s.Phase != "decode" || s.Rows != 1 || s.Prompt == 0 || s.Age < 1000 || s.Limit != 30 {
			t.Errorf("sequence %+v", s)
		}
		if w := e.Waiting[0]; w.Prompt == 0 || w.Preempted {
			t.Errorf("waiting %+v", w)
		}
		shared, all := uint64(0), uint64(0)
		for _, run := range e.Blocks {
			if all += run[0]; run[1] == 3 && len(run) == 4 {
				shared += run[0]
			}
		}
		if shared == 0 || all != 256 || e.Sequences[1].Cached != int(shared)*16 {
			t.Errorf("%d of %d blocks are shared: %v, %+v", shared, all, e.Blocks, e.Sequences)
		}
		if e.Step.Rows < 2 || e.Step.Whole < 100 || e.Step.Forward < 100 || e.Memory.Heap == 0 {
			t.Errorf("step %+v, memory %+v", e.Step, e.Memory)
		}
		for len(e.Recent) < 3 {
			e = next()
		}
		for range 3 {
			<-done
		}
		r := e.Recent[2]
		if r.Reason != "length" || r.Completion != 30 || r.Queue < 100 || r.Total < r.Queue+r.Forward || r.First == 0 || r.Steps < 30 {
			t.Errorf("recent %+v", r)
		}
		if sum := e.Totals; sum.Generated != 90 || sum.Hits == 0 || sum.Steps == 0 {
			t.Errorf("totals %+v", sum)
		}
		f.app.Models.StartDraining()
		for e.State != "draining" {
			e = next()
		}
		stop()
	})
}

// So many pages may watch, and one more when one of them has gone.
func TestUILiveIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, "x")
		var stops []func()
		for range 32 {
			next, stop := watch(t, f)
			next()
			stops = append(stops, stop)
		}
		if a := f.do(t, "GET", "/ui/live", ""); a.status != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("one more: %d %v", a.status, a.header)
		}
		stops[0]()
		next, stop := watch(t, f)
		next()
		stop()
		for _, stop := range stops[1:] {
			stop()
		}
	})
}
