package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// The name that clients see is one that people know, never a path of the server.
func TestModelID(t *testing.T) {
	dir := t.TempDir()
	hash := "sha256-" + strings.Repeat("0123456789abcdef", 4)
	for _, c := range []struct{ file, name, want string }{
		{"qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2.5-coder", "qwen2.5-coder:0.5b"},
		{"m-q8_0.gguf", "hf.co/org/repo", "hf.co/org/repo"},
		{"m-q8_0.gguf", "hf.co/org/repo:m-q8_0.gguf", "m-q8_0"},
		{"m-q8_0.gguf", "m-q8_0", "m-q8_0"},
		{"m-q8_0.gguf", filepath.Join(dir, "m-q8_0.gguf"), "m-q8_0"},
		{"model.gguf", filepath.Join(dir, "model.gguf"), "Tiny-Tale-Teller"},
		{hash, filepath.Join(dir, hash), "Tiny-Tale-Teller"},
	} {
		path := filepath.Join(dir, c.file)
		if err := tinymodel.Write(path, tinymodel.Options{Extra: []gguf.KV{{Key: "general.name", Value: "Tiny Tale Teller"}}}); err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := modelID(c.name, f); got != c.want {
			t.Errorf("%s, given as %s: %q, want %q", c.file, c.name, got, c.want)
		}
		f.Close()
		os.Remove(path)
	}
}

// TestAliases: what people type to serve a model of the catalogue is what their
// clients may call it.
func TestAliases(t *testing.T) {
	got := aliases("qwen2.5-coder:0.5b", []string{"mine", "qwen2.5-coder"})
	if want := []string{"mine", "qwen2.5-coder"}; !slices.Equal(got, want) {
		t.Errorf("aliases %v, want %v", got, want)
	}
	if got := aliases("smollm2", nil); !slices.Contains(got, "smollm2:135m") {
		t.Errorf("aliases %v", got)
	}
	if got := aliases("my.gguf", []string{"a"}); !slices.Equal(got, []string{"a"}) {
		t.Errorf("aliases %v", got)
	}
}
