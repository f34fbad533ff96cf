// Package vocabtest gives tests the vocabularies that llama.cpp is tested with:
// GGUF files without tensors, each with texts and the token ids that they must
// become, and the chat templates beside them. They come with the source archive
// of llama-cpp-python, are fetched once with pip and kept in the user's cache.
//
// It is for tests only, and none of them passes without it: what can't be
// fetched fails the test.
package vocabtest

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	project = "llama-cpp-python"
	version = "0.3.36"
	archive = "llama_cpp_python-" + version + ".tar.gz"
	digest  = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
	models  = "/vendor/llama.cpp/models/"
)

// Dir returns the directory with the files of llama.cpp's models directory:
// ggml-vocab-*.gguf, .gguf.inp and .gguf.out, and templates/*.jinja.
func Dir(tb testing.TB) string {
	tb.Helper()
	dir, err := fetch()
	if err != nil {
		tb.Fatalf("vocabtest: %v\nThis test needs the source archive of %s %s: run it where python3 -m pip reaches a package index.", err, project, version)
	}
	return dir
}

// Vocabulary returns the path of llama.cpp's vocabulary of that name.
func Vocabulary(tb testing.TB, name string) string {
	tb.Helper()
	return filepath.Join(Dir(tb), "ggml-vocab-"+name+".gguf")
}

// fetch returns the cached directory, after filling it if need be. Several
// processes may do so at once: the directory appears whole or not at all.
func fetch() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	parent := filepath.Join(cache, "penstock", "test")
	dir := filepath.Join(parent, strings.TrimSuffix(archive, ".tar.gz")+"-models")
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(parent, "fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	if err := download(temp); err != nil {
		return "", err
	}
	out := filepath.Join(temp, "models")
	if err := extract(filepath.Join(temp, archive), out); err != nil {
		return "", fmt.Errorf("%s: %w", archive, err)
	}
	if err := os.Rename(out, dir); err != nil {
		if _, other := os.Stat(dir); other != nil {
			return "", err
		}
	}
	return dir, nil
}

// download lets pip, which knows the user's package index, fetch the archive.
func download(dir string) error {
	cmd := exec.Command("python3", "-m", "pip", "download", "-q", "--no-deps",
		"--no-binary", project, "-d", dir, project+"=="+version)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pip download %s==%s: %w\n%s", project, version, err, out)
	}
	return nil
}

// extract checks the archive and unpacks the models directory from it.
func extract(path, dir string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	stream, err := gzip.NewReader(io.TeeReader(f, sum))
	if err != nil {
		return err
	}
	files := 0
	for entries := tar.NewReader(stream); ; {
		h, err := entries.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		_, name, ok := strings.Cut(h.Name, models)
		if !ok || h.Typeflag != tar.TypeReg {
			continue
		}
		if !filepath.IsLocal(name) {
			return fmt.Errorf("unsafe name %q", h.Name)
		}
		if err := write(filepath.Join(dir, name), entries); err != nil {
			return err
		}
		files++
	}
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest {
		return fmt.Errorf("sha256 is %s, not %s", got, digest)
	}
	if files == 0 {
		return errors.New("it has no " + models)
	}
	return nil
}

func write(path string, from io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, from); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
