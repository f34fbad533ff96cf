package main

import (
	"bytes"
	"strings"
	"testing"

	machine "github.com/penstock-llm/penstock/internal/bench/limits"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/hub"
	"github.com/penstock-llm/penstock/internal/hub/hubtest"
	"github.com/penstock-llm/penstock/internal/instance"
)

// judged is the advice for a machine.
func judged(memory uint64, bandwidth, ops, least float64) *advice {
	a := &advice{Threads: 2, Memory: memory, Free: memory, Limits: machine.Limits{Bandwidth: bandwidth, Clock: 3e9, Ops: ops}}
	for _, e := range hub.Catalogue {
		a.Models = append(a.Models, a.candidate(&e, false))
	}
	a.choose(least)
	return a
}

func TestRecommendation(t *testing.T) {
	for _, c := range []struct {
		name, want, because   string
		memory                uint64
		bandwidth, ops, least float64
	}{
		{"a usual machine", "qwen2.5-coder:1.5b", "the largest", 16e9, 30e9, 900e9, 10},
		{"slow memory", "qwen2.5-coder:0.5b", "the largest", 16e9, 8e9, 900e9, 10},
		{"a small container", "qwen2.5-coder:0.5b", "the largest", 1.1e9, 30e9, 900e9, 10},
		{"a tiny container", "smollm2", "the largest", 400e6, 30e9, 900e9, 10},
		{"too much is asked for", "smollm2", "none gives one stream 5000", 16e9, 30e9, 900e9, 5000},
		{"no memory", "", "fits into 100 MB", 100e6, 30e9, 900e9, 10},
	} {
		a := judged(c.memory, c.bandwidth, c.ops, c.least)
		if a.Choice != c.want || !strings.Contains(a.Because, c.because) {
			t.Errorf("%s: %q because %q, want %q because %q", c.name, a.Choice, a.Because, c.want, c.because)
		}
		var out bytes.Buffer
		if err := a.print(&out); err != nil || !strings.Contains(out.String(), a.Because) {
			t.Errorf("%s: %v\n%s", c.name, err, &out)
		}
	}
}

// TestCatalogueIsJudged: every model has what recommend says of it.
func TestCatalogueIsJudged(t *testing.T) {
	for _, c := range judged(64e9, 30e9, 900e9, 10).Models {
		if c.Quality == "" || c.Needs < uint64(c.Download)/16 || c.Context == 0 || (c.One == 0) != (c.Kind == "embeddings") {
			t.Errorf("%+v", c)
		}
	}
}

// TestFigures: the catalogue's figures are those of the model.
func TestFigures(t *testing.T) {
	file := hubtest.Open(t, "smollm2")
	entry, _ := hub.Lookup("smollm2")
	checkFigures(t, file, entry.Figures)
}

func checkFigures(t *testing.T, file *gguf.File, want hub.Figures) {
	t.Helper()
	got := fits(file, instance.Options{Threads: 2, MemoryLimit: 64 << 30})
	near := func(what string, a, b uint64) {
		if float64(a) > 1.2*float64(b) || float64(b) > 1.2*float64(a) {
			t.Errorf("%s: the catalogue has %d, the model %d", what, a, b)
		}
	}
	near("weights", uint64(want.Weights), got.Weights)
	near("cache", uint64(want.PerToken), got.PerToken)
	if want.Context != got.Context {
		t.Errorf("context: the catalogue has %d, the model %d", want.Context, got.Context)
	}
}
