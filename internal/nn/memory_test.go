package nn

import (
	"math"
	"runtime"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/kernel"
)

// What a backend is said to take is what it takes, within a tenth.
func TestBytes(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the arena is a part of the heap here, and its chunks are large")
	}
	shape := Limits{Rows: 256, Logits: 64, Seqs: 256, Dim: 576, Heads: 576, Hidden: 1536, Vocab: 49152, Group: 3, KVHeads: 3, HeadDim: 64}
	for name, change := range map[string]func(*Limits){
		"as SmolLM2":    func(*Limits) {},
		"floats":        func(l *Limits) { l.Floats = true },
		"many heads":    func(l *Limits) { l.KVHeads, l.Heads, l.Group = 32, 2048, 1 },
		"few logits":    func(l *Limits) { l.Logits = 1 },
		"odd heads":     func(l *Limits) { l.HeadDim, l.Heads = 80, 960 },
		"few rows":      func(l *Limits) { l.Rows, l.Seqs, l.Vocab = 16, 16, 400 },
		"large context": func(l *Limits) { l.Rows, l.Seqs = 2048, 2048 },
		"experts":       func(l *Limits) { l.Experts, l.Used, l.ExpertFF = 64, 8, 768 },
		"only experts":  func(l *Limits) { l.Experts, l.Used, l.ExpertFF, l.Hidden, l.Floats = 64, 8, 768, 0, true },
	} {
		l := shape
		change(&l)
		rope, err := NewRope(RopeConfig{Dim: l.HeadDim, Base: 10000}, 64)
		if err != nil {
			t.Fatal(err)
		}
		pool := NewPool(2)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := NewFast(kernel.New(cpu.Detect()), pool, l, []*Rope{rope})
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		is := float64(after.TotalAlloc-before.TotalAlloc) + float64(f.arena.Bytes())
		if said := float64(l.Bytes(2, []int{rope.Pairs})); math.Abs(said-is) > is/10 {
			t.Errorf("%s: %.0f bytes, said to be %.0f", name, is, said)
		}
		f.Close()
		pool.Close()
	}
}
