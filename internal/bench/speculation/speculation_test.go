package speculation

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// TestRun measures a tiny model: every load has its figures, and the same answers with guesses and without.
func TestRun(t *testing.T) {
	model := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinymodel.Write(model, tinymodel.Options{Context: 8192}); err != nil {
		t.Fatal(err)
	}
	s := &Speculation{Model: model, Rounds: 2, Tokens: 40, Temperature: 0.8, Threads: 2, Tier: cpu.Detect(), Output: results.Output{JSON: true}}
	var out bytes.Buffer
	if err := s.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	var res Result
	if err := json.Unmarshal(out.Bytes(), &res); err != nil {
		t.Fatal(err)
	}
	if len(res.Loads) != len(workloads()) {
		t.Fatalf("%d loads", len(res.Loads))
	}
	for _, l := range res.Loads {
		if !l.Same || len(l.With) != 2 || len(l.Without) != 2 || l.Tokens < 1 || l.Tokens > 40*l.Clients || !(l.Ratio.Value > 0) || !(l.Work.Value > 0) {
			t.Errorf("%+v", l)
		}
	}
	out.Reset()
	if err := res.print(&out); err != nil || !strings.Contains(out.String(), "rewriting a file") {
		t.Errorf("%v: %s", err, out.String())
	}
}

// An answer that differs is noticed, and the command fails.
func TestDifferentAnswers(t *testing.T) {
	l := &Load{Same: true}
	l.note(&outcome{answers: [][]int32{{1, 2}}, took: 1, used: 1}, true, true, true)
	if l.note(&outcome{answers: [][]int32{{1, 2}}, took: 1, used: 1}, false, false, true); !l.Same {
		t.Error("the same answers differ")
	}
	if l.note(&outcome{answers: [][]int32{{1, 3}}, took: 1, used: 1}, false, false, true); l.Same {
		t.Error("different answers are the same")
	}
}

func TestRefusals(t *testing.T) {
	for _, s := range []*Speculation{{Rounds: 0}, {Rounds: 1, Tokens: -1}, {Rounds: 1, Temperature: -1}} {
		if err := s.Run(t.Context(), &bytes.Buffer{}); err == nil || errors.Is(err, ErrDifferent) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
