package instance

import (
	"errors"
	"testing"

	"github.com/penstock-llm/penstock/internal/model"
)

func TestFit(t *testing.T) {
	const mb = 1 << 20
	small := need{Memory: model.Memory{Weights: 100 * mb, Buffers: 15 * mb, PerBlock: mb / 2, File: 3 * mb}, samplers: 2 * mb, words: 32 * mb, context: 8192}
	for _, c := range []struct {
		name    string
		o       Options
		context int
		blocks  int
		err     error
	}{
		{"room for a batch", Options{MaxBatch: 8, MemoryLimit: 8192 * mb}, 8192, 1024, nil},
		{"half of what is left", Options{MaxBatch: 64, MemoryLimit: 1296 * mb}, 8192, 1000, nil},
		{"the context gives way", Options{MaxBatch: 8, MemoryLimit: 496 * mb}, 3200, 200, nil},
		{"asked context is kept", Options{MaxBatch: 8, MemoryLimit: 496 * mb, Context: 8192}, 0, 0, ErrTooLarge},
		{"asked context", Options{MaxBatch: 8, MemoryLimit: 8192 * mb, Context: 512}, 512, 256, nil},
		{"asked cache", Options{MaxBatch: 8, MemoryLimit: 8192 * mb, KVMemory: 64 * mb}, 2048, 128, nil},
		{"asked cache too large", Options{MaxBatch: 8, MemoryLimit: 448 * mb, KVMemory: 300 * mb}, 0, 0, ErrTooLarge},
		{"weights too large", Options{MaxBatch: 8, MemoryLimit: 248 * mb}, 0, 0, ErrTooLarge},
		{"no limit", Options{MaxBatch: 8}, 8192, 1024, nil},
		// 1009 blocks would be runs of one, 1008 are runs of 28.
		{"runs of decent length", Options{MaxBatch: 64, MemoryLimit: 1305 * mb}, 8192, 1008, nil},
		{"and less context", Options{MaxBatch: 8, MemoryLimit: 495 * mb}, 198 * 16, 198, nil},
		{"the asked context goes first", Options{MaxBatch: 1, Context: 67 * 16}, 67 * 16, 67, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := fit(small, c.o)
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if p.context != c.context || p.blocks != c.blocks {
				t.Errorf("context %d, blocks %d, want %d and %d", p.context, p.blocks, c.context, c.blocks)
			}
		})
	}
	// Half of the layers keep a window of 512: 8 sequences see into 34 blocks each, and
	// there are as many again, and some for the rows of a step.
	windowed := small
	windowed.PerBlock, windowed.PerWindow, windowed.Window = mb/4, mb/4, 512
	for _, c := range []struct {
		name    string
		o       Options
		context int
		blocks  int
		windows int
	}{
		{"room for a batch", Options{MaxBatch: 8, StepBudget: 256}, 8192, 1024, 560},
		{"the same memory has room for more tokens", Options{MaxBatch: 8, StepBudget: 256, KVMemory: 512 * mb}, 8192, 1488, 560},
		{"as little as all keep", Options{MaxBatch: 8, StepBudget: 256, Context: 1024}, 1024, 512, 512},
		{"a cache that is too small for windows to matter", Options{MaxBatch: 8, StepBudget: 256, KVMemory: 64 * mb}, 2048, 128, 128},
	} {
		p, err := fit(windowed, c.o)
		if err != nil || p != (room{context: c.context, blocks: c.blocks, windows: c.windows}) {
			t.Errorf("%s: %+v, %v", c.name, p, err)
		}
	}
	if _, err := fit(small, Options{MaxBatch: 8, Context: 9000}); err == nil {
		t.Error("a context beyond the model's is accepted")
	}
}
