package prefixstore

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The digest of a file is computed again only when the file is another.
func TestDigest(t *testing.T) {
	s, _ := open(t, t.TempDir(), roomy)
	path := filepath.Join(t.TempDir(), "model.gguf")
	put := func(text string, age time.Duration) {
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
	digest := func(path string) string {
		return s.Digest(path, func() string { computed++; return "digest" })
	}
	for i, c := range []struct {
		text string
		age  time.Duration
		want int
	}{{"abc", 0, 1}, {"abc", 0, 1}, {"abcd", 0, 2}, {"abcd", time.Hour, 3}, {"abcd", time.Hour, 3}} {
		put(c.text, c.age)
		if d := digest(path); d != "digest" || computed != c.want {
			t.Errorf("%d: %q, computed %d times, want %d", i, d, computed, c.want)
		}
	}
	folder := t.TempDir()
	digest(folder)
	digest(folder)
	digest(filepath.Join(folder, "nothing"))
	if computed != 6 {
		t.Errorf("a folder, twice, and a file that is not there: computed %d times", computed-3)
	}
}
