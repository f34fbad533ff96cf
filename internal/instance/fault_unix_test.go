//go:build unix

package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// A file that is cut under a running engine fails the requests that need what is
// gone, with its name, and not the process.
func TestFileIsCutWhileItIsServed(t *testing.T) {
	for name, threads := range map[string]int{"one worker": 1, "three workers": 3} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "m.gguf")
			if err := tinymodel.Write(path, tinymodel.Options{}); err != nil {
				t.Fatal(err)
			}
			told := make(chan any, 9)
			in, err := Open(path, Options{Tier: cpu.Detect(), Threads: threads, MaxBatch: 2, OnPanic: func(v any, _ []byte) { told <- v }})
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			if err := generate(t.Context(), in); err != nil {
				t.Fatalf("before the cut: %v", err)
			}
			if err := os.Truncate(path, 4096); err != nil {
				t.Fatal(err)
			}
			want := "m.gguf was cut or overwritten while it was in use, or its disk fails: put the whole file back, then start again"
			if err := generate(t.Context(), in); !errors.Is(err, engine.ErrStep) || !strings.Contains(err.Error(), want) {
				t.Errorf("the request got %v, want %s", err, want)
			}
			if v, ok := (<-told).(error); !ok || v.Error() != want {
				t.Errorf("the log got %v, want %s", v, want)
			}
		})
	}
}

// A file that is cut while its matrices are packed is an error, whatever kernels read it
// and on whichever worker.
func TestFileIsCutWhileItIsLoaded(t *testing.T) {
	for _, tier := range kernel.Tiers() {
		for _, threads := range []int{1, 3} {
			t.Run(fmt.Sprintf("%v, %d workers", tier, threads), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "m.gguf")
				if err := tinymodel.Write(path, tinymodel.Options{Type: quant.F32}); err != nil { // assembly is the first to read it
					t.Fatal(err)
				}
				_, err := Open(path, Options{Tier: tier, Threads: threads, MaxBatch: 2, Progress: func(done, total int64) {
					if err := os.Truncate(path, 4096); err != nil {
						t.Error(err)
					}
				}})
				const want = "m.gguf was cut or overwritten while it was in use"
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("loading got %v, want %s", err, want)
				}
			})
		}
	}
}

// A file that is cut while its draft model is loaded, or while its content is summed up
// for the folder of prefixes, is an error, too.
func TestOtherFilesAreCutWhileTheyAreRead(t *testing.T) {
	in, err := Open(tiny(t, "target", tinymodel.Options{}), Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	options := Options{Threads: 2}.withDefaults().model()
	options.Pool = in.Model.Pool()
	for name, read := range map[string]func(f *gguf.File) error{
		"draft":   func(f *gguf.File) error { return (&Draft{file: f}).load(options, 8) },
		"content": func(f *gguf.File) error { _, err := contentOf(f); return err },
	} {
		path := tiny(t, name, tinymodel.Options{})
		f, err := gguf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := os.Truncate(path, 4096); err != nil {
			t.Fatal(err)
		}
		err = read(f)
		if want := name + ".gguf was cut or overwritten while it was in use"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

func generate(ctx context.Context, in *Instance) error {
	s, err := in.Engine.Submit(ctx, engine.Request{Prompt: in.Tokenizer.Encode("Once upon a time there was a river.", true, true), MaxTokens: 3})
	if err != nil {
		return err
	}
	defer s.Close()
	for {
		if _, more, err := s.Next(ctx); err != nil || !more {
			return errors.Join(err, s.Finish().Err)
		}
	}
}
