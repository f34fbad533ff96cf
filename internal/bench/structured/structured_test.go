package structured

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// TestRun measures a tiny model: every lane and every ratio has a value.
func TestRun(t *testing.T) {
	model := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinymodel.Write(model, tinymodel.Options{}); err != nil {
		t.Fatal(err)
	}
	s := &Structured{Model: model, Clients: 2, Requests: 2, Tokens: 60, Rounds: 1, Temperature: 0.8, Threads: 2, Tier: cpu.Detect(), Output: results.Output{JSON: true}}
	var out bytes.Buffer
	if err := s.Run(context.Background(), &out); err != nil {
		t.Fatal(err)
	}
	var res Result
	if err := json.Unmarshal(out.Bytes(), &res); err != nil {
		t.Fatal(err)
	}
	if len(res.Lanes) != 8 || len(res.Ratios) != 5 {
		t.Fatalf("%d lanes, %d ratios", len(res.Lanes), len(res.Ratios))
	}
	for _, l := range res.Lanes {
		if len(l.Speed) != 1 || l.Speed[0] <= 0 || l.Length <= 0 || strings.Contains(l.Name, "others") && len(l.P99) != 1 {
			t.Errorf("%+v", l)
		}
		if !(l.Steps[0] > 0) {
			t.Errorf("%s: %v tokens a row", l.Name, l.Steps[0])
		}
	}
	for _, r := range res.Ratios {
		if !(r.Value.Value > 0) {
			t.Errorf("%+v", r)
		}
	}
	s.JSON = false
	out.Reset()
	if err := res.print(&out); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"one hard, the others free", "ITL p99 of the others"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the table lacks %q:\n%s", part, out.String())
		}
	}
}

// TestLength: the first answers of the clients end one after the other, all others have the whole length.
func TestLength(t *testing.T) {
	b := &bench{Structured: &Structured{Clients: 4, Tokens: 60}}
	for i, want := range []int{15, 30, 45, 60, 60, 60} {
		if n := b.length(i); n != want {
			t.Errorf("answer %d is cut off after %d tokens, want %d", i, n, want)
		}
	}
}
