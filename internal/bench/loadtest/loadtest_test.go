package loadtest

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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/fakeserver"
	"github.com/penstock-llm/penstock/internal/bench/load"
	"github.com/penstock-llm/penstock/internal/bench/results"
)

func work() Work {
	return Work{Requests: 8, Concurrency: 2, Gen: 5, Words: 3, IgnoreEOS: true, Timeout: time.Minute, Warmup: -1, Turns: 1}
}

func TestLoad(t *testing.T) {
	s := fakeserver.New(t, "m", time.Millisecond, fakeserver.All)
	dir := t.TempDir()
	l := &Load{Repeats: 1, URL: s.URL, API: "auto", Work: work(), Output: results.Output{JSON: true, Out: filepath.Join(dir, "run.json")}, SLO: []string{"ttft=60s", "e2e=60s"}}
	l.Stream = true
	var out bytes.Buffer
	if err := l.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	var res Result
	if err := json.Unmarshal(out.Bytes(), &res); err != nil {
		t.Fatal(err)
	}
	sum := res.Summary
	if sum.OK != 8 || sum.OutputTokens != 40 || sum.PromptTokens != 24 || sum.Goodput.Met != 8 || sum.TTFT == nil || sum.ITL.N != 32 {
		t.Errorf("%+v", sum)
	}
	if sum.TPOT.P50 < 1 || 4*sum.TPOT.P50 > sum.E2E.P50 || sum.TokensPerSecond <= 0 {
		t.Errorf("tokens every millisecond: TPOT %v, %v tokens/s", sum.TPOT.P50, sum.TokensPerSecond)
	}
	data, err := os.ReadFile(l.Out)
	if err != nil || json.Unmarshal(data, &res) != nil || len(res.Samples) != 8 || res.Kind != "load" || res.Machine.CPU == "" {
		t.Errorf("stored result: %v, %d samples", err, len(res.Samples))
	}
}

func TestLoadTable(t *testing.T) {
	s := fakeserver.New(t, "m", 0, fakeserver.All)
	var out, progress bytes.Buffer
	l := &Load{Repeats: 1, URL: s.URL, API: "auto", Work: work(), Progress: &progress}
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

// Requests of one run are not independent of each other: what counts is how often the run was repeated.
func TestRepeatsOfLoad(t *testing.T) {
	s := fakeserver.New(t, "m", time.Millisecond, fakeserver.All)
	l := &Load{URL: s.URL, API: "auto", Work: work(), Repeats: 5, Output: results.Output{Out: filepath.Join(t.TempDir(), "run.json")}}
	var out bytes.Buffer
	if err := l.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "over 5 repeats") || !strings.Contains(out.String(), "40 of 40 requests") {
		t.Error(out.String())
	}
	var res Result
	data, err := os.ReadFile(l.Out)
	if err != nil || json.Unmarshal(data, &res) != nil || len(res.Samples) != 40 || len(res.Repeats) != 5 {
		t.Fatalf("%v: %d samples, %d repeats", err, len(res.Samples), len(res.Repeats))
	}
	for i := 1; i < len(res.Samples); i++ {
		if res.Samples[i].Start < res.Samples[i-1].Start {
			t.Errorf("sample %d began before the one before it", i)
		}
	}
	for _, q := range res.Series() {
		if n := len(q.Values); n != 5 && n != 0 {
			t.Errorf("%s has %d values for 5 repeats", q.Name, n)
		}
	}
}

func TestSweep(t *testing.T) {
	s := fakeserver.New(t, "m", time.Millisecond, fakeserver.All)
	for _, rate := range []float64{0, 1} {
		l := &Load{Repeats: 1, URL: s.URL, API: "auto", Work: work(), Sweep: true, Rate: rate, Burstiness: 1}
		l.Stream = true
		var out bytes.Buffer
		if err := l.Run(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "knee: ") {
			t.Errorf("no knee:\n%s", out.String())
		}
	}
}

// TestSweepOfLengths measures every length of prompts with every number of clients.
func TestSweepOfLengths(t *testing.T) {
	s := fakeserver.New(t, "m", 0, fakeserver.All)
	l := &Load{Repeats: 1, URL: s.URL, API: "auto", Work: work(), Sweep: true, Burstiness: 1, Levels: []int{1, 3}, Lengths: []int{5, 20}}
	l.Out = filepath.Join(t.TempDir(), "out.json")
	var out bytes.Buffer
	if err := l.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(l.Out)
	if err != nil {
		t.Fatal(err)
	}
	var res Result
	if err := json.Unmarshal(data, &res); err != nil {
		t.Fatal(err)
	}
	var got [][2]int
	for _, p := range res.Sweep.Points {
		got = append(got, [2]int{p.Words, int(p.Load)})
		if p.Cost() <= 0 {
			t.Errorf("%d words, %v clients: a token costs %v ms", p.Words, p.Load, p.Cost())
		}
	}
	if want := [][2]int{{5, 1}, {5, 3}, {20, 1}, {20, 3}}; !slices.Equal(got, want) || res.Sweep.Knee != 0 {
		t.Errorf("points %v, want %v; knee %v", got, want, res.Sweep.Knee)
	}
	for _, bad := range []Load{{Levels: []int{0}, Sweep: true}, {Lengths: []int{5}}, {Levels: []int{1}, Rate: 1, Sweep: true}} {
		bad.Repeats, bad.URL, bad.Work = 1, s.URL, work()
		if err := bad.Run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "--levels") {
			t.Errorf("%v, %v: %v", bad.Levels, bad.Lengths, err)
		}
	}
}

func TestKnee(t *testing.T) {
	s := &Sweep{}
	for _, p := range [][3]float64{{1, 100, 10}, {2, 200, 11}, {4, 390, 12}, {8, 420, 60}, {16, 425, 200}} {
		x := SweepPoint{Load: p[0], Steady: Steady{TokensPerSecond: p[1]}}
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
		l := &Load{Repeats: 1, URL: c.url, API: "completions", Work: work()}
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
	l := &Load{Repeats: 1, URL: mixed.URL, API: "completions", Work: work()}
	l.Concurrency = 1
	if err := l.Run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "different models") {
		t.Errorf("mixed models: %v", err)
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
	l := &Load{Repeats: 1, URL: s.URL, API: "completions", Work: work()}
	l.Concurrency, l.Warmup = 1, 0
	var out bytes.Buffer
	err := l.Run(t.Context(), &out)
	if !errors.Is(err, results.ErrFailures) || !strings.Contains(err.Error(), "2 of 8 failed: HTTP 429: full") {
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
		"no repeats":       func(l *Load) { l.Repeats = 0 },
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
		l := &Load{Repeats: 1, URL: "http://127.0.0.1:1", Work: work()}
		change(l)
		if err := l.Run(t.Context(), io.Discard); err == nil || strings.Contains(err.Error(), "reached") {
			t.Errorf("%s: %v", name, err)
		}
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
