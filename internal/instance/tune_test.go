package instance

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// However large the heap is, as on systems where weights are a part of it, the
// garbage that waits in it is bounded.
func TestGCPercent(t *testing.T) {
	for used, want := range map[uint64]int{
		0: 400, 10 << 20: 400, 24 << 20: 200, 64 << 20: 75, 128 << 20: 50, 256 << 20: 50, 2 << 30: 12, 100 << 30: 1,
	} {
		if got := gcPercent(used); got != want {
			t.Errorf("%d MB in use: %d %%, want %d %%", used>>20, got, want)
		}
	}
}

func TestHeapLimit(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct{ limit, outside, used, want uint64 }{
		{4096 * mb, 1024 * mb, 100 * mb, 3036 * mb},
		{4096 * mb, 4000 * mb, 100 * mb, 125*mb + Process/2}, // never so little that it only collects
		{4096 * mb, 5000 * mb, 100 * mb, 125*mb + Process/2},
		{math.MaxUint64, 0, 0, math.MaxInt64},
	} {
		if got := heapLimit(left(c.limit, c.outside), c.used); got != int64(c.want) {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// The plan of an instance is what it takes: weights, buffers and samplers, and the
// memory limit of the runtime is set from it.
func TestPlanAgainstReality(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("memory outside the heap is counted apart from it only on Linux")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer debug.SetMemoryLimit(math.MaxInt64)
	for name, o := range map[string]tinymodel.Options{
		"llama":               {},
		"a large vocabulary":  {Arch: "gemma3", Vocab: 100_000, Window: 512},
		"layers with windows": {Arch: "gemma3", Context: 2048, Dim: 256},
		"a wide model":        {Dim: 512, FF: 1536, Heads: 16, KVHeads: 8},
		"more than one block": {Layers: 6, Context: 4096},
	} {
		debug.SetMemoryLimit(math.MaxInt64)
		path := t.TempDir() + "/tiny.gguf"
		if err := tinymodel.Write(path, o); err != nil {
			t.Fatal(err)
		}
		options := Options{Tier: cpu.Detect(), Threads: 2, MemoryLimit: 8 << 30}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		in, err := Open(path, options)
		if err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		plan, err := Estimate(in.File, options)
		if err != nil {
			t.Fatal(err)
		}
		heap := float64(after.HeapAlloc) - float64(before.HeapAlloc)
		is := float64(in.Model.ArenaBytes()+in.Store.Bytes()) + heap
		said := float64(plan.Weights + plan.Buffers + plan.Cache)
		t.Logf("%s: %.1f MB of weights, buffers and cache, planned %.1f MB", name, is/1e6, said/1e6)
		if math.Abs(said-is) > is/10 {
			t.Errorf("%s: %.0f bytes, planned %.0f", name, is, said)
		}
		if limit := debug.SetMemoryLimit(-1); limit != int64(options.MemoryLimit-plan.outside()-code) {
			t.Errorf("%s: a memory limit of %d", name, limit)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
}
