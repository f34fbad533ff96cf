package instance

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// TestEncoder: a step takes a text as long as the context, and as many texts as there
// is room for; the context is what was asked for, or the model's.
func TestEncoder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bert.gguf")
	if err := tinymodel.Write(path, tinymodel.Options{Arch: "bert", Context: 700}); err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[int]struct{ context, rows int }{0: {700, 700}, 100: {100, encoderRows}} {
		in, err := Open(path, Options{Threads: 1, Context: asked})
		if err != nil {
			t.Fatal(err)
		}
		if c := in.Engine.Config(); c.Context != want.context || c.StepBudget != want.rows || c.MaxBatch != encoderBatch || !c.Encoder {
			t.Errorf("--ctx %d: %+v", asked, c)
		}
		ids := make([]int32, want.context+1)
		s, err := in.Engine.Submit(t.Context(), engine.Request{Prompt: ids[1:], Pooling: model.MeanPooling})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Next(t.Context()); err != nil || len(s.Finish().Embedding) != 64 {
			t.Errorf("--ctx %d: %v, %+v", asked, err, s.Finish())
		}
		if _, err := in.Engine.Submit(t.Context(), engine.Request{Prompt: ids, Pooling: model.MeanPooling}); !errors.Is(err, engine.ErrTooLong) {
			t.Errorf("--ctx %d: a text that is one token too long: %v", asked, err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := Open(path, Options{Threads: 1, MemoryLimit: 129 << 20}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("with hardly any memory: %v", err)
	}
}
