package kvcache

import (
	"testing"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/quant"
)

// A store has a cache for each group that has layers, each with its own number of
// blocks; what layers with a window do without is counted.
func TestStore(t *testing.T) {
	shape := func(layers int) Config { return Config{Layers: layers, KVHeads: 2, HeadDim: 32, Type: quant.Q8_0} }
	stride, err := shape(1).Stride()
	if err != nil {
		t.Fatal(err)
	}
	block := 2 * 2 * stride // of a layer
	for name, c := range map[string]struct {
		windowed     int
		room         Room
		bytes, saved int
	}{
		"one group":       {0, Room{Blocks: 20}, 20 * 3 * block, 0},
		"as many windows": {5, Room{Blocks: 20}, 20 * 8 * block, 0},
		"fewer windows":   {5, Room{Blocks: 20, Windows: 6}, (20*3 + 6*5) * block, 14 * 5 * block},
	} {
		s, err := NewStore([batch.Groups]Config{batch.Full: shape(3), batch.Window: shape(c.windowed)}, c.room)
		if err != nil {
			t.Fatal(err)
		}
		if s.Bytes() != c.bytes || s.Saved() != c.saved {
			t.Errorf("%s: %d bytes, %d saved, want %d and %d", name, s.Bytes(), s.Saved(), c.bytes, c.saved)
		}
		if has := s.Cache(batch.Window) != nil; has != (c.windowed > 0) {
			t.Errorf("%s: a cache for windows: %v", name, has)
		}
		for i := 0; s.Prepare(c.room); i++ {
			if i > 100 {
				t.Fatalf("%s: never prepared", name)
			}
		}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
