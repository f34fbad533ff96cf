// Package asm has the test that all generators share.
package asm

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// kernel is the directory of the package that the generated files belong to.
const kernel = ".."

// TestUpToDate runs every go:generate line of package kernel with another
// directory for the output, and compares what it writes with the committed
// files. It also finds files that say they are generated but come from no line.
func TestUpToDate(t *testing.T) {
	fresh := t.TempDir()
	lines := generateLines(t)
	if len(lines) == 0 {
		t.Fatal("no go:generate lines: the test looks in the wrong place")
	}
	var all sync.WaitGroup
	for _, line := range lines { // at the same time: each compiles its generator
		all.Go(func() { generate(t, line, fresh) })
	}
	all.Wait()
	written, err := os.ReadDir(fresh)
	if err != nil {
		t.Fatal(err)
	}
	generated := map[string]bool{}
	for _, f := range written {
		generated[f.Name()] = true
		want := read(t, fresh, f.Name())
		// The first line of a file is the command that wrote it.
		want = bytes.ReplaceAll(want, []byte(fresh), []byte(".."))
		if !bytes.Equal(read(t, kernel, f.Name()), want) {
			t.Errorf("%s is not what its generator writes: run make generate", f.Name())
		}
	}
	for _, name := range committed(t) {
		if says := bytes.HasPrefix(read(t, kernel, name), []byte("// Code generated")); says && !generated[name] {
			t.Errorf("%s says that it is generated, but no go:generate line writes it", name)
		}
	}
}

// generate runs a go:generate line, with another directory for the output.
func generate(t *testing.T, line, dir string) {
	args := strings.Fields(line)
	for i, arg := range args {
		if arg == ".." || strings.HasPrefix(arg, "../") {
			args[i] = dir + strings.TrimPrefix(arg, "..")
		}
	}
	run := exec.Command(args[0], args[1:]...)
	run.Dir = kernel
	if out, err := run.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
}

// generateLines are the commands of package kernel.
func generateLines(t *testing.T) (lines []string) {
	for _, name := range committed(t) {
		scan := bufio.NewScanner(bytes.NewReader(read(t, kernel, name)))
		for scan.Scan() {
			if line, ok := strings.CutPrefix(scan.Text(), "//go:generate "); ok {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// committed are the source files of package kernel.
func committed(t *testing.T) (names []string) {
	entries, err := os.ReadDir(kernel)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext == ".go" || ext == ".s" {
			names = append(names, e.Name())
		}
	}
	return names
}

func read(t *testing.T, dir, name string) []byte {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
