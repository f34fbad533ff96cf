package peers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/fakeserver"
	"github.com/penstock-llm/penstock/internal/bench/loadtest"
	"github.com/penstock-llm/penstock/internal/bench/results"
)

func work() loadtest.Work {
	return loadtest.Work{Requests: 8, Concurrency: 2, Gen: 5, Words: 3, IgnoreEOS: true, Timeout: time.Minute, Warmup: -1, Turns: 1}
}

// quickly is a probe that takes no time.
func quickly(int) float64 { return 1e9 }

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
		x := &Compare{Peer: []string{"a=" + s.URL, "b=" + s.URL}, API: "completions", Rounds: 1, Work: work(), probe: quickly}
		x.Concurrency = 1
		var out bytes.Buffer
		if err := x.Run(t.Context(), &out); err == nil || !strings.Contains(err.Error(), c.want) || out.Len() > 0 {
			t.Errorf("%s: error %v does not say %q; printed %q", name, err, c.want, out.String())
		}
		s.Close()
	}
}

func TestCompare(t *testing.T) {
	fast, slow := fakeserver.New(t, "m", time.Millisecond, fakeserver.All), fakeserver.New(t, "m", 20*time.Millisecond, fakeserver.All)
	dir := t.TempDir()
	c := &Compare{Peer: []string{"fast=" + fast.URL, "slow=" + slow.URL}, API: "completions", Rounds: 4, Work: work(), probe: quickly, Output: results.Output{Out: filepath.Join(dir, "c.json")}}
	var out bytes.Buffer
	if err := c.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	var res CompareResult
	data, err := os.ReadFile(c.Out)
	if err != nil || json.Unmarshal(data, &res) != nil {
		t.Fatal(err)
	}
	if r := res.Servers[1].Ratio; r == nil || r.Value < 1.5 || r.Value > 100 || r.CI95[0] > r.Value {
		t.Errorf("ratio %+v, want about 15", r) // on a busy machine less
	}
	if res.Rounds[0].Order[0] != "fast" || res.Rounds[1].Order[0] != "slow" {
		t.Errorf("the order is not alternated: %v %v", res.Rounds[0].Order, res.Rounds[1].Order)
	}
	if !strings.Contains(out.String(), "fast is") {
		t.Error(out.String())
	}
}

func TestCompareRefusesUnequalWork(t *testing.T) {
	a := fakeserver.New(t, "m", 0, fakeserver.All)
	short := fakeserver.New(t, "m", 0, func(n int) int { return n - 1 })
	c := &Compare{Peer: []string{"a=" + a.URL, "b=" + short.URL}, API: "completions", Rounds: 1, Work: work(), probe: quickly}
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
		c := &Compare{Peer: peers, API: "completions", Rounds: 1, Work: work(), probe: quickly}
		if err := c.Run(t.Context(), io.Discard); err == nil {
			t.Errorf("%q was accepted", peers)
		}
	}
}

func TestUnequalPrompts(t *testing.T) {
	a, b := loadtest.Summary{Requests: 8, OutputTokens: 40, PromptTokens: 80}, loadtest.Summary{Requests: 8, OutputTokens: 40, PromptTokens: 97}
	two := []contender{{name: "a"}, {name: "b"}}
	if err := sameWork(two, []loadtest.Summary{a, b}, false, 0); err == nil {
		t.Error("prompts of different length were compared")
	}
	b.PromptTokens = 88 // a BOS token each
	if err := sameWork(two, []loadtest.Summary{a, b}, false, 0); err != nil {
		t.Error(err)
	}
}
