package hub

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A copy is a model of its own: it has the same content and takes no space, and stays
// when the first is removed.
func TestCopy(t *testing.T) {
	s := newStore(t, Config{})
	first := filepath.Join(s.Root, "hf.co", "org", "repo", "first.gguf")
	if err := os.MkdirAll(filepath.Dir(first), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first, model(t, 1, 100), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first+digestSuffix, []byte("abc  first.gguf\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Copy("first", "second"); err != nil {
		t.Fatal(err)
	}
	path, ok, err := s.Resolve("second")
	if err != nil || !ok {
		t.Fatalf("%q %v %v", path, ok, err)
	}
	a, err := os.Stat(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.Stat(path)
	if err != nil || !os.SameFile(a, b) || readDigest(path) != "abc" {
		t.Errorf("%v, the copy is another file, or has the digest %q", err, readDigest(path))
	}
	for _, c := range []struct {
		source, name string
		want         error
	}{
		{"first", "second", ErrName}, {"first", "FIRST", ErrName}, {"first", "../third", ErrName}, {"first", "a/b", ErrName}, {"first", ".hidden", ErrName},
		{"first", "", ErrName}, {"first", s.models[0].Name, ErrName}, {"none", "third", ErrUnknown}, {s.models[0].Name, "third", ErrNotFetched},
		{filepath.Join(t.TempDir(), "other.gguf"), "third", os.ErrNotExist}, {copyOutside(t), "third", ErrNotFetched},
	} {
		if err := s.Copy(c.source, c.name); !errors.Is(err, c.want) {
			t.Errorf("%s as %q: %v", c.source, c.name, err)
		}
	}
	if err := s.Remove("first"); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.Resolve("second"); !ok || err != nil {
		t.Errorf("the copy went with the first: %v", err)
	}
	if err := s.Remove("second"); err != nil {
		t.Error(err)
	}
	if left, err := s.List(); err != nil || len(left) > 0 {
		t.Errorf("%v %v", left, err)
	}
}

// copyOutside is a model that is not the store's.
func copyOutside(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "outside.gguf")
	if err := os.WriteFile(path, model(t, 2, 100), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
