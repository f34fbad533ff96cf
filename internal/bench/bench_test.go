package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
)

// fakeServer answers completions like a model that takes step for a token and never stops early.
func fakeServer(t *testing.T, model string, step time.Duration, tokens func(asked int) int) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"data":[{"id":%q}]}`, model) })
	mux.HandleFunc("POST /v1/completions", func(w http.ResponseWriter, r *http.Request) {
		var req struct {
			Prompt string `json:"prompt"`
			Max    int    `json:"max_tokens"`
			Stream bool   `json:"stream"`
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		n := tokens(req.Max)
		usage := fmt.Sprintf(`"model":%q,"usage":{"prompt_tokens":%d,"completion_tokens":%d}`, model, len(strings.Fields(req.Prompt)), n)
		if !req.Stream {
			time.Sleep(time.Duration(n) * step)
			fmt.Fprintf(w, `{"choices":[{"text":"x","finish_reason":"length"}],%s}`, usage)
			return
		}
		for range n {
			time.Sleep(step)
			io.WriteString(w, `data: {"choices":[{"text":"x"}]}`+"\n\n")
			w.(http.Flusher).Flush()
		}
		fmt.Fprintf(w, "data: {\"choices\":[],%s}\n\ndata: [DONE]\n\n", usage)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func all(asked int) int { return asked }

func work() Work {
	return Work{Requests: 8, Concurrency: 2, Gen: 5, Words: 3, IgnoreEOS: true, Timeout: time.Second, Warmup: -1, Turns: 1}
}

func TestLoad(t *testing.T) {
	s := fakeServer(t, "m", time.Millisecond, all)
	dir := t.TempDir()
	l := &Load{URL: s.URL, API: "auto", Work: work(), JSON: true, Out: filepath.Join(dir, "run.json"), Plots: dir, SLO: []string{"ttft=100ms", "e2e=1s"}}
	l.Stream = true
	var out bytes.Buffer
	if err := l.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	var res LoadResult
	if err := json.Unmarshal(out.Bytes(), &res); err != nil {
		t.Fatal(err)
	}
	sum := res.Summary
	if sum.OK != 8 || sum.OutputTokens != 40 || sum.PromptTokens != 24 || sum.Goodput.Met != 8 || sum.TTFT == nil || sum.ITL.N != 32 {
		t.Errorf("%+v", sum)
	}
	if sum.TPOT.P50 < 1 || sum.TPOT.P50 > 20 || sum.TokensPerSecond <= 0 {
		t.Errorf("tokens every millisecond: TPOT %v, %v tokens/s", sum.TPOT.P50, sum.TokensPerSecond)
	}
	data, err := os.ReadFile(l.Out)
	if err != nil || json.Unmarshal(data, &res) != nil || len(res.Samples) != 8 || res.Kind != "load" || res.Machine.CPU == "" {
		t.Errorf("stored result: %v, %d samples", err, len(res.Samples))
	}
	for _, name := range []string{"arrivals.svg", "arrivals.png", "timeline.svg"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestLoadTable(t *testing.T) {
	s := fakeServer(t, "m", 0, all)
	var out, progress bytes.Buffer
	l := &Load{URL: s.URL, API: "auto", Work: work(), Progress: &progress}
	if err := l.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"8 of 8 requests succeeded", "40 output", "E2E", "CPU-µs per token"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "TTFT") {
		t.Error("an unstreamed run has no time to first token")
	}
}

func TestSweep(t *testing.T) {
	s := fakeServer(t, "m", time.Millisecond, all)
	for _, rate := range []float64{0, 1} {
		l := &Load{URL: s.URL, API: "auto", Work: work(), Sweep: true, Rate: rate, Burstiness: 1, Plots: t.TempDir()}
		l.Stream = true
		var out bytes.Buffer
		if err := l.Run(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "knee: ") {
			t.Errorf("no knee:\n%s", out.String())
		}
		if _, err := os.Stat(filepath.Join(l.Plots, "latency.svg")); err != nil {
			t.Error(err)
		}
	}
}

func TestKnee(t *testing.T) {
	s := &Sweep{}
	for _, p := range [][3]float64{{1, 100, 10}, {2, 200, 11}, {4, 390, 12}, {8, 420, 60}, {16, 425, 200}} {
		x := SweepPoint{Load: p[0], Summary: Summary{TokensPerSecond: p[1]}}
		x.E2E.P50 = p[2]
		s.Points = append(s.Points, x)
	}
	if k := s.knee(); k != 4 {
		t.Errorf("knee at %v, want 4: beyond it latency grows fivefold for 8 %% of throughput", k)
	}
	if (&Sweep{Points: []SweepPoint{{}}}).knee() != 0 {
		t.Error("a knee of nothing")
	}
}

func TestLoadRefusesFalseFigures(t *testing.T) {
	answer := func(body string, status int) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		}))
		t.Cleanup(s.Close)
		return s
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, c := range map[string]struct {
		url, want string
	}{
		"unreachable": {gone.URL, "can't be reached"},
		"errors":      {answer(`{"error":{"message":"broken"}}`, 500).URL, "broken"},
		"empty":       {answer("", 200).URL, "empty answer"},
		"no usage":    {answer(`{"choices":[{"text":"x"}]}`, 200).URL, "no usage"},
		"no tokens":   {answer(`{"usage":{"completion_tokens":0}}`, 200).URL, "no tokens"},
	} {
		l := &Load{URL: c.url, API: "completions", Work: work()}
		if err := l.Run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not say %q", name, err, c.want)
		}
	}
	n := 0
	mixed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n++
		fmt.Fprintf(w, `{"model":"m%d","usage":{"completion_tokens":5}}`, n%2)
	}))
	defer mixed.Close()
	l := &Load{URL: mixed.URL, API: "completions", Work: work()}
	l.Concurrency = 1
	if err := l.Run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "different models") {
		t.Errorf("mixed models: %v", err)
	}
}

// A comparison is refused as a run is: no round of it is printed.
func TestCompareRefusesFalseFigures(t *testing.T) {
	n := 0
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   string
	}{
		"errors":    {func(w http.ResponseWriter) { http.Error(w, "broken", 500) }, "HTTP 500: broken"},
		"empty":     {func(http.ResponseWriter) {}, "empty answer"},
		"no tokens": {func(w http.ResponseWriter) { io.WriteString(w, `{"usage":{"completion_tokens":0}}`) }, "no tokens"},
		"mixed models": {func(w http.ResponseWriter) {
			n++
			fmt.Fprintf(w, `{"model":"m%d","usage":{"completion_tokens":5}}`, n%2)
		}, "different models"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { c.answer(w) }))
		x := &Compare{Peer: []string{"a=" + s.URL, "b=" + s.URL}, API: "completions", Rounds: 1, Work: work()}
		x.Concurrency = 1
		var out bytes.Buffer
		if err := x.Run(t.Context(), &out); err == nil || !strings.Contains(err.Error(), c.want) || out.Len() > 0 {
			t.Errorf("%s: error %v does not say %q; printed %q", name, err, c.want, out.String())
		}
		s.Close()
	}
}

func TestLoadTellsOfFailures(t *testing.T) {
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n++; n%4 == 0 {
			http.Error(w, `{"error":"full"}`, http.StatusTooManyRequests)
			return
		}
		io.WriteString(w, `{"usage":{"completion_tokens":5}}`)
	}))
	defer s.Close()
	l := &Load{URL: s.URL, API: "completions", Work: work()}
	l.Concurrency, l.Warmup = 1, 0
	var out bytes.Buffer
	err := l.Run(t.Context(), &out)
	if !errors.Is(err, errFailures) || !strings.Contains(err.Error(), "2 of 8 failed: HTTP 429: full") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(out.String(), "6 of 8 requests succeeded") {
		t.Errorf("the figures of the rest are missing:\n%s", out.String())
	}
}

func TestBadOptions(t *testing.T) {
	for name, change := range map[string]func(*Load){
		"no tokens":        func(l *Load) { l.Gen = 0 },
		"no prompt":        func(l *Load) { l.Words = 0 },
		"two prompts":      func(l *Load) { l.Prompt, l.Prompts = "a", "b" },
		"no end":           func(l *Load) { l.Requests = 0 },
		"no client":        func(l *Load) { l.Concurrency = 0 },
		"ramp without":     func(l *Load) { l.RampTo = 3 },
		"negative rate":    func(l *Load) { l.Rate = -3 },
		"no rate":          func(l *Load) { l.Rate = math.NaN() },
		"endless rate":     func(l *Load) { l.Rate = math.Inf(1) },
		"temperature":      func(l *Load) { l.Temperature = math.NaN() },
		"objective":        func(l *Load) { l.SLO = []string{"ttft"} },
		"objective time":   func(l *Load) { l.SLO = []string{"ttft=-5ms"} },
		"objective name":   func(l *Load) { l.SLO = []string{"xyz=5ms"} },
		"objective stream": func(l *Load) { l.SLO = []string{"ttft=5ms"} },
	} {
		l := &Load{URL: "http://127.0.0.1:1", Work: work()}
		change(l)
		if err := l.Run(t.Context(), io.Discard); err == nil || strings.Contains(err.Error(), "reached") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCompare(t *testing.T) {
	fast, slow := fakeServer(t, "m", time.Millisecond, all), fakeServer(t, "m", 3*time.Millisecond, all)
	dir := t.TempDir()
	c := &Compare{Peer: []string{"fast=" + fast.URL, "slow=" + slow.URL}, API: "completions", Rounds: 4, Work: work(), Plots: dir, Out: filepath.Join(dir, "c.json")}
	var out bytes.Buffer
	if err := c.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	var res CompareResult
	data, err := os.ReadFile(c.Out)
	if err != nil || json.Unmarshal(data, &res) != nil {
		t.Fatal(err)
	}
	if r := res.Servers[1].Ratio; r == nil || r.Value < 1.5 || r.Value > 4 || r.CI95[0] > r.Value {
		t.Errorf("ratio %+v, want about 2.5", r)
	}
	if res.Rounds[0].Order[0] != "fast" || res.Rounds[1].Order[0] != "slow" {
		t.Errorf("the order is not alternated: %v %v", res.Rounds[0].Order, res.Rounds[1].Order)
	}
	if !strings.Contains(out.String(), "fast is") {
		t.Error(out.String())
	}
}

func TestCompareRefusesUnequalWork(t *testing.T) {
	a := fakeServer(t, "m", 0, all)
	short := fakeServer(t, "m", 0, func(n int) int { return n - 1 })
	c := &Compare{Peer: []string{"a=" + a.URL, "b=" + short.URL}, API: "completions", Rounds: 1, Work: work()}
	if err := c.Run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "unequal work: a generated 40 tokens, b 32") {
		t.Errorf("%v", err)
	}
	c.Peer = []string{"a=" + short.URL, "b=" + short.URL}
	if err := c.Run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "40 tokens were asked for") {
		t.Errorf("%v", err)
	}
}

func TestCompareBadPeers(t *testing.T) {
	for _, peers := range [][]string{nil, {"x"}, {"=http://a"}, {"a=http://127.0.0.1:1"}, {"a=http://x", "a=http://x"}, {"a=/bin/true", "b=/bin/true"}} {
		c := &Compare{Peer: peers, API: "completions", Rounds: 1, Work: work()}
		if err := c.Run(t.Context(), io.Discard); err == nil {
			t.Errorf("%q was accepted", peers)
		}
	}
}

func TestUnequalPrompts(t *testing.T) {
	a, b := Summary{Requests: 8, OutputTokens: 40, PromptTokens: 80}, Summary{Requests: 8, OutputTokens: 40, PromptTokens: 97}
	two := []contender{{name: "a"}, {name: "b"}}
	if err := sameWork(two, []Summary{a, b}, false, 0); err == nil {
		t.Error("prompts of different length were compared")
	}
	b.PromptTokens = 88 // a BOS token each
	if err := sameWork(two, []Summary{a, b}, false, 0); err != nil {
		t.Error(err)
	}
}

func TestObjectives(t *testing.T) {
	s := &load.Sample{First: 100 * time.Millisecond, End: 500 * time.Millisecond, Completion: 5,
		Events: []time.Duration{100 * time.Millisecond, 150 * time.Millisecond, 450 * time.Millisecond}}
	for text, want := range map[string]bool{"ttft=100ms": true, "ttft=99ms": false, "tpot=100ms": true, "tpot=99ms": false, "itl=300ms": true, "itl=299ms": false, "e2e=500ms": true, "e2e=1ms": false} {
		o, err := parseObjectives([]string{text})
		if err != nil || o[0].met(s) != want {
			t.Errorf("%s: %v, %v", text, !want, err)
		}
	}
}

func TestReadBandwidth(t *testing.T) {
	if b := readBandwidth(2, 1<<20, time.Millisecond); b < 1e6 {
		t.Errorf("%v bytes/s", b)
	}
}
