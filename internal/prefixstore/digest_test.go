package prefixstore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The digest of a model is computed again only when one of its files is another.
func TestDigest(t *testing.T) {
	s, _ := open(t, t.TempDir(), roomy)
	first, second := filepath.Join(t.TempDir(), "m-00001-of-00002.gguf"), filepath.Join(t.TempDir(), "m-00002-of-00002.gguf")
	put := func(path, text string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1700000000, 0).Add(-age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	computed := 0
	digest := func(paths ...string) (string, error) {
		return s.Digest(paths, func() (string, error) { computed++; return "digest", nil })
	}
	put(second, "x", 0)
	for i, c := range []struct {
		path, text string
		age        time.Duration
		want       int
	}{
		{first, "abc", 0, 1}, {first, "abc", 0, 1}, {first, "abcd", 0, 2}, {first, "abcd", time.Hour, 3}, {first, "abcd", time.Hour, 3},
		{second, "xy", 0, 4}, {second, "xy", 0, 4}, {second, "xy", time.Hour, 5},
	} {
		put(c.path, c.text, c.age)
		if d, err := digest(first, second); d != "digest" || err != nil || computed != c.want {
			t.Errorf("%d: %q, %v, computed %d times, want %d", i, d, err, computed, c.want)
		}
	}
	computed = 0
	folder := t.TempDir()
	digest(folder)
	digest(folder, first)
	digest(filepath.Join(folder, "nothing"))
	if computed != 3 {
		t.Errorf("a folder, twice, and a file that is not there: computed %d times", computed)
	}
}

// A digest that could not be computed is not remembered.
func TestDigestFails(t *testing.T) {
	s, _ := open(t, t.TempDir(), roomy)
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	cut := errors.New("cut")
	if _, err := s.Digest([]string{path}, func() (string, error) { return "half", cut }); !errors.Is(err, cut) {
		t.Errorf("got %v, want %v", err, cut)
	}
	if d, err := s.Digest([]string{path}, func() (string, error) { return "whole", nil }); d != "whole" || err != nil {
		t.Errorf("got %q, %v", d, err)
	}
}
