package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestUpToDate: the committed assembly is what the generator writes.
func TestUpToDate(t *testing.T) {
	const dir = "../.."
	all := files()
	for name, emit := range all {
		want, err := assemble(emit)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from the generator's output: run go generate in internal/kernel", name)
		}
	}
	for _, pattern := range []string{"matmul_*_amd64.s", "panel_*_amd64.s"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			if all[filepath.Base(path)] == nil {
				t.Errorf("%s is not generated any more", path)
			}
		}
	}
}
