package gguf

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/quant"
)

// writeParts writes a model of three parts and returns their paths. The first part has
// the metadata and no tensors.
func writeParts(t *testing.T) []string {
	t.Helper()
	var paths []string
	dir := t.TempDir()
	for i := range 3 {
		meta := []KV{{"split.no", uint16(i)}, {"split.count", uint16(3)}, {"split.tensors.count", int32(4)}}
		var tensors []Tensor
		if i == 0 {
			meta = append(meta, KV{"general.architecture", "llama"}, KV{"general.name", "Split"})
		}
		for j := range 2 * min(i, 1) {
			data := bytes.Repeat([]byte{byte(10*i + j)}, 4*5000)
			tensors = append(tensors, Tensor{Name: fmt.Sprintf("t%d.%d", i, j), Type: quant.F32, Shape: []int{50, 100}, Data: data})
		}
		var b bytes.Buffer
		if err := Write(&b, meta, tensors); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprintf("big-Q4_K_M-%05d-of-00003.gguf", i+1))
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// TestSplitModels: whichever part is opened, all tensors are there.
func TestSplitModels(t *testing.T) {
	paths := writeParts(t)
	for _, path := range paths {
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, tensor := range f.Tensors() {
			names = append(names, tensor.Name)
			want := 10*(tensor.Name[1]-'0') + tensor.Name[3] - '0'
			for range 2 { // before and after Release
				if len(tensor.Data) != 20000 || tensor.Data[0] != want || tensor.Data[19999] != want {
					t.Errorf("%s: wrong data", tensor.Name)
				}
				f.Release(tensor)
			}
		}
		if !slices.Equal(names, []string{"t1.0", "t1.1", "t2.0", "t2.1"}) {
			t.Errorf("tensors %v", names)
		}
		if got := strings.Join(f.Keys(), " "); got != "general.architecture general.name" {
			t.Errorf("keys %s", got)
		}
		if f.Path() != paths[0] || f.Label() != "big-Q4_K_M" || f.Size() < 80000 {
			t.Errorf("path %s, label %s, size %d", f.Path(), f.Label(), f.Size())
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSplitModelsWithSomethingWrong(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(paths []string) error
		want  string
	}{
		"missing": {func(p []string) error { return os.Remove(p[2]) }, "is part 1 of 3 of a model: put all its parts beside it"},
		"the same twice": {func(p []string) error {
			part, err := os.ReadFile(p[1])
			if err != nil {
				return err
			}
			return os.WriteFile(p[2], part, 0o644)
		}, "is not part 3 of 3, as its name says"},
		"cut": {func(p []string) error { return os.Truncate(p[1], 1000) }, "00002-of-00003.gguf"},
	} {
		t.Run(name, func(t *testing.T) {
			paths := writeParts(t)
			if err := c.spoil(paths); err != nil {
				t.Fatal(err)
			}
			f, err := Open(paths[0])
			if err == nil {
				f.Close()
				t.Fatal("was opened")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want something about %q", err, c.want)
			}
		})
	}
}
