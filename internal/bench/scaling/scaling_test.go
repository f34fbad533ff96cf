package scaling

import (
	"bytes"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

func tiny(t *testing.T) *Scaling {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinymodel.Write(path, tinymodel.Options{}); err != nil {
		t.Fatal(err)
	}
	return &Scaling{Model: path, Batch: []int{1, 3}, Ctx: 10, Prefill: 30, Rounds: 2, Steps: 3, Threads: 2, Cores: []int{2, 16}, Nodes: 2, Remote: 2, Tier: cpu.Detect()}
}

func TestScaling(t *testing.T) {
	s := tiny(t)
	var out, progress bytes.Buffer
	s.Progress = &progress
	if err := s.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(progress.String()), "\n"); len(lines) != 2*3 || lines[5] != "2 of 2 threads, prompt of 30" {
		t.Errorf("progress: %q", lines)
	}
	for _, want := range []string{"batch 1", "batch 3", "prompt of 30", "\n1 threads", "\n2 threads", "\n16 threads", "2 threads read", "changes hands"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
	if text := out.String(); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Errorf("a figure is none:\n%s", text)
	}
}

// A step of 10 ms of which 1 ms lies between operations, 1 ms is a kind that threads do not shorten, 4 ms are bound by arithmetic, in 12
// pieces, and 4 ms by memory.
func TestModel(t *testing.T) {
	one := profile{step: 10e-3, kinds: []kind{{1e-3, 0, 0, 0}, {4e-3, 0, 100, 1200}, {4e-3, 40e6, 100, 0}}}
	two := profile{step: 7e-3, kinds: []kind{{0.99e-3, 0, 0, 0}, {2e-3, 0, 100, 1200}, {3e-3, 40e6, 100, 0}}}
	reads := []Reads{{1, 10e9, 50}, {2, 16e9, 1000}}
	lines := Lines{Transfer: 90, Read: 10}
	for _, c := range []struct {
		m       machine
		n       int
		seconds float64
	}{
		{machine{nodes: 1, remote: 2}, 1, 10e-3},
		{machine{nodes: 1, remote: 2}, 2, 2e-3 + 200*1000e-9 + 2e-3 + 40e6/16e9},
		{machine{nodes: 1, remote: 2}, 4, 2e-3 + 200*1200e-9 + 1e-3 + 40e6/32e9},
		{machine{nodes: 1, remote: 2}, 8, 2e-3 + 200*1600e-9 + 4e-3/6 + 40e6/64e9}, // 12 pieces: two for each of some
		{machine{nodes: 2, remote: 2}, 8, 2e-3 + 200*2000e-9 + 4e-3/6 + 40e6/64e9}, // two near ones further, four far
		{machine{nodes: 1, remote: 2, bandwidth: 20e9}, 8, 2e-3 + 200*1600e-9 + 4e-3/6 + 40e6/20e9},
	} {
		c.m.reads, c.m.lines = reads, lines
		got := c.m.step(8, &one, serialKinds([]profile{one, two}), c.n)
		if want := 8 / c.seconds; math.Abs(got.Speed/want-1) > 1e-9 {
			t.Errorf("%d cores, %+v: %v tokens/s, want %v", c.n, c.m, got.Speed, want)
		}
	}
	if s := serialKinds([]profile{one}); s[0] || s[1] {
		t.Errorf("with one thread alone %v are known as serial", s)
	}
	if b := (&machine{reads: reads[:1], lines: lines, nodes: 1}).barrier(64); b != 0 {
		t.Errorf("with one thread alone a barrier costs %v", b)
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	for _, x := range []struct {
		change func(*Scaling)
		want   string
	}{
		{func(s *Scaling) { s.Batch = nil }, "--batch"},
		{func(s *Scaling) { s.Batch = []int{0} }, "--batch"},
		{func(s *Scaling) { s.Rounds = 0 }, "--rounds"},
		{func(s *Scaling) { s.Cores = []int{-1} }, "--cores"},
		{func(s *Scaling) { s.Ctx = 0 }, "--ctx"},
		{func(s *Scaling) { s.Bandwidth = -1 }, "--bandwidth"},
		{func(s *Scaling) { s.Nodes = 0 }, "--nodes"},
	} {
		s := tiny(t)
		x.change(s)
		if err := s.Run(t.Context(), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%+v: %v, want %q", s, err, x.want)
		}
	}
}
