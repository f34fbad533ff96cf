package instance

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// tiny writes a small model and returns its path.
func tiny(t *testing.T, name string, o tinymodel.Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".gguf")
	if err := tinymodel.Write(path, o); err != nil {
		t.Fatal(err)
	}
	return path
}

// answerOf is what a request gets.
func answerOf(t *testing.T, in *Instance) (ids []int32, f engine.Timings) {
	t.Helper()
	s, err := in.Engine.Submit(t.Context(), engine.Request{Prompt: []int32{5, 6, 7, 8, 9, 10}, MaxTokens: 60, IgnoreEOS: true})
	if err != nil {
		t.Fatal(err)
	}
	for {
		token, more, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return ids, s.Finish().Timings
		}
		ids = append(ids, token.ID)
	}
}

// A model with a draft model says what it says without.
func TestDraft(t *testing.T) {
	target, small := tiny(t, "target", tinymodel.Options{}), tiny(t, "small", tinymodel.Options{Layers: 1, Seed: 9})
	var answers [][]int32
	for _, o := range []Options{{NoGuesses: true}, {}, {Draft: target}, {Draft: small}} {
		o.Threads, o.MaxBatch, o.Context = 1, 2, 256
		in, err := Open(target, o)
		if err != nil {
			t.Fatal(err)
		}
		ids, timings := answerOf(t, in)
		answers = append(answers, ids)
		if o.NoGuesses && timings.Drafted > 0 || len(ids) != 60 {
			t.Errorf("%+v: %d tokens, %d guessed", o, len(ids), timings.Drafted)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
	for i, a := range answers {
		if !slices.Equal(a, answers[0]) {
			t.Errorf("answer %d is %v, want %v", i, a, answers[0])
		}
	}
}

// The memory of a draft model is counted.
func TestDraftMemory(t *testing.T) {
	target, small := tiny(t, "target", tinymodel.Options{}), tiny(t, "small", tinymodel.Options{Layers: 1})
	f, err := gguf.Open(target)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	alone, err := Estimate(f, Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	both, err := Estimate(f, Options{Threads: 1, Draft: small})
	if err != nil {
		t.Fatal(err)
	}
	if both.Weights <= alone.Weights || both.Buffers <= alone.Buffers || both.PerToken <= alone.PerToken {
		t.Errorf("%+v with a draft model, %+v without", both, alone)
	}
	if _, err := Estimate(f, Options{Threads: 1, Draft: small, MemoryLimit: alone.Weights + alone.Buffers + alone.File + alone.Process + 1000}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a limit that has room for one of both: %v", err)
	}
}

// A draft model with another vocabulary, an encoder and a file that is none are refused
// before anything is loaded.
func TestDraftRefused(t *testing.T) {
	target := tiny(t, "target", tinymodel.Options{})
	for name, draft := range map[string]string{
		"same vocabulary": tiny(t, "gemma", tinymodel.Options{Arch: "gemma3"}),
		"embeddings":      tiny(t, "encoder", tinymodel.Options{Arch: "bert"}),
		"nothing.gguf":    filepath.Join(t.TempDir(), "nothing.gguf"),
	} {
		in, err := Open(target, Options{Threads: 1, Draft: draft})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			in.Close()
		}
	}
}
